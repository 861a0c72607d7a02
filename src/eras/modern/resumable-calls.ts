/**
 * The option `resumeModernCalls`: 2026-07-28 calls that continue when their connection breaks, and their answers.
 * `returning-clients.ts` serves the clients that come back.
 *
 *     head due ─▶ recorded ──cut──▶ without a client ──two `retryMs`──▶ cancelled
 *                  │    ▲──────GET──────╯  │
 *                  ╰──────────answered─────┴──▶ kept ──two `retryMs`──▶ forgotten
 *
 * A call that is answered before its head is due is not recorded: its client has no event id. Two `retryMs` are the two
 * tries that most clients make.
 */
import type { Exchange } from '../../http/exchange.ts';
import type { ResponsePolicy } from '../../http/reader.ts';
import type { HttpResponse } from '../../http/response.ts';
import type { MemoryUse } from '../../http/slow-readers.ts';
import { relayedFields } from '../../options/header-names.ts';
import { limitedLogger } from '../../options/log-limit.ts';
import type { RandomSource } from '../../options/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { OwnLease } from '../../session/ownership/ownership.ts';
import { rightsOf } from '../../session/calls/rights.ts';
import type { Fence } from '../../stores/store.ts';
import { Tally } from '../../tally.ts';
import type { Logger } from '../../types.ts';
import type { CallRecords } from './call-records.ts';
import { type CallPosition, firstPosition, formatCallPosition } from './call-position.ts';
import { type CallRequest, ResumableCall, type ResumableHost } from './resumable-call.ts';

/** Calls that go on without a client, and how many of them one user may have. Past it a cut cancels. */
const CUT_CALLS = 1_000;
const CUT_CALLS_PER_USER = 100;
/** Answered calls in memory. The oldest one is dropped past it, and the store has its answer. */
const ANSWERED_CALLS = 1_000;
/** The part of `limits.memoryBytes` that kept messages may fill: clients that read their answers come first. */
const KEPT_PART = 1 / 8;
/** The records of running calls are extended: a third of `RECORD_MS`, so that two writes may fail. */
const EXTEND_MS = 100_000;

export interface ResumableCallsOptions {
  readonly options: ResolvedOptions;
  readonly records: CallRecords;
  readonly instance: { readonly lease: Pick<OwnLease, 'owner' | 'valid'> };
  readonly memory: MemoryUse;
  /** The response to a client that reads a stream. */
  readonly response: ResponsePolicy;
  readonly random: RandomSource;
}

export class ResumableCalls implements ResumableHost {
  readonly #given: ResumableCallsOptions;
  readonly options: ResolvedOptions;
  readonly response: ResponsePolicy;
  readonly #records: CallRecords;
  readonly #isKept: (field: string) => boolean;
  readonly #logger: Logger;
  /** Recorded calls. */
  readonly #calls = new Map<string, ResumableCall>();
  /** The timers after which answered calls are forgotten. */
  readonly #answered = new Map<ResumableCall, unknown>();
  /** The timers after which calls without a client are cancelled, and how many such calls each user has. */
  readonly #cut = new Map<ResumableCall, unknown>();
  readonly #cutOf = new Tally<string | undefined>();
  #keptBytes = 0;
  #sweeper: unknown;
  #closed = false;

  constructor(given: ResumableCallsOptions) {
    const { options, records } = given;
    this.#given = given;
    this.options = options;
    this.response = given.response;
    this.#records = records;
    this.#isKept = relayedFields(options.relayedHeaders, options.credentialHeaders);
    this.#logger = limitedLogger(options.logger, options.timeProvider, 1);
    this.#armSweep();
  }

