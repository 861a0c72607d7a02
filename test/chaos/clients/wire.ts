/**
 * What goes over the wire between an official client and the deployment: a `fetch` that tries again what was not
 * accepted, reads along, and knows of each call whether its answer can still come. Official clients do not try 503
 * again, and some never notice that the stream of a call is gone for good.
 */
import type { Random } from '../../simulation/random.ts';
import { type Call, type Ending, type History, now, type Story } from '../history.ts';
import { endingOf, isAnswer, isOver, type Message, note } from '../messages.ts';
import { SseParser } from '../../kit/sse-parser.ts';
import { pause, within } from '../pause.ts';
import { NO_INSTANCE } from '../proxy.ts';
import { REFUSED_MS, refusesResume, saysSessionEnded } from '../resume-refusal.ts';
import { streamOf } from '../session-streams.ts';
import { PATIENCE_MS } from './actor.ts';
import { tap } from './tap.ts';

export interface WireOptions {
  readonly history: History;
  readonly random: Random;
  readonly user: string;
  route(): string;
  /** The version in `initialize`, instead of the newest that the client speaks. */
  readonly initializeAs?: string | undefined;
  /** `initialize` was answered with a session. */
  opened(sessionId: string, instance: string): void;
  /** The user whose messages come; undefined: none yet, or 2026-07-28. */
  story(): Story | undefined;
  prefix(): string;
}

/** An HTTP request that was answered. */
interface Asked {
  readonly what: string;
  readonly instance: string;
  readonly from: number;
  /** Of a GET that resumes a stream. */
  readonly lastId: string | undefined;
}

/** A call on the wire. */
interface Sent {
  readonly id: string | number | undefined;
  readonly call: Call;
  /** It was answered with a question: its client calls again. */
  asked: boolean;
}

/** One response that streams, or more of a stream that did. */
interface Reading {
  /** The client came back for it. */
  readonly resumed: boolean;
  /** Its client has had an event of it. */
  heard: boolean;
  /** Undefined: the GET stream. */
  readonly sent: Sent | undefined;
  readonly listens: boolean;
  readonly instance: string;
  lastId: string | undefined;
}

const RETRY_MS = 300;

export class Wire {
  readonly #options: WireOptions;
  readonly #history: History;
  /** Calls by the stream of their answer. */
  readonly #byStream = new Map<string, Sent>();
  /** Told when no answer can come any more. */
  readonly #waiting = new Map<Call, (ending: Ending) => void>();
  /** Breaks the streams of calls that can be resumed. */
  readonly #cuts = new Set<() => void>();
  #cutGet: (() => void) | undefined;
  #closed = false;

  constructor(options: WireOptions) {
    this.#options = options;
    this.#history = options.history;
  }

  /** Where its client connects; each request is routed anew. */
  get url(): string {
    return this.#options.route();
  }

  close(): void {
    this.#closed = true;
  }

  /** Breaks the GET stream under the client. */
  dropGet(): void {
    this.#cutGet?.();
  }

