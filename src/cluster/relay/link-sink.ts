/**
 * The sink of a call that another instance relayed: its values travel over the link, those of one turn as one item, or
 * as several where they are many. A head waits for the first event that the store takes, so that both arrive together.
 *
 *     open ──end, refuse, done, cut──▶ answered ──that instance has taken it──▶ acknowledged
 *       ├──the client disconnected──▶ clientLeft
 *       ├──handOver(true)──▶ handedOver: the next owner continues the call
 *       ╰──failLink──▶ linkFailed: no instance knows the outcome
 *
 * `handOver(false)` is an answer too: nothing ran here. After `acknowledged` and `clientLeft` the relaying instance
 * does not retry a call with another answer.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Link } from '../instance-link.ts';
import type { KnownNames } from '../../base/observe/known-names.ts';
import type { AnswerItem, SentError, SentValue } from '../messages.ts';
import { ERROR_CODES, internal, SojournError } from '../../base/errors.ts';
import type { LostForm } from '../../http/answer.ts';
import { RequestBytes, type RunningWork } from '../../http/body.ts';
import type { RelayOrigin } from '../../http/caller-request.ts';
import { guarded } from '../../http/exchange.ts';
import type {
  AnswerSink,
  ResponseSink,
  Room,
  SinkListener,
  ResponsePolicy,
} from '../../http/sink.ts';
import type { MemoryUse } from '../../base/budget.ts';
import { atEndOfTurn, type TurnTask } from '../../base/system.ts';
import type { RequestLife } from './sent-request.ts';

/** The answer to a guest, which has no session here. The relaying instance frames it for its client. */
const OF_GUEST: ResponsePolicy = { onSession: 'post', form: 'events' };
const VALUE_BYTES = 64;
const KNOWN = { tool: true } as const;
/** Values are pushed in the middle of a turn from here on: they count on the link, which may have too much. */
const MOST_HELD_BYTES = 65_536;

/** `acknowledged` follows `answered`, and each of the others `open`. */
type LinkSinkState =
  | 'open'
  | 'answered'
  | 'acknowledged'
  | 'clientLeft'
  | 'handedOver'
  | 'linkFailed';

export interface LinkSinkOptions {
  readonly link: Link;
  /** The number of the call on the link. */
  readonly n: number;
  readonly memory: MemoryUse;
  /** Whose share its body counts in. */
  readonly share: string;
  /** The names of the tools of the servers here. */
  readonly tools: Pick<KnownNames, 'has'>;
  report(cause: unknown): void;
  /** This user sends so much more: where that is too much, a stream on the link is cut. */
  makeRoom(bytes: number): void;
  /** The call needs nothing of this instance any more. */
  finished(): void;
}

export class LinkSink implements ResponseSink, AnswerSink, RelayOrigin, RequestLife, TurnTask {
  readonly #options: LinkSinkOptions;
  readonly #releaseLink: () => void;
  readonly #held: RequestBytes;
  #state: LinkSinkState = 'open';
  #policy: ResponsePolicy | undefined;
  /** The values of this turn, and their bytes. */
  #values: SentValue[] = [];
  #bytes = 0;
  #isDue = false;
  #hasSent = false;
  /** The link has room for the events that are being stored. */
  #hasRoom = false;
  /** The tool that the call names. */
  tool: string | undefined = undefined;
  #onClose: Array<() => unknown> = [];
  #onAcknowledged: Array<() => void> = [];
  listener: SinkListener | undefined;
  sessionId: string | undefined;
  lastId: string | undefined;
  /** How often the call of a guest runs, this run included. */
  attempt = 1;

  constructor(options: LinkSinkOptions) {
    this.#options = options;
    this.#releaseLink = options.link.hold('stream');
    this.#held = new RequestBytes(options.memory, options.share);
  }

  // ——— values ———

