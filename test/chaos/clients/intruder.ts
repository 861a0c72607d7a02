/**
 * A client that must be refused: with another user's session id, without a user, with an event id of another session,
 * with the id of a session that has ended. It must hear nothing but errors, and nothing that it asks for may happen: the
 * checker finds a tool that ran for it, and a session or a call that it disturbed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemTime, within } from '../../../src/base/system.ts';
import type { Message } from '../../simulation/client-call.ts';
import { NONCE, SimClient } from '../../simulation/client.ts';
import type { HttpRequest } from '../../simulation/exchange.ts';
import type { SessionStory } from '../../simulation/ledger.ts';
import type { Random } from '../../simulation/random.ts';
import { authOf, headersOf } from '../../simulation/requester.ts';
import type { LiveWorld } from '../live-world.ts';

const INTRUSIONS = {
  user: 'another user',
  anonymous: 'no user',
  event: "another session's event id",
  ended: 'an ended session id',
} as const;

type Intrusion = keyof typeof INTRUSIONS;
const KINDS = Object.keys(INTRUSIONS) as Intrusion[];

/** How long a response with 200 is read: whatever a session has to say comes at once. */
const READ_MS = 300;
/** Among the sessions that ended, and the events that came. */
const LATEST = 200;
const NAME = 'intruder';

export class Intruder {
  readonly #world: LiveWorld;
  readonly #random: Random;
  /** A session that it opened itself: on it, it sends event ids of others. */
  readonly #own: SimClient;
  readonly attempts: Record<Intrusion, number> = { user: 0, anonymous: 0, event: 0, ended: 0 };
  readonly #judging = new Set<Promise<void>>();
  #turn = 0;

  constructor(world: LiveWorld, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#own = new SimClient({ world, random: random.fork(), name: `${NAME}1`, version: '2025-11-25' });
  }

  async run(over: () => boolean, everyMs: number): Promise<void> {
    // One session has ended from the start; those of clients may all live to the end.
    await this.#own.open();
    await this.#own.delete();
    await this.#own.open();
    while (!over()) {
      await pause(everyMs);
      const judging = this.#attempt();
      this.#judging.add(judging);
      void judging.finally(() => this.#judging.delete(judging));
    }
    await Promise.all(this.#judging);
  }

  async #attempt(): Promise<void> {
    const intrusion = KINDS[this.#turn++ % KINDS.length] ?? 'user';
    const request = intrusion === 'event' ? this.#withEvent() : this.#withSession(intrusion);
    if (request === undefined) return;
    const heard: string[] = [];
    const response = this.#world.http(0, request, ({ data }) => void heard.push(data));
    await response.headed;
    await within(systemTime, READ_MS, response.ended, () => undefined);
    const { status, body } = response;
    response.close();
    // Broken connections and 503 say nothing about who is let in.
    if (status === 0 || status === 503) return;
    this.attempts[intrusion] += 1;
    const texts = [body, ...heard].filter((text) => text !== '');
    // On its own session it may hear what that session has to say.
    const letIn = texts.some(intrusion === 'event' ? (text) => isForeign(text, this.#own.prefix) : isServed);
    if (!letIn) return;
    const what = `${request.method} ${JSON.stringify(request.headers)}`;
    this.#world.wrong(`let in: ${INTRUSIONS[intrusion]}: ${what} was answered ${status} ${texts.join(' ')}`);
  }

  #withSession(intrusion: Exclude<Intrusion, 'event'>): HttpRequest | undefined {
    const story = this.#pick(intrusion === 'ended');
    if (story === undefined) return undefined;
    const { id, client, version } = story;
    const headers = headersOf(version, id);
    const who = { user: 'mallory', anonymous: undefined, ended: client }[intrusion];
    const asked = who === undefined ? { headers } : { headers, authInfo: authOf(who) };
    const method = this.#random.weighted({ POST: 6, GET: 2, DELETE: 1 });
    if (method !== 'POST') return { ...asked, method };
    const message = this.#random.pick([
      { id: 1, method: 'tools/call', params: { name: 'effect', arguments: { nonce: NAME } } },
      { id: 2, method: 'ping' },
      { id: 's1.0', result: { action: 'accept', content: { answer: NAME } } },
      { method: 'notifications/cancelled', params: { requestId: 1 } },
    ]);
    return { ...asked, method, body: JSON.stringify({ jsonrpc: '2.0', ...message }) };
  }

  #withEvent(): HttpRequest | undefined {
    const { story } = this.#own;
    const { received } = this.#world.ledger;
    const theirs = received.slice(-LATEST).flatMap(({ session, id }) => (session === story?.id ? [] : (id ?? [])));
    if (story === undefined || theirs.length === 0) return undefined;
    const headers = headersOf(story.version, story.id, this.#random.pick(theirs));
    return { method: 'GET', headers, authInfo: authOf(story.client) };
  }

  #pick(ended: boolean): SessionStory | undefined {
    const stories = [...this.#world.ledger.sessions.values()].filter(
      ({ deleteSentAt, deletedAt, client }) =>
        (ended ? deletedAt !== undefined : deleteSentAt === undefined) && (ended || !client.startsWith(NAME)),
    );
    return stories.length === 0 ? undefined : this.#random.pick(stories.slice(-LATEST));
  }
}

/** Whether a message is anything but an error. */
export function isServed(text: string): boolean {
  const { error, result } = JSON.parse(text) as Message;
  return error === undefined && result?.['isError'] !== true;
}

/** Whether a text holds a payload of another session than this one's. */
const isForeign = (text: string, prefix: string): boolean =>
  [...text.matchAll(NONCE)].some(([nonce]) => nonce !== prefix);
