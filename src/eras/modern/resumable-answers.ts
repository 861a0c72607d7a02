/**
 * The option `resumeModernCalls`: 2026-07-28 calls that continue when their connection breaks, and their answers.
 * `returning-clients.ts` serves the clients that come back.
 *
 *     head sent ─▶ recorded ──cut──▶ without a client ──two `retryMs`──▶ cancelled
 *                   │    ▲──────GET──────╯  │
 *                   ╰──────────answered─────┴──▶ kept ──two `retryMs`, 8 s at least──▶ forgotten
 *
 * A call that is answered before its head is due is not recorded: its client has no event id.
 */
import type { Exchange } from '../../http/exchange.ts';
import type { ResponsePolicy } from '../../http/sink.ts';
import type { HttpResponse } from '../../http/response.ts';
import { limitedLogger } from '../../options/log-limit.ts';
import { Budget, type MemoryUse } from '../../base/budget.ts';
import { every, type RandomSource } from '../../base/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { type CallRequest, callRequestOf } from '../../relay/sent-request.ts';
import type { OwnLease } from '../../session/ownership/session-ownership.ts';
import type { Fence } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';
import type { CallRecords } from './call-records.ts';
import { type CallPosition, firstPosition } from '../call-position.ts';
import { ResumableAnswer, type ResumableHost } from './resumable-answer.ts';

/** Calls that continue without a client, and how many of them a named user may have. Past it a cut cancels. */
const CUT_CALLS = 1_000;
const CUT_CALLS_PER_USER = 100;
/** Answered calls in memory. The oldest one is dropped past it, and the store has its answer. */
const ANSWERED_CALLS = 1_000;
/** The part of `limits.memoryBytes` that kept messages may fill: clients that read their answers come first. */
const KEPT_PART = 1 / 8;
/** The records of running calls are extended: a third of `RECORD_MS`, so that two writes may fail. */
const EXTEND_MS = 100_000;

export interface ResumableAnswersOptions {
  readonly options: ResolvedOptions;
  readonly records: CallRecords;
  readonly instance: { readonly lease: Pick<OwnLease, 'owner' | 'valid'> };
  readonly memory: MemoryUse;
  /** The response to a client that reads a stream. */
  readonly response: ResponsePolicy;
  readonly random: RandomSource;
}

export class ResumableAnswers implements ResumableHost {
  readonly #given: ResumableAnswersOptions;
  readonly options: ResolvedOptions;
  readonly response: ResponsePolicy;
  readonly #records: CallRecords;
  readonly #logger: Logger;
  /** Calls whose clients have an event id. */
  readonly #calls = new Map<string, ResumableAnswer>();
  /** Oldest first. */
  readonly #answered = new Set<ResumableAnswer>();
  /** Calls without a client. */
  readonly #cut: Budget;
  #keptBytes = 0;
  readonly #stopSweep: () => void;
  #closed = false;

  constructor(given: ResumableAnswersOptions) {
    const { options, records, response } = given;
    this.#given = given;
    this.options = options;
    this.response = response;
    this.#records = records;
    this.#cut = new Budget(CUT_CALLS, options.limits.userShare);
    this.#logger = limitedLogger(options.logger, options.timeProvider, 1);
    this.#stopSweep = every(options.timeProvider, EXTEND_MS, () => this.#sweep());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** `undefined`: no event id can carry the id of the request. */
  open(exchange: Exchange, response: HttpResponse, request: RpcRequest, version: string): ResumableAnswer | undefined {
    const first = firstPosition(request, this.#given.random);
    if (first === undefined) return undefined;
    return new ResumableAnswer(callRequestOf(exchange, request, version), first, this, { exchange, response });
  }

  /** Runs a lost call again that this instance has claimed. */
  restart(lost: CallRequest, first: CallPosition, fence: Fence): ResumableAnswer {
    const call = new ResumableAnswer(lost, first, this, fence);
    this.#calls.set(call.key, call);
    this.#records.extend(call.key, fence);
    return call;
  }

  /** A call that runs here, or was answered here. */
  find(key: string): ResumableAnswer | undefined {
    return this.#calls.get(key);
  }

  // ——— what a call asks for ———

  async record(call: ResumableAnswer): Promise<Fence | undefined> {
    const { lease } = this.#given.instance;
    if (!lease.valid || this.#closed) return undefined;
    this.#calls.set(call.key, call);
    return this.#records.create(call, lease.owner);
  }

  enterCut({ caller: { user }, share, runBytes }: ResumableAnswer): boolean {
    if (this.#closed) return false;
    const isOver = user !== undefined && this.#cut.heldBy(share) >= CUT_CALLS_PER_USER;
    if (isOver || !this.#cut.take(1, share)) {
      this.#logger.warn(
        {},
        'A call is cancelled when its client disconnects: too many calls run without a client already',
      );
      return false;
    }
    const fits = this.#given.memory.take(runBytes, 0, share);
    if (!fits) this.#cut.charge(-1, share);
    return fits;
  }

  leaveCut({ share, runBytes }: ResumableAnswer): void {
    this.#given.memory.give(runBytes, share);
    this.#cut.charge(-1, share);
  }

  answered(call: ResumableAnswer, fence: Fence, json: string): void {
    this.#answered.add(call);
    if (this.#answered.size > ANSWERED_CALLS) this.#forgetOldest();
    this.#records.finish(call.key, fence, json);
  }

  cancelled({ key }: ResumableAnswer, fence: Fence): void {
    this.#records.end(key, fence);
  }

  forgotten(call: ResumableAnswer): void {
    this.#answered.delete(call);
    if (this.#calls.get(call.key) === call) this.#calls.delete(call.key);
  }

  /** The messages that are kept make room for newer ones: the store has the answer of an answered call. */
  takeKept(bytes: number, held: number, share: string): boolean {
    const most = KEPT_PART * this.options.limits.memoryBytes;
    if (bytes > most) return false;
    while (this.#keptBytes + bytes > most) if (!this.#forgetOldest()) return false;
    if (!this.#given.memory.take(bytes, held, share)) return false;
    this.#keptBytes += bytes;
    return true;
  }

  giveKept(bytes: number, share: string): void {
    this.#keptBytes -= bytes;
    this.#given.memory.give(bytes, share);
  }

  /** `false`: no answered call is kept. */
  #forgetOldest(): boolean {
    const [oldest] = this.#answered;
    oldest?.forget();
    return oldest !== undefined;
  }

  // ——— upkeep ———

  #sweep(): void {
    for (const { key, fence } of this.#calls.values()) if (fence !== undefined) this.#records.extend(key, fence);
  }

  /** Other instances run the calls again that run here now: their clients come back there. */
  async handOver(): Promise<void> {
    for (const call of this.#calls.values()) {
      const { key, fence } = call;
      call.handOver();
      if (fence !== undefined) this.#records.release(key, fence);
    }
    await this.#records.stored();
  }

  /** May be called twice: a drain does, and then the close. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopSweep();
    for (const call of this.#calls.values()) call.forget();
    await this.#records.stored();
  }
}
