/**
 * An exchange whose client is connected to another instance. The answer is sent over the link to that instance.
 *
 *     waiting ──openStream──▶ streaming
 *        ├─────────────────────────┼──respond, end, refuse──▶ answered ──that instance has taken it──▶ acknowledged
 *        ├─────────────────────────┼──the client disconnected──▶ clientLeft
 *        ├─────────────────────────┼──handOn──▶ handedOn: the next owner continues the call
 *        ╰─────────────────────────┴──failLink──▶ linkFailed: no instance knows the outcome
 *
 * After `acknowledged` and `clientLeft` the relaying instance does not retry the call.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { CREDIT_BYTES, type Link } from '../cluster/link.ts';
import type { AnswerItem, CallItem } from '../cluster/messages.ts';
import type { SojournError } from '../errors.ts';
import { follow, type Transitions } from '../options/transitions.ts';
import { attempt, failWith, type ReportFailure } from '../http/attempt.ts';
import { RequestBytes } from '../http/body.ts';
import {
  closeSignal,
  type Exchange,
  type HeaderFields,
  type HeaderList,
  type RelayOrigin,
  type RunningWork,
} from '../http/exchange.ts';
import type { MemoryUse } from '../http/slow-readers.ts';
import { createRequestView, type RequestSource } from '../http/request-view.ts';
import type { McpHttpRequest } from '../types.ts';
import type { Notices, Refusal } from '../observe/notices.ts';
import { authOf, sendHeaders } from './envelope.ts';

const ITEM_BYTES = 64;

type State = 'waiting' | 'streaming' | 'answered' | 'acknowledged' | 'clientLeft' | 'handedOn' | 'linkFailed';

const STATES: Transitions<State> = {
  waiting: ['streaming', 'answered', 'clientLeft', 'handedOn', 'linkFailed'],
  streaming: ['answered', 'clientLeft', 'handedOn', 'linkFailed'],
  answered: ['acknowledged'],
  acknowledged: [],
  clientLeft: [],
  handedOn: [],
  linkFailed: [],
};

export interface RelayedExchangeOptions {
  readonly envelope: CallItem;
  readonly link: Link;
  readonly notices: Notices;
  readonly memory: MemoryUse;
  /** Removes it from the calls being served. */
  onFinished(): void;
  readonly report: ReportFailure;
}

export class RelayedExchange implements Exchange, RequestSource, RelayOrigin {
  readonly #envelope: CallItem;
  readonly #link: Link;
  readonly #releaseLink: () => void;
  authInfo: AuthInfo | undefined;
  readonly node = undefined;
  readonly parsedBody = undefined;
  readonly canonicalHeaders = new Map<string, string>();
  user: string | undefined;
  sessionId: string | undefined = undefined;
  #request: McpHttpRequest | undefined;
  #signal: AbortSignal | undefined;
  #pending = 0;
  #state: State = 'waiting';
  #onClose: Array<() => unknown> = [];
  #onAcknowledged: Array<() => void> = [];
  readonly #onFinished: () => void;
  readonly #report: ReportFailure;
  readonly #notices: Notices;
  readonly #held: RequestBytes;

  constructor({ envelope, link, notices, memory, onFinished, report }: RelayedExchangeOptions) {
    this.#envelope = envelope;
    this.#link = link;
    this.#notices = notices;
    this.#held = new RequestBytes(memory);
    this.#releaseLink = link.hold('stream');
    this.#onFinished = onFinished;
    this.#report = report;
    this.authInfo = authOf(envelope);
    this.user = envelope.user;
  }