  begin(policy = OF_GUEST): void {
    if (this.#policy !== undefined) return;
    this.#policy = policy;
    // Its client left before the stream began: the end of this turn tells the stream.
    if (!this.isOpen) return atEndOfTurn(this);
    this.#add(['begin', policy.onSession ?? 'get', this.#session]);
  }

  sendHead(): void {
    this.#flush();
  }

  message(json: string, id?: string): void {
    if (!this.isOpen) return;
    this.lastId = id ?? this.lastId;
    // The relaying instance judges whether its client is too slow. Here a link that is too slow loses streams.
    if (!this.#hasRoom) this.#options.makeRoom(json.length);
    this.#add(id === undefined ? ['message', json] : ['message', json, id], json.length);
  }

  answer(json: string): void {
    this.begin();
    this.message(json);
    this.end();
  }

  point(id: string, retryMs: number, emptyData: boolean): void {
    if (this.takes === 'answers') return;
    this.lastId = id;
    this.#add(['point', id, retryMs, emptyData]);
  }

  refuse(error: SojournError, id: RequestId | null, form: LostForm = 'error'): void {
    this.#finish(['refuse', sentError(error), id, form, this.#session]);
  }

  done(status: 200 | 202 | 204): void {
    this.#finish(['done', status, this.#session]);
  }

  end(): void {
    this.#finish(['end']);
  }

  cut(): void {
    if (!this.isOpen) return;
    this.#finish(['cut']);
    this.#runCloseListeners();
  }

  /** It has most on a link that is too slow. What its client gets has no gap. */
  cutToMakeRoom(): void {
    const { link, n } = this.#options;
    link.withdraw((item) => item.t === 'answer' && item.n === n);
    this.#values = [];
    this.#bytes = 0;
    this.cut();
  }

  handOver(mayHaveRun: boolean): void {
    if (!mayHaveRun) return this.#finish(['moved', false]);
    if (!this.isOpen) return;
    this.#add(['moved', true]);
    this.#flush();
    this.#become('handedOver');
  }

  withdraw(): void {
    this.#tellClosed();
    if (this.#hasSent) return;
    this.#policy = undefined;
    this.#values = [];
    this.#bytes = 0;
    this.lastId = undefined;
  }

  fail(cause: unknown): void {
    this.#options.report(cause);
    if (this.#hasSent) this.cut();
    else this.refuse(internal(cause), null);
  }

  get #session(): string | null {
    return this.sessionId ?? null;
  }

  #add(value: SentValue, size = 0): void {
    if (!this.isOpen) return;
    this.#values.push(value);
    this.#bytes += size + VALUE_BYTES;
    if (this.#bytes > MOST_HELD_BYTES) this.#flush();
    if (this.#isDue) return;
    this.#isDue = true;
    atEndOfTurn(this);
  }

  endTurn(): void {
    this.#isDue = false;
    if (!this.isOpen) return this.#tellClosed();
    if (!this.#hasSent) this.listener?.endTurn?.();
    const isHead = !this.#hasSent && this.#values.length === 1;
    if (!(isHead && this.listener?.flushing === true)) this.#flush();
  }

  #finish(value: SentValue): void {
    if (!this.isOpen) return;
    this.#add(value);
    this.#flush(() => {
      this.#become('acknowledged');
      this.#runAcknowledged();
    });
    this.#become('answered');
  }

  #flush(taken?: () => void): void {
    if (!this.isOpen || this.#values.length === 0) return;
    const bytes = this.#bytes;
    const { n, tools } = this.#options;
    const isKnown = this.tool !== undefined && tools.has(this.tool);
    const item: AnswerItem = { t: 'answer', n, values: this.#values, ...(isKnown && KNOWN) };
    this.#values = [];
    this.#bytes = 0;
    this.#hasSent = true;
    this.#options.link.push(item, bytes, this.#options.share, taken);
  }

  // ——— how far it is ———

  get hasBegun(): boolean {
    return this.#policy !== undefined;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get takes(): 'events' | 'answers' {
    const form = this.#policy?.form;
    return form === 'json' || form === 'batch' ? 'answers' : 'events';
  }

  get isRelayed(): boolean {
    return this.takes === 'events';
  }

  room(bytes: number): Room {
    const { link, share } = this.#options;
    const room = link.storingRoom(share, bytes);
    if (typeof room !== 'function') return room;
    this.#hasRoom = true;
    return () => {
      this.#hasRoom = false;
      room();
    };
  }

  /** The body counts in the memory budgets of both instances: an owner has many relaying instances. */
  holds(bytes: number): boolean {
    return this.isOpen && this.#held.holds(bytes);
  }

  heldBy(work: RunningWork, own?: number): void {
    this.#held.heldBy(work, own);
  }

  // ——— the other instance ———

  get acknowledged(): boolean {
    return this.#state === 'acknowledged' || this.#state === 'clientLeft';
  }

  onAcknowledged(fn: () => void): void {
    if (this.acknowledged) fn();
    else this.#onAcknowledged.push(fn);
  }

  onClose(fn: () => unknown): void {
    if (this.#state === 'clientLeft' || this.#state === 'linkFailed') return guarded(this, fn);
    this.#onClose.push(fn);
  }

  /** The client disconnected from the relaying instance. */
  clientLeft(): void {
    if (!this.isOpen) return;
    this.#become('clientLeft');
    this.#runCloseListeners();
    this.#runAcknowledged();
  }

  get linkFailed(): boolean {
    return this.#state === 'linkFailed';
  }

  /** The link failed: the relaying instance is dead, or this instance is dead to it. */
  failLink(): void {
    if (!this.isOpen) return;
    this.#become('linkFailed');
    this.#runCloseListeners();
  }

  /** Every state but the first ends the call here. */
  #become(next: LinkSinkState): void {
    const wasOpen = this.isOpen;
    this.#state = next;
    if (!wasOpen) return;
    this.#releaseLink();
    this.#held.release();
    this.#options.finished();
    this.#tellClosed();
  }

  #tellClosed(): void {
    const { listener } = this;
    this.listener = undefined;
    listener?.sinkClosed(this);
  }

  #runCloseListeners(): void {
    for (const fn of this.#onClose.splice(0)) guarded(this, fn);
  }

  #runAcknowledged(): void {
    for (const fn of this.#onAcknowledged.splice(0)) guarded(this, fn);
  }
}

export function sentError(error: SojournError): SentError {
  const { code, message, status, data, headers, body, retryable } = error;
  return { code, message, status, data, headers, body, retryable };
}

/** The error on the instance of the client. A newer build may send a code that this build does not know. */
export function readError({ code, message, ...fields }: SentError): SojournError {
  return new SojournError(
    ERROR_CODES.find((known) => known === code) ?? 'INTERNAL',
    message,
    fields,
  );
}
