/**
 * A client that must be refused: with another user's session id, without a user, with an event id of another session,
 * with the id of a session that has ended. It must hear nothing but errors, and nothing that it asks for may happen: the
 * checker finds a tool that ran for it, and a session or a call that it disturbed.
 */
import type { RawHeaders } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { type History, now, type Story } from '../history.ts';
import { isForeign, isServed } from '../messages.ts';
import { pause, within } from '../pause.ts';
import type { ActorOptions } from './actor.ts';
import { RawActor } from './raw-actor.ts';
import { type Asked, RawHttp } from './raw-http.ts';

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
/** Among the sessions that ended. */
const LATEST = 200;
const NAME = 'intruder';

export class Intruder {
  readonly #options: Pick<ActorOptions, 'history' | 'random' | 'url'>;
  readonly #history: History;
  readonly #http: RawHttp;
  /** A session that it opened itself: on it, it sends event ids of others. */
  readonly #own: RawActor;
  readonly attempts: Record<Intrusion, number> = { user: 0, anonymous: 0, event: 0, ended: 0 };
  readonly #judging = new Set<Promise<void>>();
  #turn = 0;

  constructor(options: Pick<ActorOptions, 'history' | 'random' | 'url'>) {
    this.#options = options;
    this.#history = options.history;
    this.#http = new RawHttp({ ...options, patienceMs: 0 });
    this.#own = new RawActor({ ...options, name: `${NAME}1`, version: '2025-11-25' });
  }

  async run(over: () => boolean, everyMs: number): Promise<void> {
    // One session has ended from the start; those of clients may all live to the end.
    await this.#own.open();
    await this.#own.delete();
    await this.#own.open();
    while (!over()) await Promise.all([pause(everyMs), this.#attempt()]);
    await Promise.all(this.#judging);
    await this.#own.close();
    this.#http.close();
  }

  async #attempt(): Promise<void> {
    const intrusion = KINDS[this.#turn++ % KINDS.length] ?? 'user';
    const asked = intrusion === 'event' ? this.#withEvent() : this.#withSession(intrusion);
    if (asked === undefined) return;
    const outcome = await this.#http.send(asked);
    // Broken connections and 503 say nothing about who is let in.
    if (outcome.kind !== 'answer') return;
    this.attempts[intrusion] += 1;
    this.#judging.add(this.#judge(intrusion, asked, outcome.response));
  }

  async #judge(intrusion: Intrusion, { method, headers }: Asked, response: RawResponse): Promise<void> {
    if (response.sse) await within(READ_MS, response.ended);
    // On its own session it may hear what that session has to say.
    const letIn = intrusion === 'event' ? isForeign(response.body, this.#own.story?.prefix ?? '') : isServed(response);
    if (letIn) {
      const what = `${INTRUSIONS[intrusion]}: ${method} ${JSON.stringify(headers)} was answered`;
      this.#history.violation('letIn', `${what} ${response.status} ${response.body}`);
    }
    response.abort();
  }

  #withSession(intrusion: Exclude<Intrusion, 'event'>): Asked | undefined {
    const story = intrusion === 'ended' ? this.#ended() : this.#living();
    if (story === undefined) return undefined;
    const { id, user, version } = story;
    const who = { user: 'user-mallory', anonymous: null, ended: user }[intrusion];
    return this.#asked({
      'mcp-session-id': id,
      'mcp-protocol-version': version,
      ...(who !== null && { 'x-user': who }),
    });
  }

  #withEvent(): Asked | undefined {
    const lastId = this.#living(({ streams }) => streams.lastId !== undefined)?.streams.lastId;
    const { story } = this.#own;
    if (lastId === undefined || story === undefined) return undefined;
    const { id, version, user } = story;
    const headers = { 'mcp-session-id': id, 'mcp-protocol-version': version, 'x-user': user, 'last-event-id': lastId };
    return { method: 'GET', headers, what: NAME };
  }

  #asked(headers: RawHeaders): Asked {
    const { random } = this.#options;
    const method = random.weighted({ POST: 6, GET: 2, DELETE: 1 });
    if (method !== 'POST') return { method, headers, what: NAME };
    const message = random.pick([
      { id: 1, method: 'tools/call', params: { name: 'effect', arguments: { nonce: NAME } } },
      { id: 2, method: 'ping' },
      { id: 's1.0', result: { action: 'accept', content: { answer: NAME } } },
      { method: 'notifications/cancelled', params: { requestId: 1 } },
    ]);
    return { method, headers, body: { jsonrpc: '2.0', ...message }, what: NAME };
  }

  #living(suits: (story: Story) => boolean = () => true): Story | undefined {
    const living = this.#history.stories.filter(
      (story) => story.deleteSentAt === undefined && !story.client.startsWith(NAME) && suits(story),
    );
    return living.length === 0 ? undefined : this.#options.random.pick(living);
  }

  #ended(): Story | undefined {
    const ended = this.#history.stories.filter(({ deletedAt = Infinity }) => deletedAt < now()).slice(-LATEST);
    return ended.length === 0 ? undefined : this.#options.random.pick(ended);
  }
}
