/**
 * A client that must be refused: with another user's session id, without a user, with an event id of another session,
 * with the id of a session that has ended. Anything but a refusal is a way in.
 */
import { isDeepStrictEqual } from 'node:util';
import { otherUser, rpcError, sessionNotFound, type SojournError } from '../../../src/errors.ts';
import { GET_STREAM, parseEventId, sessionTag } from '../../../src/session/streams/event-id.ts';
import type { RawEvent } from '../../kit/sse-parser.ts';
import type { RawHeaders } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { type History, now, type Story } from '../history.ts';
import { pause, within } from '../pause.ts';
import { isHoldEvent, isResumeRefusal, saysSessionEnded } from '../resume-refusal.ts';
import type { ActorOptions } from './actor.ts';
import { RawActor } from './raw-actor.ts';
import { type Asked, RawHttp } from './raw-http.ts';

export const INTRUSIONS = {
  user: 'another user',
  anonymous: 'no user',
  event: "another session's event id",
  ended: 'an ended session id',
} as const;

export type Intrusion = keyof typeof INTRUSIONS;

/**
 * What each is refused with; 404 where the session has ended in that time. 204: a stream from which nothing follows.
 */
const REFUSALS: Readonly<Record<Intrusion, readonly number[]>> = {
  user: [403, 404],
  anonymous: [403, 404],
  event: [204],
  ended: [404],
};
const TEXTS: Readonly<Record<number, () => SojournError>> = { 403: otherUser, 404: sessionNotFound };

/** How long a response with 200 is read: whatever a session has to say comes at once. */
const READ_MS = 300;
/** `waitMs` of the instances: its default. */
const WAIT_MS = 15_000;
/** Among the sessions that ended. */
const LATEST = 200;

interface Answered {
  readonly response: RawResponse;
  readonly waitedMs: number;
}

export class Intruder {
  readonly #options: ActorOptions;
  readonly #history: History;
  readonly #http: RawHttp;
  /** Two sessions that it opened itself. On them it sends event ids of sessions of the same user and of others. */
  readonly #own: readonly [RawActor, RawActor];
  readonly attempts: Record<Intrusion, number> = { user: 0, anonymous: 0, event: 0, ended: 0 };
  readonly #judging = new Set<Promise<void>>();
  #turn = 0;

  constructor(options: ActorOptions) {
    this.#options = options;
    this.#history = options.history;
    this.#http = new RawHttp({ ...options, patienceMs: 0 });
    const own = (n: number): RawActor =>
      new RawActor({ ...options, name: `${options.name}${n}`, version: '2025-11-25' });
    this.#own = [own(1), own(2)];
  }

  async run(over: () => boolean, everyMs: number): Promise<void> {
    await Promise.all(this.#own.map((actor) => actor.open()));
    while (!over()) {
      await Promise.all([pause(everyMs), this.#attempt()]);
    }
    await Promise.all(this.#judging);
    await Promise.all(this.#own.map((actor) => actor.close()));
    this.#http.close();
  }

  async #attempt(): Promise<void> {
    const kinds = Object.keys(INTRUSIONS) as Intrusion[];
    const intrusion = kinds[this.#turn++ % kinds.length] ?? 'user';
    const asked = intrusion === 'event' ? this.#withEvent() : this.#withSession(intrusion);
    if (asked === undefined) return;
    const sentAt = now();
    const outcome = await this.#http.send(this.#options.route, asked);
    const waitedMs = now() - sentAt;
    // Broken connections and 503 say nothing about who is let in.
    if (outcome.kind !== 'answer') return;
    const { response } = outcome;
    this.attempts[intrusion] += 1;
    this.#judging.add(this.#judge(intrusion, asked, { response, waitedMs }));
  }

  async #judge(intrusion: Intrusion, asked: Asked, { response, waitedMs }: Answered): Promise<void> {
    if (response.status === 200 && response.sse) await within(READ_MS, response.ended);
    const isRefused =
      (waitedMs >= WAIT_MS && isAcceptedUnread(asked, response)) || this.#isRefused(intrusion, asked, response);
    if (!isRefused) {
      const what = `${INTRUSIONS[intrusion]}: ${asked.method} ${JSON.stringify(asked.headers)} was answered`;
      this.#history.violation('letIn', `${what} ${response.status} ${response.body}`);
    }
    response.abort();
  }

  #isRefused(intrusion: Intrusion, { method, headers, body }: Asked, response: RawResponse): boolean {
    const { status } = response;
    if (REFUSALS[intrusion].includes(status)) return saysNoMore(response, body);
    if (status !== 200) return false;
    if (isUnavailable(response)) return true;
    // A DELETE that another instance may have carried out before it died gets the true answer: the session has ended.
    if (intrusion === 'ended' && method === 'DELETE') return response.body === '';
    if (intrusion === 'ended' && method === 'POST') return saysSessionEnded(response.body);
    if (method !== 'GET' || !response.sse) return false;
    // A GET is held, with comments, while its instance cannot know whose session it is.
    if (intrusion !== 'event') return response.events.every((event) => isHoldEvent(event, undefined));
    const lastEventId = String(headers['last-event-id']);
    const [mine] = this.#own;
    const own = sessionTag(mine.story?.id ?? '');
    return response.events.every(
      (event) =>
        isHoldEvent(event, lastEventId) || isResumeRefusal(event, lastEventId, 'notKept') || isNewStream(event, own),
    );
  }

  #withSession(intrusion: Intrusion): Asked | undefined {
    const story = intrusion === 'ended' ? this.#ended() : this.#living();
    if (story === undefined) return undefined;
    const { id, user, version } = story;
    const who = { user: 'user-mallory', anonymous: null, ended: user, event: user }[intrusion];
    return this.#asked({
      'mcp-session-id': id,
      'mcp-protocol-version': version,
      ...(who !== null && { 'x-user': who }),
    });
  }

