/**
 * A 2026-07-28 call that can be resumed: the reader of its answer, whose client may change.
 *
 *     waiting ──the head is due──▶ recording ──recorded──▶ resumable ──end──▶ answered
 *        │                             │ ╰──not recorded──▶ plain    ├──handed over──▶ left
 *        ├──answered or refused────────┼───────────────────────┼─────┼──────────────▶ answered
 *        ╰──the client disconnected────┴───────────────────────┴─────┴──for too long▶ cancelled
 *
 * `waiting`, `recording` and `plain` have the client of the request. From `resumable` on there is one client or none: a
 * cut leaves none, and a GET brings another. Every message gets an event id and is kept for the next client
 * (`kept-messages.ts`).
 */
import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../../errors.ts';
import { attempt, errorJson, type LostForm } from '../../http/answer.ts';
import { BODY_WEIGHT, type Exchange, type HeaderList, type RunningWork } from '../../http/exchange.ts';
import type { RequestSource } from '../../http/request-view.ts';
import type { CallReader, ReaderListener, ResponsePolicy } from '../../http/reader.ts';
import type { AnswerReader, HttpResponse } from '../../http/response.ts';
import { atEndOfTurn, type TurnTask } from '../../http/turn.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { follow, type Transitions } from '../../options/transitions.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { type RequestFields, type RequestLife, SentRequest } from '../../relay/sent-request.ts';
import type { Fence } from '../../stores/store.ts';
import { callKey } from './call-records.ts';
import { type CallPosition, formatCallPosition, resumedPosition } from './call-position.ts';
import { KeptMessages, type KeptMessagesHost } from './kept-messages.ts';

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

/** A request as it was sent, by its client or by an earlier one. */
export interface CallRequest {
  readonly fields: RequestFields;
  readonly authInfo: AuthInfo | undefined;
  readonly request: RpcRequest;
  readonly version: string;
}

/** What a call needs of the calls of its instance. */
export interface ResumableHost extends KeptMessagesHost {
  readonly options: ResolvedOptions;
  /** The response to a client that reads a stream. */
  readonly response: ResponsePolicy;
  /** Resolves with `undefined` when the call cannot be resumed. */
  record(call: ResumableCall): Promise<Fence | undefined>;
  /** It is found by its key from now on. */
  recorded(call: ResumableCall): void;
  /** It has no client from now on. `false`: it does not go on without one. */
  goesOn(call: ResumableCall): boolean;
  /** It has a client again. */
  attached(call: ResumableCall): void;
  /** `json` is the answer. */
  answered(call: ResumableCall, fence: Fence, json: string): void;
  /** It was cancelled after it had been recorded. */
  cancelled(call: ResumableCall, fence: Fence): void;
  /** It keeps nothing for another client. */
  forgotten(call: ResumableCall): void;
}

/** The connection of a request, and the response on it. */
interface FirstClient {
  readonly exchange: Exchange;
  readonly response: HttpResponse;
}

export class ResumableCall implements AnswerReader, RequestLife, ReaderListener, TurnTask {
  readonly key: string;
  readonly caller: SentRequest;
  readonly request: RpcRequest;
  readonly version: string;
  /** Charged while it has no client. The connection of a request charges its body itself: 0. */
  readonly bodyBytes: number;
  readonly #host: ResumableHost;
  readonly #first: CallPosition;
  readonly #origin: FirstClient | undefined;
  #state: State = 'waiting';
  #client: CallReader | undefined;
  /** The messages that came before the head was sent. */
  #queued: string[] = [];
  #endQueued = false;
  readonly #messages: KeptMessages;
  /** Set while it is recorded. */
  #fence: Fence | undefined = undefined;
  #onClose: Array<() => unknown> = [];
  listener: ReaderListener | undefined = undefined;

  /** `client`: waits for the answer; `undefined`: the call runs again. */
  constructor(sent: CallRequest, first: CallPosition, host: ResumableHost, client: FirstClient | undefined) {
    const { fields, authInfo, request, version } = sent;
    this.key = callKey(first.secret, fields.user);
    this.caller = new SentRequest(fields, authInfo, this);
    this.request = request;
    this.version = version;
    this.bodyBytes = client === undefined ? JSON.stringify(request).length * BODY_WEIGHT : 0;
    this.#first = first;
    this.#host = host;
    this.#messages = new KeptMessages(host);
    this.#origin = client;
    this.#client = client?.response;
    if (client !== undefined) client.response.listener = this;
  }

  /** This instance has claimed the record of a lost call, which runs again. It has no client yet. */
  restart(fence: Fence): void {
    this.#become('recording');
    this.#recorded(fence);
  }

