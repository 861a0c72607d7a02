/**
 * A 2026-07-28 call that can be resumed: the sink of its answer, whose client may change.
 *
 *     waiting ──the head is sent──▶ open ──answer──▶ answered
 *        ├──answer or refusal─────────┼─────────────────╯
 *        │                            ├──handed over──▶ left
 *        ╰──its client disconnected───┴──for too long──▶ cancelled
 *
 * It is recorded when the head of its first response is sent. From then on it has one client or none: a cut leaves
 * none, and a GET brings another. Each message gets an event id, and is kept for the next client (`kept-messages.ts`).
 * A call that could not be recorded needs the client of its request, as without the option.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../../errors.ts';
import { guarded, errorJson, type LostForm } from '../../http/answer.ts';
import { CALL_BYTES } from '../../http/body.ts';
import { shareKey } from '../../base/budget.ts';
import { BODY_WEIGHT, type Exchange, type HeaderList, type RunningWork } from '../../http/exchange.ts';
import type { RequestSource } from '../../http/request-view.ts';
import type { ResponseSink, Sink, SinkListener, ResponsePolicy } from '../../http/sink.ts';
import type { AnswerSink } from '../../http/answer-sink.ts';
import type { HttpResponse } from '../../http/response.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { follow, type Transitions } from '../../base/transitions.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { type CallRequest, type RequestLife, SentRequest } from '../../relay/sent-request.ts';
import { idOf, resumedId } from '../../session/streams/event-id.ts';
import type { Fence } from '../../stores/store.ts';
import { callKey } from './call-records.ts';
import type { CallPosition } from '../call-position.ts';
import { KeptMessages, type KeptMessagesHost } from './kept-messages.ts';

type AnswerState = 'waiting' | 'open' | 'answered' | 'left' | 'cancelled';

const STATES: Transitions<AnswerState> = {
  waiting: ['open', 'answered', 'cancelled'],
  open: ['answered', 'left', 'cancelled'],
  answered: [],
  left: [],
  cancelled: [],
};

/** What a call needs of the calls of its instance. */
export interface ResumableHost extends KeptMessagesHost {
  readonly options: ResolvedOptions;
  /** The response to a client that reads a stream. */
  readonly response: ResponsePolicy;
  /** It is found by its key from now on. Resolves with `undefined` when it could not be recorded. */
  record(call: ResumableAnswer): Promise<Fence | undefined>;
  /** Takes a place among the calls without a client. `false`: there is none. */
  enterCut(call: ResumableAnswer): boolean;
  leaveCut(call: ResumableAnswer): void;
  /** `json` is the answer. */
  answered(call: ResumableAnswer, fence: Fence, json: string): void;
  /** It was cancelled after it had been recorded. */
  cancelled(call: ResumableAnswer, fence: Fence): void;
  /** It keeps nothing for another client. */
  forgotten(call: ResumableAnswer): void;
}

/** The connection of a request, and the response on it. */
interface FirstClient {
  readonly exchange: Exchange;
  readonly response: HttpResponse;
}

export class ResumableAnswer implements AnswerSink, RequestLife, SinkListener {
  readonly key: string;
  readonly caller: SentRequest;
  /** Whose share its messages count in. */
  readonly share: string;
  readonly request: RpcRequest;
  readonly version: string;
  /** What a run that another instance began takes, while it has no client. Else its request is charged. */
  readonly runBytes: number;
  readonly #host: ResumableHost;
  readonly #first: CallPosition;
  readonly #origin: FirstClient | undefined = undefined;
  readonly #messages: KeptMessages;
  #state: AnswerState = 'waiting';
  #client: ResponseSink | undefined = undefined;
  #isRecording = false;
  /** The ownership of its record. */
  #fence: Fence | undefined = undefined;
  /** The answer, until its record is stored. */
  #answer = '';
  /** It has a place among the calls without a client. */
  #isCut = false;
  /** Runs while it waits for a client. */
  #timer: unknown = undefined;
  #onClose: Array<() => unknown> = [];
  listener: SinkListener | undefined = undefined;