  get #n(): number {
    return this.#envelope.n;
  }
  get method(): string {
    return this.#envelope.method;
  }
  get url(): string {
    return this.#envelope.url;
  }
  get relayOrigin(): RelayOrigin {
    return this;
  }
  get request(): McpHttpRequest {
    return (this.#request ??= createRequestView(this));
  }
  get signal(): AbortSignal {
    return (this.#signal ??= closeSignal(this));
  }
  header(name: string): string | undefined {
    const value = this.#envelope.headers[name];
    return typeof value === 'string' || value === undefined ? value : value.join(', ');
  }
  headerFields(): HeaderFields {
    return this.#envelope.headers;
  }
  headers(): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(this.#envelope.headers)) {
      for (const one of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, one);
    }
    return headers;
  }
  absoluteUrl(): string {
    return this.#envelope.absoluteUrl;
  }

  readonly clientAddress = undefined;

  /** The body counts in the memory budgets of both instances: an owner has many relaying instances. */
  holds(bytes: number): boolean {
    return !this.closed && this.#held.take(bytes);
  }

  heldBy(work: RunningWork): void {
    this.#held.heldBy(work);
  }

  /** The relaying instance has read the body already. */
  readBody(_limit: number, done: (refusal: SojournError | undefined, bytes: Uint8Array) => void): void {
    done(undefined, new Uint8Array(0));
  }

  refused(refusal: Refusal): void {
    this.#notices.refused(this, refusal);
  }

  respond(status: number, headers: HeaderList, body?: string): void {
    if (this.closed) return;
    const session = this.sessionId;
    const answer = {
      t: 'answer',
      n: this.#n,
      status,
      headers: sendHeaders(headers),
      ...(body !== undefined && { body }),
      ...(session !== undefined && { session }),
    } as const;
    this.#finish(answer, body?.length);
  }

  openStream(headers: HeaderList): void {
    if (this.#state !== 'waiting') return;
    this.#become('streaming');
    const session = this.sessionId;
    this.#push({ t: 'stream', n: this.#n, headers: sendHeaders(headers), ...(session !== undefined && { session }) });
  }

  write(chunk: string): void {
    if (!this.closed) this.#push({ t: 'write', n: this.#n, chunk }, chunk.length);
  }

  end(): void {
    if (!this.closed) this.#finish({ t: 'end', n: this.#n });
  }

  destroy(): void {
    if (this.closed) return;
    this.#finish({ t: 'cut', n: this.#n });
    this.#runCloseListeners();
  }

  fail(cause: unknown): void {
    failWith(this, { cause, streaming: this.#state === 'streaming', report: this.#report });
  }

  refuse(): void {
    if (!this.closed) this.#finish({ t: 'refused', n: this.#n });
  }

  handOn(): void {
    if (this.closed) return;
    this.#become('handedOn');
    this.#push({ t: 'lost', n: this.#n });
  }

  room(): Promise<void> | undefined {
    return this.#link.fits(0) ? undefined : this.#link.room(0);
  }

  onAcknowledged(fn: () => void): void {
    if (this.#state === 'acknowledged' || this.#state === 'clientLeft') fn();
    else this.#onAcknowledged.push(fn);
  }

  /**
   * The relaying instance judges whether its client is too slow. Unacknowledged bytes count here only above the credit
   * of the link. Above twice the credit every stream over the link is too slow.
   */
  get pendingBytes(): number {
    const { unackedBytes } = this.#link;
    if (unackedBytes <= CREDIT_BYTES) return 0;
    return unackedBytes > 2 * CREDIT_BYTES ? Infinity : this.#pending;
  }

  get closed(): boolean {
    return this.#state !== 'waiting' && this.#state !== 'streaming';
  }

  onClose(fn: () => unknown): void {
    if (this.#state === 'clientLeft' || this.#state === 'linkFailed') return attempt(this, fn);
    this.#onClose.push(fn);
  }

  /** The client disconnected from the relaying instance. */
  clientLeft(): void {
    if (this.closed) return;
    this.#become('clientLeft');
    this.#runCloseListeners();
    this.#runAcknowledged();
  }

  get linkFailed(): boolean {
    return this.#state === 'linkFailed';
  }

  /** The link failed: the relaying instance is dead, or this instance is dead to it. */
  failLink(): void {
    if (this.closed) return;
    this.#become('linkFailed');
    this.#runCloseListeners();
  }

  /** Every state but the first two ends the call here. */
  #become(next: State): void {
    const before = this.closed;
    this.#state = follow(STATES, this.#state, next);
    if (before || !this.closed) return;
    this.#releaseLink();
    this.#held.release();
    this.#onFinished();
  }

  #runCloseListeners(): void {
    for (const fn of this.#onClose.splice(0)) attempt(this, fn);
  }

  #runAcknowledged(): void {
    for (const fn of this.#onAcknowledged.splice(0)) attempt(this, fn);
  }

  #finish(item: AnswerItem, size = 0): void {
    this.#push(item, size, () => {
      this.#become('acknowledged');
      this.#runAcknowledged();
    });
    this.#become('answered');
  }

  #push(item: AnswerItem, size = 0, taken?: () => void): void {
    const bytes = size + ITEM_BYTES;
    this.#pending += bytes;
    this.#link.push(item, bytes, () => {
      this.#pending -= bytes;
      taken?.();
    });
  }
}
