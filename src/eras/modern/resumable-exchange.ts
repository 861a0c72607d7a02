/**
 * The exchange of a 2026-07-28 call that can be resumed: its client may change, and the call does not notice.
 *
 *     waiting ──the head is due──▶ recording ──recorded──▶ resumable ──end──▶ answered
 *        │                             │ ╰──not recorded──▶ plain    ├──handed over──▶ left
 *        ├──respond, end───────────────┼───────────────────────┼─────┼──────────────▶ answered
 *        ╰──the client disconnected────┴───────────────────────┴─────┴──for too long▶ cancelled
 *
 * `waiting`, `recording` and `plain` have the client of the request. From `resumable` on there is one client or none: a
 * cut leaves none, and a GET brings another. Every message gets an event id and is kept for the next client
 * (`kept-messages.ts`).
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { attempt } from '../../http/attempt.ts';
import {
  type BodyRead,
  closeSignal,
  type Exchange,
  type HeaderFields,
  type HeaderList,
  type RunningWork,
} from '../../http/exchange.ts';
import { createRequestView, type RequestSource } from '../../http/request-view.ts';
import type { CallReader, ReaderListener, ResponsePolicy } from '../../http/reader.ts';
import { HttpResponse } from '../../http/response.ts';
import { follow, type Transitions } from '../../options/transitions.ts';
import type { Refusal } from '../../observe/notices.ts';
import type { McpHttpRequest } from '../../types.ts';
import { type CallPosition, formatCallPosition, resumedPosition } from './call-position.ts';
import { KeptMessages, type KeptMessagesHost } from './kept-messages.ts';
import { sendFirst } from './lost-answers.ts';

type State = 'waiting' | 'recording' | 'plain' | 'resumable' | 'answered' | 'left' | 'cancelled';

const STATES: Transitions<State> = {
  waiting: ['recording', 'answered', 'cancelled'],
  recording: ['resumable', 'plain', 'cancelled'],
  plain: ['answered', 'cancelled'],
  resumable: ['answered', 'left', 'cancelled'],
  answered: [],
  left: [],
  cancelled: [],
};

/** The request as its handler sees it: that of the client, or a kept one. */
export type RequestOrigin = Pick<
  Exchange,
  'method' | 'url' | 'header' | 'headerFields' | 'absoluteUrl' | 'canonicalHeaders' | 'authInfo' | 'user'
> &
  Partial<Pick<Exchange, 'clientAddress' | 'request'>>;

/** Reads header fields by their lower-case names. */
export function readsHeaders(headers: HeaderFields): Pick<RequestOrigin, 'header' | 'headerFields'> {
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return typeof value === 'string' || value === undefined ? value : value.join(', ');
  };
  return { header, headerFields: () => headers };
}

/** What a resumable call needs of the calls of its instance. */
export interface ResumableHost extends KeptMessagesHost {
  readonly retryMs: number;
  /** The response to a client that reads a stream. */
  readonly response: ResponsePolicy;
  /** Records the call. Resolves with `false` when it cannot be resumed. */
  record(call: ResumableExchange): Promise<boolean>;
  /** It has no client from now on. `false`: it does not go on. */
  goesOn(call: ResumableExchange): boolean;
  /** It has a client again. */
  attached(call: ResumableExchange): void;
  /** It was answered; `json` is the answer. */
  answered(call: ResumableExchange, json: string): void;
  /** It was cancelled after it had been recorded. */
  cancelled(call: ResumableExchange): void;
  report(cause: unknown): void;
}

export class ResumableExchange implements Exchange, RequestSource, ReaderListener {
  readonly #origin: RequestOrigin;
  readonly #host: ResumableHost;
  readonly #first: CallPosition;
  #state: State = 'waiting';
  /** The client of the request, until its head is sent. */
  #waiting: Exchange | undefined;
  #client: CallReader | undefined;
  /** The messages that came while the call was being recorded. */
  #queued: string[] = [];
  #endQueued = false;
  readonly #messages: KeptMessages;
  #onClose: Array<() => unknown> = [];
  #request: McpHttpRequest | undefined;
  #signal: AbortSignal | undefined;
  readonly relayOrigin = undefined;
  readonly parsedBody = undefined;
  sessionId: string | undefined = undefined;
  authInfo: AuthInfo | undefined;
  user: string | undefined;

  private constructor(origin: RequestOrigin, first: CallPosition, host: ResumableHost) {
    this.#origin = origin;
    this.#first = first;
    this.#host = host;
    this.#messages = new KeptMessages(host);
    this.authInfo = origin.authInfo;
    this.user = origin.user;
  }