  /** A client waits for the answer, or this instance has claimed the record of a lost call, which runs again. */
  constructor(sent: CallRequest, first: CallPosition, host: ResumableHost, from: FirstClient | Fence) {
    const { fields, authInfo, request, version } = sent;
    this.key = callKey(first.tag, fields.user);
    this.caller = new SentRequest(fields, authInfo, this);
    this.share = shareKey(fields.user, fields.address);
    this.request = request;
    this.version = version;
    this.runBytes = 'epoch' in from ? CALL_BYTES + JSON.stringify(request).length * BODY_WEIGHT : 0;
    this.#first = first;
    this.#host = host;
    this.#messages = new KeptMessages(host, this.share);
    if ('epoch' in from) {
      this.#state = 'open';
      this.#fence = from;
    } else {
      this.#origin = from;
      this.#client = from.response;
      from.response.listener = this;
    }
  }

  #become(next: AnswerState): void {
    this.#state = follow(STATES, this.#state, next);
  }

  // ——— the head of the first response ———

  begin(): void {
    this.#origin?.response.begin();
  }

  sendHead(): void {
    this.#client?.sendHead();
  }

  /** Its client gets an id, with which it comes back. */
  opened(to: Sink): void {
    if (this.#state !== 'waiting') return;
    this.#become('open');
    this.#isRecording = true;
    to.point(this.#idOf(0), this.#host.options.retry.ms, true);
    guarded(this, async () => this.#recorded(await this.#host.record(this)));
  }

  #recorded(fence: Fence | undefined): void {
    this.#isRecording = false;
    this.#fence = fence;
    if (fence === undefined) this.forget();
    else if (this.#state === 'cancelled') this.#host.cancelled(this, fence);
    else if (this.#state === 'answered') this.#keep(fence);
    if (this.#state === 'open' && this.#client === undefined) this.#goOn();
  }

  // ——— the answer ———

  message(json: string): void {
    if (!this.isOpen) return;
    if (this.#state === 'open' && !this.#isRecording && this.#fence === undefined) return this.#client?.message(json);
    const offset = this.#messages.add(json);
    this.#client?.message(json, this.#idOf(offset));
  }

  #idOf(offset: number): string {
    return idOf({ ...this.#first, offset });
  }

  answer(json: string, status?: number): void {
    const response = this.#answerAtOnce();
    if (response !== undefined) return response.answer(json, status);
    if (!this.isOpen) return;
    this.message(json);
    this.#become('answered');
    this.#takeClient()?.end();
    this.#answer = json;
    if (this.#fence !== undefined) this.#keep(this.#fence);
    this.#over();
  }

  #keep(fence: Fence): void {
    this.#stopWaiting();
    this.#waitForClient();
    this.#host.answered(this, fence, this.#answer);
    this.#answer = '';
    if (!this.#messages.keepsNewest) this.forget();
  }

  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    const response = this.#answerAtOnce();
    if (response === undefined) this.answer(errorJson(error, id, form));
    else response.refuse(error, id, form);
  }

  done(status: number, headers?: HeaderList, body?: string): void {
    const response = this.#answerAtOnce();
    if (response !== undefined) response.done(status, headers, body);
    else if (body === undefined) this.cancel();
    else this.answer(body);
  }

  /** The call is answered before its head is due: its client has no event id, so it is recorded nowhere. */
  #answerAtOnce(): HttpResponse | undefined {
    const response = this.#origin?.response;
    if (response === undefined || this.hasBegun) return undefined;
    // The call hears that it is over when the response of its client is.
    response.listener = this.listener;
    this.#client = undefined;
    this.#become('answered');
    return response;
  }

  #takeClient(): ResponseSink | undefined {
    const client = this.#client;
    this.#client = undefined;
    return client;
  }

  #over(): void {
    const { listener } = this;
    this.listener = undefined;
    listener?.sinkClosed(this);
  }

  get hasBegun(): boolean {
    return this.#state !== 'waiting' || this.#messages.length > 0;
  }

  /** Whether messages still follow. */
  get isOpen(): boolean {
    if (this.#state === 'waiting') return this.#origin?.exchange.closed !== true;
    return this.#state === 'open';
  }

  // ——— clients ———

  /** Each instance that runs the call again raises the epoch. */
  get attempt(): number {
    return this.#first.epoch;
  }

  /** A client came back with this position. It gets what followed, and replaces an earlier client. */
  attach(client: ResponseSink, position: CallPosition): void {
    if (!client.isOpen) return;
    const isSameRun = position.epoch === this.#first.epoch;
    const after = isSameRun ? position.offset : 0;
    if (this.#state === 'answered' && isSameRun && after >= this.#messages.length) return client.done(204);
    const before = this.#client;
    this.#client = client;
    client.listener = this;
    before?.end();
    client.begin(this.#host.response);
    const from = { ...this.#first, offset: after, resumes: isSameRun ? position.resumes : 0 };
    client.point(resumedId(from), this.#host.options.retry.ms, true);
    for (const [offset, json] of this.#messages.after(after)) client.message(json, this.#idOf(offset));
    if (this.#state === 'answered') return this.#takeClient()?.end();
    client.sendHead();
    if (client.isOpen) this.#stopWaiting();
  }

  get label(): string {
    return this.listener?.label ?? '';
  }

  /** A client disconnected. */
  sinkClosed(client: object): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    if (!this.#isRecording) this.#goOn();
  }

  /** It has no client. A client that came back may leave again before it counts as attached: then the call is cut. */
  #goOn(): void {
    if (this.#fence === undefined || !(this.#isCut || this.#host.enterCut(this))) return this.cancel();
    this.#isCut = true;
    this.#waitForClient();
  }

  /** Its client was refused, and will come back. */
  stays(): void {
    if (this.#timer !== undefined) this.#waitForClient();
  }

  /** Two `retryMs` are the two tries that most clients make. An answer is kept for longer than a handler runs on. */
  #waitForClient(): void {
    const { timeProvider, retryMs, retry } = this.#host.options;
    timeProvider.clearTimeout(this.#timer);
    const tooLate = (): void => (this.#state === 'answered' ? this.forget() : this.cancel());
    this.#timer = timeProvider.setTimeout(tooLate, this.#state === 'answered' ? retry.answerKeptMs : 2 * retryMs);
  }

  #stopWaiting(): void {
    this.#host.options.timeProvider.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isCut) this.#host.leaveCut(this);
    this.#isCut = false;
  }

  /** No client came back in time, or none may. */
  cancel(): void {
    if (this.#state === 'answered' || this.#state === 'left' || this.#state === 'cancelled') return;
    this.#become('cancelled');
    this.forget();
    this.#takeClient()?.cut();
    if (this.#fence !== undefined) this.#host.cancelled(this, this.#fence);
    for (const fn of this.#onClose.splice(0)) guarded(this, fn);
    this.#over();
  }

  /** Another instance runs it again: its client comes back there. What still comes of this run is dropped. */
  handOver(): void {
    if (this.fence === undefined) return;
    this.#become('left');
    this.forget();
    this.#takeClient()?.end();
  }

  /** Drops what was kept for the next client. */
  forget(): void {
    this.#messages.forget();
    this.#stopWaiting();
    this.#host.forgotten(this);
  }

  /** The ownership of its record, while it runs. */
  get fence(): Fence | undefined {
    return this.#state === 'open' ? this.#fence : undefined;
  }

  // ——— its request ———

  onClose(fn: () => unknown): void {
    if (this.#state === 'cancelled') guarded(this, fn);
    else this.#onClose.push(fn);
  }

  fail(cause: unknown): void {
    if (this.#state !== 'waiting' || this.#origin === undefined)
      this.#host.options.logger.error({ err: cause }, 'A call whose client has disconnected could not be served');
    else this.#origin.exchange.fail(cause);
    this.cancel();
  }

  get node(): RequestSource['node'] {
    return this.#origin?.exchange.request.node;
  }

  heldBy(work: RunningWork, own?: number): void {
    this.#origin?.exchange.heldBy(work, own);
  }
}