  #withEvent(): Asked | undefined {
    const [mine, other] = this.#own;
    const theirs = this.#options.random.chance(0.5) ? this.#living() : other.story;
    const lastId = theirs?.streams.lastId;
    const { story } = mine;
    if (lastId === undefined || story === undefined || theirs === story) return undefined;
    const { id, version, user } = story;
    const headers = { 'mcp-session-id': id, 'mcp-protocol-version': version, 'x-user': user, 'last-event-id': lastId };
    return { method: 'GET', headers, what: 'intruder' };
  }

  #asked(headers: RawHeaders): Asked {
    const { random } = this.#options;
    const method = random.weighted({ POST: 6, GET: 2, DELETE: 1 });
    if (method !== 'POST') return { method, headers, what: 'intruder' };
    const message = random.pick([
      { id: 1, method: 'tools/call', params: { name: 'effect', arguments: { nonce: 'intruder' } } },
      { id: 2, method: 'ping' },
      { id: 's1.0', result: { action: 'accept', content: { answer: 'intruder' } } },
      { method: 'notifications/cancelled', params: { requestId: 1 } },
    ]);
    return { method, headers, body: { jsonrpc: '2.0', ...message }, what: 'intruder' };
  }

  #living(): Story | undefined {
    const living = this.#history.stories.filter(({ deleteSentAt, client }) => {
      return deleteSentAt === undefined && !client.startsWith(this.#options.name);
    });
    return living.length === 0 ? undefined : this.#options.random.pick(living);
  }

  #ended(): Story | undefined {
    const ended = this.#history.stories.filter(({ deletedAt = Infinity }) => deletedAt < now()).slice(-LATEST);
    return ended.length === 0 ? undefined : this.#options.random.pick(ended);
  }
}

/** Whether the body of a refusal holds nothing but the id that was sent, and a text of the error catalogue. */
function saysNoMore({ status, body }: RawResponse, sent: Asked['body']): boolean {
  const error = TEXTS[status]?.();
  if (error === undefined) return body === '';
  const { id = null } = (sent ?? {}) as { id?: string | number };
  const said = JSON.parse(body) as unknown;
  return [id, null].some((one) => isDeepStrictEqual(said, { jsonrpc: '2.0', id: one, error: rpcError(error) }));
}

/**
 * Past `waitMs` an answer or a notification is accepted before an instance knows whose session it is for. It reaches no
 * handler: the user is compared before it is delivered.
 */
function isAcceptedUnread({ body }: Asked, { status }: RawResponse): boolean {
  const { id, method } = (body ?? {}) as { id?: unknown; method?: unknown };
  return status === 202 && (id === undefined || method === undefined);
}

/** The error of any request past `waitMs`. Without the store no instance knows whose session it is. */
function isUnavailable({ status, body }: RawResponse): boolean {
  if (status !== 200 || !body.startsWith('{')) return false;
  const { error } = JSON.parse(body) as { error?: { message: string; data?: { mayHaveRun?: boolean } } };
  return error?.data?.mayHaveRun === false && error.message.startsWith('Service Unavailable: ');
}

/** What a GET stream that is opened anew begins with. Nothing else is pushed to the intruder's sessions. */
function isNewStream({ id, data = '', comment }: RawEvent, tag: string): boolean {
  const position = id === undefined ? undefined : parseEventId(id);
  if (comment !== undefined || position?.tag !== tag || position.stream !== GET_STREAM) return false;
  return (
    data === '' || /^\{"jsonrpc":"2\.0","method":"notifications\/(tools|prompts|resources)\/list_changed"\}$/.test(data)
  );
}