  #become(next: State): void {
    this.#state = follow(STATES, this.#state, next);
  }

  // ——— the head of the first response ———

  begin(): void {
    this.#origin?.response.begin();
  }

  sendHead(): void {
    this.holdsHead();
  }

  endTurn(): void {
    if (this.#queued.length > 0) this.holdsHead();
  }

  crashed(cause: unknown): void {
    this.fail(cause);
  }

  /** The head is due. It waits until the call is recorded, because an id that cannot be found is worth nothing. */
  holdsHead(): boolean {
    if (this.#state !== 'waiting') return true;
    this.#become('recording');
    attempt(this, async () => this.#recorded(await this.#host.record(this)));
    return true;
  }

  #recorded(fence: Fence | undefined): void {
    if (this.#state !== 'recording') {
      if (fence !== undefined) this.#host.cancelled(this, fence);
      return;
    }
    this.#fence = fence;
    this.#become(fence === undefined ? 'plain' : 'resumable');
    if (fence !== undefined) this.#host.recorded(this);
    const client = this.#client;
    client?.point(formatCallPosition(this.#first), this.#host.options.retryMs, true);
    client?.sendHead();
    for (const json of this.#queued.splice(0)) this.message(json);
    if (!this.#endQueued) return;
    this.#endQueued = false;
    this.end();
  }

  // ——— the answer ———

  message(json: string): void {
    if (this.#state === 'plain') this.#client?.message(json);
    else if (this.#state === 'resumable') {
      const offset = this.#messages.add(json);
      this.#client?.message(json, this.#idOf(offset));
    } else if (this.isOpen && this.#queued.push(json) === 1) atEndOfTurn(this);
  }

  #idOf(offset: number): string {
    return formatCallPosition({ ...this.#first, offset });
  }

  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    if (!this.hasBegun) return this.#answerAtOnce()?.refuse(error, id, form);
    this.message(errorJson(error, id, form));
    this.end();
  }

  done(status: number, headers?: HeaderList, body?: string): void {
    if (!this.hasBegun) return this.#answerAtOnce()?.done(status, headers, body);
    if (body !== undefined && body !== '') this.message(body);
    this.end();
  }

  end(status?: number): void {
    // Something precedes the answer.
    if (this.#queued.length > 1) this.holdsHead();
    if (this.#state === 'waiting') {
      const client = this.#answerAtOnce();
      for (const json of this.#queued.splice(0)) client?.message(json);
      return client?.end(status);
    }
    if (this.#state === 'recording') this.#endQueued = true;
    if (!this.isOpen) return;
    this.#become('answered');
    this.#takeClient()?.end();
    const json = this.#messages.takeNewest();
    if (this.#fence !== undefined) this.#host.answered(this, this.#fence, json);
    this.#over();
  }

  /** The call is answered before its head is due: its client has no event id, so it is recorded nowhere. */
  #answerAtOnce(): HttpResponse | undefined {
    const response = this.#origin?.response;
    if (response === undefined || this.#state !== 'waiting') return undefined;
    // The call hears that it is over when the response of its client is.
    response.listener = this.listener;
    this.#client = undefined;
    this.#become('answered');
    return response;
  }

  #takeClient(): CallReader | undefined {
    const client = this.#client;
    this.#client = undefined;
    return client;
  }

  #over(): void {
    const { listener } = this;
    this.listener = undefined;
    listener?.over(this);
  }

  get hasBegun(): boolean {
    return this.#state !== 'waiting' || this.#queued.length > 0;
  }

  /** Whether messages still follow. */
  get isOpen(): boolean {
    if (this.#state === 'waiting') return this.#origin?.exchange.closed !== true;
    return !this.#endQueued && (this.#state === 'recording' || this.#state === 'plain' || this.#state === 'resumable');
  }

  // ——— clients ———

  /** A client came back with this position. It gets what followed, and replaces an earlier client. */
  attach(client: CallReader, position: CallPosition): void {
    if (!client.isOpen) return;
    const isSameRun = position.run === this.#first.run;
    const after = isSameRun ? position.offset : 0;
    if (this.#state === 'answered' && isSameRun && after >= this.#messages.length) return client.done(204);
    const before = this.#client;
    this.#client = client;
    client.listener = this;
    before?.end();
    client.begin(this.#host.response);
    const from = resumedPosition({ ...this.#first, offset: after, resumes: isSameRun ? position.resumes : 0 });
    client.point(formatCallPosition(from), this.#host.options.retryMs, true);
    for (const [offset, json] of this.#messages.after(after)) client.message(json, this.#idOf(offset));
    if (this.#state === 'answered') return this.#takeClient()?.end();
    client.sendHead();
    if (client.isOpen) this.#host.attached(this);
  }

  get label(): string {
    return this.listener?.label ?? '';
  }

  /** A client disconnected. */
  over(client: object): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    if (this.#state === 'resumable' && this.#host.goesOn(this)) return;
    this.cancel();
  }

  /** No client came back in time, or none may. */
  cancel(): void {
    if (this.#state === 'answered' || this.#state === 'left' || this.#state === 'cancelled') return;
    this.#become('cancelled');
    this.forget();
    this.#takeClient()?.cut();
    if (this.#fence !== undefined) this.#host.cancelled(this, this.#fence);
    for (const fn of this.#onClose.splice(0)) attempt(this, fn);
    this.#over();
  }

  /** Another instance runs it again: its client comes back there. What still comes of this run is dropped. */
  leave(): void {
    if (this.#state !== 'resumable') return;
    this.#become('left');
    this.forget();
    this.#takeClient()?.end();
  }

  /** Drops what was kept for the next client. */
  forget(): void {
    this.#messages.forget();
    this.#host.forgotten(this);
  }

  /** The ownership of its record, while it runs. */
  get fence(): Fence | undefined {
    return this.#state === 'resumable' ? this.#fence : undefined;
  }

  /** Whether the newest message is kept. */
  get keepsNewest(): boolean {
    return this.#messages.keepsNewest;
  }

  // ——— its request ———

  onClose(fn: () => unknown): void {
    if (this.#state === 'cancelled') attempt(this, fn);
    else this.#onClose.push(fn);
  }

  fail(cause: unknown): void {
    const hasHead = this.#state !== 'waiting' && this.#state !== 'recording';
    if (hasHead || this.#origin === undefined)
      this.#host.options.logger.error({ err: cause }, 'A request without a client could not be served');
    else this.#origin.exchange.fail(cause);
    this.cancel();
  }

  get node(): RequestSource['node'] {
    return this.#origin?.exchange.request.node;
  }

  heldBy(work: RunningWork): void {
    this.#origin?.exchange.heldBy(work);
  }
}