  /** A call whose client waits for its answer. */
  static of(client: Exchange, first: CallPosition, host: ResumableHost): ResumableExchange {
    const call = new ResumableExchange(client, first, host);
    call.#waiting = client;
    client.onClose(() => {
      if (call.#waiting !== undefined) call.cancel();
    });
    return call;
  }

  /** A recorded call that runs again. It has no client yet. */
  static again(origin: RequestOrigin, first: CallPosition, host: ResumableHost): ResumableExchange {
    const call = new ResumableExchange(origin, first, host);
    call.#become('recording');
    call.#become('resumable');
    return call;
  }

  /** The head of its response was sent, in another run of it. */
  get hasHead(): boolean {
    return this.#state === 'resumable';
  }

  // ——— The client ———

  /** A client came back with this position. It gets what followed, and replaces an earlier client. */
  attach(client: CallReader, position: CallPosition): void {
    if (!client.isOpen) return;
    const isSameRun = position.run === this.#first.run;
    const after = isSameRun ? position.offset : 0;
    if (this.#state === 'answered' && isSameRun && after >= this.#messages.length) return client.done(204);
    const before = this.#client;
    this.#take(client);
    before?.end();
    client.begin(this.#host.response);
    const from = resumedPosition({ ...this.#first, offset: after, resumes: isSameRun ? position.resumes : 0 });
    client.point(formatCallPosition(from), this.#host.retryMs, true);
    for (const [offset, json] of this.#messages.after(after)) client.message(json, this.#idOf(offset));
    if (this.#state === 'answered') {
      this.#client = undefined;
      client.end();
      return;
    }
    client.sendHead();
    if (client.isOpen) this.#host.attached(this);
  }

  #take(client: CallReader): void {
    this.#client = client;
    client.listener = this;
  }

  /** A client disconnected. */
  over(client: CallReader): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    if (this.#state === 'resumable' && this.#host.goesOn(this)) return;
    this.cancel();
  }

  /** No client came back in time, or none may. */
  cancel(): void {
    if (this.closed) return;
    const isRecorded = this.#state === 'resumable';
    this.#become('cancelled');
    this.forget();
    this.destroy();
    if (isRecorded) this.#host.cancelled(this);
    for (const fn of this.#onClose.splice(0)) attempt(this, fn);
  }

  /** Another instance runs it again: its client comes back there. What still comes of this run is dropped. */
  leave(): void {
    if (this.#state !== 'resumable') return;
    this.#become('left');
    this.forget();
    this.#client?.end();
    this.#client = undefined;
  }

  /** Whether the newest message is kept. */
  get keepsNewest(): boolean {
    return this.#messages.keepsNewest;
  }

  /** Drops what was kept for the next client. */
  forget(): void {
    this.#messages.forget();
  }

  // ——— The answer ———

  refused(refusal: Refusal): void {
    this.#waiting?.refused(refusal);
  }

  respond(status: number, headers: HeaderList, body?: string): void {
    if (this.#state === 'waiting') {
      this.#become('answered');
      return this.#waiting?.respond(status, headers, body);
    }
    // The head was sent before.
    if (body !== undefined && body !== '') this.message(body);
    this.end();
  }

  openStream(): void {
    if (this.#state !== 'waiting') return;
    this.#become('recording');
    attempt(this, async () => this.#recorded(await this.#host.record(this)));
  }

  #recorded(resumable: boolean): void {
    if (this.#state !== 'recording') {
      if (resumable) this.#host.cancelled(this);
      return;
    }
    this.#become(resumable ? 'resumable' : 'plain');
    if (this.#waiting !== undefined) {
      const client = new HttpResponse(this.#waiting, this.#host.response).begin();
      this.#waiting = undefined;
      this.#take(client);
      sendFirst(client, this.#first, this.#host);
    }
    for (const json of this.#queued.splice(0)) this.message(json);
    if (this.#endQueued) this.end();
    else this.#client?.sendHead();
  }

  /** Comments only: the response of each client keeps itself alive. */
  write(): void {}

  message(json: string): void {
    if (this.#state === 'recording') this.#queued.push(json);
    else if (this.#state === 'plain') this.#client?.message(json);
    else if (this.#state === 'resumable') {
      const offset = this.#messages.add(json);
      this.#client?.message(json, this.#idOf(offset));
    }
  }

  #idOf(offset: number): string {
    return formatCallPosition({ ...this.#first, offset });
  }

  end(): void {
    if (this.#state === 'recording') {
      this.#endQueued = true;
      return;
    }
    if (this.closed) return;
    const isRecorded = this.#state === 'resumable';
    this.#become('answered');
    const client = this.#client;
    this.#client = undefined;
    client?.end();
    const json = this.#messages.takeNewest();
    if (isRecorded) this.#host.answered(this, json);
  }

  destroy(): void {
    this.#waiting?.destroy();
    this.#client?.cut();
  }

  fail(cause: unknown): void {
    if (this.#waiting === undefined) this.#host.report(cause);
    else this.#waiting.fail(cause);
    this.cancel();
  }

  /** The response of each client cuts it off when it is too slow. */
  readonly pendingBytes = 0;

  get closed(): boolean {
    return this.#state === 'answered' || this.#state === 'left' || this.#state === 'cancelled';
  }

  onClose(fn: () => unknown): void {
    if (this.#state === 'cancelled') attempt(this, fn);
    else this.#onClose.push(fn);
  }

  #become(next: State): void {
    this.#state = follow(STATES, this.#state, next);
  }

  // ——— The request ———

  get method(): string {
    return this.#origin.method;
  }
  get url(): string {
    return this.#origin.url;
  }
  header(name: string): string | undefined {
    return this.#origin.header(name);
  }
  headerFields(): HeaderFields {
    return this.#origin.headerFields();
  }
  headers(): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(this.headerFields())) {
      for (const one of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, one);
    }
    return headers;
  }
  absoluteUrl(): string {
    return this.#origin.absoluteUrl();
  }
  get canonicalHeaders(): Map<string, string> {
    return this.#origin.canonicalHeaders;
  }
  get clientAddress(): string | undefined {
    return this.#origin.clientAddress;
  }
  get node(): RequestSource['node'] {
    return this.#origin.request?.node;
  }
  get request(): McpHttpRequest {
    return (this.#request ??= createRequestView(this));
  }
  get signal(): AbortSignal {
    return (this.#signal ??= closeSignal(this));
  }

  /** The body was read before. */
  readBody(_limit: number, done: BodyRead): void {
    done(undefined, new Uint8Array(0));
  }
  holds(bytes: number): boolean {
    return this.#waiting?.holds(bytes) ?? false;
  }
  heldBy(work: RunningWork): void {
    this.#waiting?.heldBy(work);
  }
}