  /** Breaks the streams of its calls under the client. */
  leave(): void {
    for (const cut of this.#cuts) cut();
  }

  /** Resolves when the wire shows that a call will have no answer. */
  ended(call: Call): Promise<Ending> {
    return new Promise((resolve) => this.#waiting.set(call, resolve));
  }

  readonly fetch = async (_url: string | URL, init: RequestInit = {}): Promise<Response> => {
    const message = typeof init.body === 'string' ? (JSON.parse(init.body) as Message) : undefined;
    const { initializeAs, user } = this.#options;
    const headers = new Headers(init.headers);
    headers.set('x-user', user);
    const sent = this.#sent(message);
    const request = { ...init, headers };
    if (message?.method === 'initialize' && initializeAs !== undefined)
      request.body = JSON.stringify({ ...message, params: { ...message.params, protocolVersion: initializeAs } });
    const what = message === undefined ? (init.method ?? 'GET') : (message.method ?? 'answer');
    const lastId = headers.get('last-event-id') ?? undefined;
    const { response, instance } = await this.#accepted(request, what, sent, lastId);
    const resumed = lastId === undefined ? undefined : this.#byStream.get(streamOf(lastId) ?? '');
    const { status, headers: answered, body } = response;
    const sessionId = answered.get('mcp-session-id');
    if (message?.method === 'initialize' && status === 200 && sessionId !== null)
      this.#options.opened(sessionId, instance);
    if (status >= 300) await this.#refused(sent, response, instance);
    if (body === null || !(answered.get('content-type') ?? '').startsWith('text/event-stream')) {
      if (lastId !== undefined) await this.#notResumed(lastId, resumed, response);
      else if (sent !== undefined && status === 200) this.#message(await response.clone().text(), sent);
      return response;
    }
    const of = sent ?? resumed;
    if (resumed !== undefined) resumed.call.resumes += 1;
    const listens = request.method !== 'POST' && of === undefined;
    const reading = { sent: of, listens, instance, lastId, resumed: lastId !== undefined, heard: false };
    return new Response(this.#readAlong(body, reading), { status, headers: answered });
  };

  // ——— sending ———

  #sent(message: Message | undefined): Sent | undefined {
    if (message?.method !== 'tools/call') return undefined;
    const { nonce } = (message.params?.['arguments'] ?? {}) as { nonce?: string };
    const call = this.#history.calls.get(String(nonce));
    return call === undefined ? undefined : { id: message.id, call, asked: false };
  }

  async #accepted(
    init: RequestInit,
    what: string,
    sent: Sent | undefined,
    lastId: string | undefined,
  ): Promise<{ response: Response; instance: string }> {
    const { random, route } = this.#options;
    const deadline = now() + PATIENCE_MS;
    // What may be said twice: everything but a call, whose client has to know.
    const again = sent === undefined && what !== 'initialize';
    for (;;) {
      const from = now();
      if (sent !== undefined) sent.call.attemptAt = from;
      const response = await fetch(route(), init);
      const { status } = response;
      const instance = response.headers.get('x-instance') ?? '';
      if (status !== 502) await this.#answered(response, { what, instance, from, lastId });
      else if (instance !== NO_INSTANCE) this.#history.broke(what, instance);
      const refused = status === 503 || (status === 502 && (again || instance === NO_INSTANCE));
      if (!refused || now() > deadline || this.#closed || init.signal?.aborted === true) return { response, instance };
      await response.body?.cancel();
      await pause(random.between(RETRY_MS / 6, RETRY_MS));
    }
  }

  async #answered(response: Response, asked: Asked): Promise<void> {
    const { status, headers } = response;
    const { what, instance, from, lastId } = asked;
    const text = status >= 300 ? await response.clone().text() : '';
    this.#history.answered({ status, text, retryAfter: headers.has('retry-after'), what, instance });
    const story = this.#options.story();
    if (story === undefined) return;
    if (status === 404) this.#history.notFound(story, what);
    else if (status < 300 && story.deletedAt !== undefined && from > story.deletedAt) {
      const body = await within(REFUSED_MS, response.clone().text());
      const refused =
        body !== undefined &&
        (saysSessionEnded(body) || refusesResume(new SseParser().push(body), lastId, 'sessionNotFound'));
      if (!refused)
        this.#history.violation(
          'served',
          `session ${story.id} was deleted, and ${what} was answered ${status} ${body}`,
        );
    }
  }

  // ——— what becomes of a call ———