  get closed(): boolean {
    return this.#closed;
  }
  get #keptMs(): number {
    return 2 * this.options.retryMs;
  }

  /** `undefined`: no event id can carry the id of the request. */
  open(exchange: Exchange, response: HttpResponse, request: RpcRequest, version: string): ResumableCall | undefined {
    const first = firstPosition(request, this.#given.random);
    if (formatCallPosition(first) === '') return undefined;
    const { method, url, user, authInfo, canonicalHeaders } = exchange;
    const headers = exchange.headerFields();
    const fields = { method, url, absoluteUrl: exchange.absoluteUrl(), headers, user, canonicalHeaders };
    return new ResumableCall({ fields, authInfo, request, version }, first, this, { exchange, response });
  }

  /** Runs a lost call again that this instance has claimed. */
  restart(lost: CallRequest, first: CallPosition, fence: Fence): ResumableCall {
    const call = new ResumableCall(lost, first, this, undefined);
    call.restart(fence);
    this.#records.extend(call.key, fence);
    return call;
  }

  /** A call that runs here, or was answered here. */
  find(key: string): ResumableCall | undefined {
    return this.#calls.get(key);
  }

  // ——— what a call asks for ———

  async record(call: ResumableCall): Promise<Fence | undefined> {
    const { lease } = this.#given.instance;
    if (!lease.valid || this.#closed) return undefined;
    const { key, caller, request, version } = call;
    const rights = rightsOf(caller.authInfo);
    const headers = Object.entries(caller.headerFields()).filter(([name]) => this.#isKept(name));
    const { owner } = lease;
    const kept = {
      url: caller.url,
      absoluteUrl: caller.absoluteUrl(),
      headers: Object.fromEntries(headers),
      ...(rights !== undefined && { rights }),
      request,
    };
    const created = await this.#records.create({ key, owner, user: caller.user, version, kept });
    return created ? { epoch: 1, owner } : undefined;
  }

  recorded(call: ResumableCall): void {
    this.#calls.set(call.key, call);
  }

  goesOn(call: ResumableCall): boolean {
    if (this.#closed || !this.#enterCut(call)) return false;
    this.#wait(this.#cut, call);
    return true;
  }

  /** The client of a call that has none was refused, and will come back. */
  stays(call: ResumableCall): void {
    for (const calls of [this.#cut, this.#answered]) if (calls.has(call)) this.#wait(calls, call);
  }

  attached(call: ResumableCall): void {
    if (!this.#stopWaiting(this.#cut, call)) return;
    this.#given.memory.give(call.bodyBytes);
    this.#cutOf.add(call.caller.user, -1);
  }

  answered(call: ResumableCall, fence: Fence, json: string): void {
    this.attached(call);
    this.#wait(this.#answered, call);
    if (this.#answered.size > ANSWERED_CALLS) this.#forgetOldest();
    if (!call.keepsNewest) call.forget();
    this.#records.finish(call.key, fence, json, this.#keptMs);
  }

  cancelled({ key }: ResumableCall, fence: Fence): void {
    this.#records.end(key, fence);
  }

  forgotten(call: ResumableCall): void {
    this.attached(call);
    this.#stopWaiting(this.#answered, call);
    if (this.#calls.get(call.key) === call) this.#calls.delete(call.key);
  }

  #wait(calls: Map<ResumableCall, unknown>, call: ResumableCall): void {
    this.#stopTimer(calls.get(call));
    const over = (): void => (calls === this.#cut ? call.cancel() : call.forget());
    calls.set(call, this.options.timeProvider.setTimeout(over, this.#keptMs));
  }

  #stopWaiting(calls: Map<ResumableCall, unknown>, call: ResumableCall): boolean {
    this.#stopTimer(calls.get(call));
    return calls.delete(call);
  }

  #stopTimer(timer: unknown): void {
    if (timer !== undefined) this.options.timeProvider.clearTimeout(timer);
  }

  /** A client that came back may leave again before it counts as attached: then the call is cut already. */
  #enterCut(call: ResumableCall): boolean {
    if (this.#cut.has(call)) return true;
    const { user } = call.caller;
    if (this.#cut.size >= CUT_CALLS || (user !== undefined && this.#cutOf.of(user) >= CUT_CALLS_PER_USER)) {
      this.#logger.warn({}, 'A call is cancelled at a cut: too many calls go on without a client');
      return false;
    }
    if (!this.#given.memory.take(call.bodyBytes, 0)) return false;
    this.#cutOf.add(user, 1);
    return true;
  }

  /** The messages that are kept make room for newer ones: the store has the answer of an answered call. */
  takeKept(bytes: number, held: number): boolean {
    const most = KEPT_PART * this.options.limits.memoryBytes;
    if (bytes > most) return false;
    while (this.#keptBytes + bytes > most) if (!this.#forgetOldest()) return false;
    if (!this.#given.memory.take(bytes, held)) return false;
    this.#keptBytes += bytes;
    return true;
  }

  giveKept(bytes: number): void {
    this.#keptBytes -= bytes;
    this.#given.memory.give(bytes);
  }

  /** `false`: no answered call is kept. */
  #forgetOldest(): boolean {
    const [oldest] = this.#answered.keys();
    oldest?.forget();
    return oldest !== undefined;
  }

  // ——— upkeep ———

  #armSweep(): void {
    const { timeProvider } = this.options;
    this.#sweeper = timeProvider.setTimeout(() => {
      this.#armSweep();
      for (const { key, fence } of this.#calls.values()) if (fence !== undefined) this.#records.extend(key, fence);
    }, EXTEND_MS);
  }

  /** Other instances run the calls again that run here now: their clients come back there. */
  async leave(): Promise<void> {
    for (const call of this.#calls.values()) {
      const { key, fence } = call;
      call.leave();
      if (fence !== undefined) this.#records.release(key, fence);
    }
    await this.#records.stored();
  }

  /** May be called twice: a drain does, and then the close. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.options.timeProvider.clearTimeout(this.#sweeper);
    for (const call of this.#calls.values()) call.forget();
    await this.#records.stored();
  }
}