  async #refused(sent: Sent | undefined, response: Response, instance: string): Promise<void> {
    if (sent === undefined) return;
    const { status } = response;
    if (status === 502 && instance !== NO_INSTANCE) this.#end(sent, { kind: 'cut', instance });
    else this.#end(sent, { kind: 'refused', status, text: await response.clone().text() });
  }

  /** A GET that was to go on with a stream. */
  async #notResumed(lastId: string, sent: Sent | undefined, response: Response): Promise<void> {
    const { status } = response;
    if (status === 204) {
      if (sent !== undefined) this.#end(sent, { kind: 'silent', instance: response.headers.get('x-instance') ?? '' });
    } else if (status >= 400 && status < 500) {
      const story = this.#options.story();
      const ended = story === undefined || story.deleteSentAt !== undefined;
      const text = await response.clone().text();
      if (sent !== undefined) this.#end(sent, { kind: ended ? 'refused' : 'unresumable', status, text });
      else if (!ended) this.#history.violation('unresumable', `${story.id} from ${lastId}: ${status} ${text}`);
    }
  }

  #end({ call, asked }: Sent, ending: Ending): void {
    if (isOver(call) || asked) return;
    this.#waiting.get(call)?.(ending);
    this.#waiting.delete(call);
  }

  // ——— reading along ———

  #readAlong(body: ReadableStream<Uint8Array>, reading: Reading): ReadableStream<Uint8Array> {
    const { sent, listens, instance } = reading;
    const story = this.#options.story();
    if (listens && story !== undefined && story.version < '2025-11-25') hears(story);
    const tapped = tap(body, {
      event: (event) => this.#event(event, reading),
      ended: (how) => {
        this.#cuts.delete(cut);
        if (this.#cutGet === cut) this.#cutGet = undefined;
        if (how === 'cut' && !broken && !this.#closed) this.#history.broke(sent?.call.tool ?? 'GET', instance);
        if (how !== 'left' && reading.resumed && !reading.heard) this.#forgotten(reading, how);
        // With an event id its client comes back for it.
        if (sent === undefined || reading.lastId !== undefined || how === 'left') return;
        this.#end(sent, { kind: how === 'complete' ? 'silent' : 'cut', instance });
      },
    });
    let broken = false;
    const cut = (): void => {
      // Before the first event clients of both lines forget what they came back for.
      if (!reading.heard && (reading.resumed || !listens)) return;
      broken = true;
      tapped.break();
    };
    if (listens) this.#cutGet = cut;
    else this.#cuts.add(cut);
    return tapped.stream;
  }

  /**
   * Official clients of both lines forget where they were when a stream that they came back for breaks before its first
   * event: they open another GET stream instead, and each of the two then ends the other.
   */
  #forgotten({ sent, instance }: Reading, how: 'complete' | 'cut'): void {
    const story = this.#options.story();
    if (sent === undefined) return;
    this.#history.count('streams whose client forgot where it was');
    if (story !== undefined) story.streams.readers = 2;
    this.#end(sent, { kind: how === 'complete' ? 'silent' : 'cut', instance });
  }

  /** Official clients never see an event without a data field, nor its id: priming events before 2025-11-25. */
  #event({ id, data }: { readonly id?: string; readonly data?: string }, reading: Reading): void {
    const { sent, listens } = reading;
    const story = this.#options.story();
    const seen = data !== undefined;
    if (seen) reading.heard = true;
    if (id !== undefined) {
      if (seen) reading.lastId = id;
      story?.streams.take(id, data ?? '', seen);
      if (listens && story !== undefined) hears(story);
      const stream = streamOf(id);
      if (sent !== undefined && stream !== undefined) this.#byStream.set(stream, sent);
    }
    if (seen && data !== '') this.#message(data, sent);
  }

  #message(data: string, sent: Sent | undefined): void {
    const message = note(this.#history, this.#options.story(), this.#options.prefix(), data, sent !== undefined);
    if (sent === undefined || !isAnswer(message) || message.id !== sent.id) return;
    sent.asked = message.result?.['resultType'] === 'input_required';
    if (!sent.asked) this.#history.end(sent.call, endingOf(message));
  }
}

function hears(story: Story): void {
  story.listensFrom = Math.min(story.listensFrom, now());
}
