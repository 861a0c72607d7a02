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
import { BODY_WEIGHT, type Exchange } from '../../http/exchange.ts';
import type { ResponsePolicy } from '../../http/reader.ts';
import type { MemoryUse } from '../../http/slow-readers.ts';
import { relayedFields } from '../../options/header-names.ts';
import { limitedLogger } from '../../options/log-limit.ts';
import type { RandomSource } from '../../options/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { OwnLease } from '../../session/ownership/ownership.ts';
import { inTime } from '../../session/life/grace.ts';
import { rightsOf } from '../../session/calls/rights.ts';
import type { Fence } from '../../stores/store.ts';
import { Tally } from '../../tally.ts';
import type { Logger } from '../../types.ts';
import { callKey, type CallRecords, RECORD_MS } from './call-records.ts';
import { type CallPosition, formatCallPosition } from './call-position.ts';
import { firstPosition } from './lost-answers.ts';
import { ResumableExchange, type RequestOrigin, type ResumableHost } from './resumable-exchange.ts';

/** Calls that go on without a client, and how many of them one user may have. Past it a cut cancels. */
const CUT_CALLS = 1_000;
const CUT_CALLS_PER_USER = 100;
/** Answered calls in memory. The oldest one is dropped past it, and the store has its answer. */
const ANSWERED_CALLS = 1_000;
/** The part of `limits.memoryBytes` that kept messages may fill: clients that read their answers come first. */
const KEPT_PART = 1 / 8;
const SWEEP_MS = 5_000;
/** How long the end of an endpoint waits for the store. */
const STORED_MS = 1_000;

export interface ResumableCallsOptions {
  readonly options: ResolvedOptions;
  readonly records: CallRecords;
  readonly instance: { readonly lease: Pick<OwnLease, 'owner' | 'valid'> };
  readonly memory: MemoryUse;
  /** The response to a client that reads a stream. */
  readonly response: ResponsePolicy;
  readonly random: RandomSource;
}

interface RunningCall {
  readonly key: string;
  readonly exchange: ResumableExchange;
  readonly version: string;
  readonly request: RpcRequest;
  /** Charged while it has no client. The connection of a request charges its body itself: 0. */
  readonly bodyBytes: number;
  fence: Fence | undefined;
  /** A time of the monotonic clock. */
  extendedAt: number;
  /** Set while it has no client, or is answered. */
  timer: unknown;
  cut: boolean;
  answered: boolean;
}

export class ResumableCalls implements ResumableHost {
  readonly #given: ResumableCallsOptions;
  readonly #options: ResolvedOptions;
  readonly #records: CallRecords;
  readonly #isKept: (field: string) => boolean;
  readonly #logger: Logger;
  readonly #calls = new Map<string, RunningCall>();
  readonly #byExchange = new WeakMap<ResumableExchange, RunningCall>();
  readonly #answered = new Set<RunningCall>();
  /** Calls without a client, by user. */
  readonly #cut = new Tally<string | undefined>();
  readonly #writes = new Set<Promise<unknown>>();
  /** The messages that are kept make room for newer ones: the store has the answer of an answered call. */
  readonly memory = {
    take: (bytes: number, held: number): boolean => this.#takeKept(bytes, held),
    give: (bytes: number): void => {
      this.#keptBytes -= bytes;
      this.#given.memory.give(bytes);
    },
  };
  #keptBytes = 0;
  #sweeper: unknown;
  #closed = false;

  constructor(given: ResumableCallsOptions) {
    const { options, records } = given;
    this.#given = given;
    this.#options = options;
    this.#records = records;
    this.#isKept = relayedFields(options.relayedHeaders, options.credentialHeaders);
    this.#logger = limitedLogger(options.logger, options.timeProvider, 1);
    this.#armSweep();
  }

  get retryMs(): number {
    return this.#options.retryMs;
  }
  get response(): ResponsePolicy {
    return this.#given.response;
  }
  get bufferBytes(): number {
    return this.#options.limits.streamBufferBytes;
  }
  get closed(): boolean {
    return this.#closed;
  }
  get #keptMs(): number {
    return 2 * this.#options.retryMs;
  }

  /** The exchange to serve a request on; the client's own where no event id can carry the request's id. */
  wrap(exchange: Exchange, request: RpcRequest, version: string): Exchange {
    const first = firstPosition(request, this.#given.random);
    if (formatCallPosition(first) === '') return exchange;
    const call = ResumableExchange.of(exchange, first, this);
    this.#register(call, first, { request, version, bodyBytes: 0, fence: undefined });
    return call;
  }

  #register(
    exchange: ResumableExchange,
    { secret }: CallPosition,
    more: Pick<RunningCall, 'request' | 'version' | 'bodyBytes' | 'fence'>,
  ): RunningCall {
    const { timeProvider } = this.#options;
    const extendedAt = timeProvider.monotonic();
    const call = {
      key: callKey(secret, exchange.user),
      exchange,
      ...more,
      extendedAt,
      timer: undefined,
      cut: false,
      answered: false,
    };
    this.#byExchange.set(exchange, call);
    return call;
  }

  // ——— What a call's exchange reports ———

  async record(exchange: ResumableExchange): Promise<boolean> {
    const call = this.#byExchange.get(exchange);
    const { instance } = this.#given;
    if (call === undefined || !instance.lease.valid || this.#closed) return false;
    const { key, request, version } = call;
    const rights = rightsOf(exchange.authInfo);
    const headers = Object.entries(exchange.headerFields()).filter(([name]) => this.#isKept(name));
    const { owner } = instance.lease;
    const kept = {
      url: exchange.url,
      absoluteUrl: exchange.absoluteUrl(),
      headers: Object.fromEntries(headers),
      ...(rights !== undefined && { rights }),
      request,
    };
    if (!(await this.#records.create({ key, owner, user: exchange.user, version, kept }))) return false;
    call.fence = { epoch: 1, owner };
    this.#calls.set(key, call);
    return true;
  }

  goesOn(exchange: ResumableExchange): boolean {
    const call = this.#byExchange.get(exchange);
    if (call === undefined || this.#closed || !this.#enterCut(call)) return false;
    this.#arm(call, () => exchange.cancel());
    return true;
  }

  /** The client of a call that has none was refused, and will come back. */
  stays(exchange: ResumableExchange): void {
    const call = this.#byExchange.get(exchange);
    if (call?.answered === true) this.#arm(call, () => this.#forget(call));
    else if (call?.cut === true) this.#arm(call, () => exchange.cancel());
  }

  attached(exchange: ResumableExchange): void {
    const call = this.#byExchange.get(exchange);
    if (call === undefined) return;
    this.#disarm(call);
    this.#leaveCut(call);
  }

  answered(exchange: ResumableExchange, json: string): void {
    const call = this.#byExchange.get(exchange);
    if (call?.fence === undefined) return;
    call.answered = true;
    this.#leaveCut(call);
    this.#answered.add(call);
    this.#arm(call, () => this.#forget(call));
    if (this.#answered.size > ANSWERED_CALLS) this.#forgetOldest();
    if (!exchange.keepsNewest) this.#forget(call);
    this.#follow(this.#records.finish(call.key, call.fence, json, this.#keptMs));
  }

  cancelled(exchange: ResumableExchange): void {
    const call = this.#byExchange.get(exchange);
    if (call === undefined) return;
    this.#forget(call);
    if (call.fence !== undefined) this.#follow(this.#records.end(call.key, call.fence));
  }

  report(cause: unknown): void {
    this.#options.logger.error({ err: cause }, 'A request without a client could not be served');
  }

  #arm(call: RunningCall, then: () => void): void {
    this.#disarm(call);
    call.timer = this.#options.timeProvider.setTimeout(then, this.#keptMs);
  }

  #disarm(call: RunningCall): void {
    if (call.timer !== undefined) this.#options.timeProvider.clearTimeout(call.timer);
    call.timer = undefined;
  }

  /** A client that came back may leave again before it counts as attached: then the call is cut already. */
  #enterCut(call: RunningCall): boolean {
    if (call.cut) return true;
    const { user } = call.exchange;
    if (this.#cut.sum >= CUT_CALLS || (user !== undefined && this.#cut.of(user) >= CUT_CALLS_PER_USER)) {
      this.#logger.warn({}, 'A call is cancelled at a cut: too many calls go on without a client');
      return false;
    }
    if (!this.#given.memory.take(call.bodyBytes, 0)) return false;
    call.cut = true;
    this.#cut.add(user, 1);
    return true;
  }

  #leaveCut(call: RunningCall): void {
    if (!call.cut) return;
    call.cut = false;
    this.#given.memory.give(call.bodyBytes);
    this.#cut.add(call.exchange.user, -1);
  }

  #takeKept(bytes: number, held: number): boolean {
    const most = KEPT_PART * this.#options.limits.memoryBytes;
    if (bytes > most) return false;
    while (this.#keptBytes + bytes > most) if (!this.#forgetOldest()) return false;
    if (!this.#given.memory.take(bytes, held)) return false;
    this.#keptBytes += bytes;
    return true;
  }

  /** `false`: no answered call is kept. */
  #forgetOldest(): boolean {
    const [oldest] = this.#answered;
    if (oldest !== undefined) this.#forget(oldest);
    return oldest !== undefined;
  }

  #forget(call: RunningCall): void {
    this.#disarm(call);
    this.#leaveCut(call);
    this.#answered.delete(call);
    if (this.#calls.get(call.key) === call) this.#calls.delete(call.key);
    call.exchange.forget();
  }

  #follow(write: Promise<unknown>): void {
    this.#writes.add(write);
    void write.finally(() => this.#writes.delete(write));
  }

  // ——— Clients that come back ———

  /** The exchange of a call that runs here, or was answered here. */
  find(key: string): ResumableExchange | undefined {
    return this.#calls.get(key)?.exchange;
  }

  /** A lost call that this instance has claimed. It has no client yet. */
  restart(
    origin: RequestOrigin,
    first: CallPosition,
    { key, request, version, fence }: Pick<RunningCall, 'key' | 'request' | 'version'> & { readonly fence: Fence },
  ): ResumableExchange {
    const exchange = ResumableExchange.again(origin, first, this);
    const bodyBytes = JSON.stringify(request).length * BODY_WEIGHT;
    this.#calls.set(key, this.#register(exchange, first, { request, version, bodyBytes, fence }));
    this.#follow(this.#records.extend(key, fence));
    return exchange;
  }

  // ——— Upkeep ———

  #armSweep(): void {
    const { timeProvider } = this.#options;
    this.#sweeper = timeProvider.setTimeout(() => {
      this.#armSweep();
      const due = timeProvider.monotonic() - RECORD_MS / 2;
      for (const call of this.#calls.values()) {
        if (call.answered || call.fence === undefined || call.extendedAt > due) continue;
        call.extendedAt = timeProvider.monotonic();
        this.#follow(this.#records.extend(call.key, call.fence));
      }
    }, SWEEP_MS);
  }

  /** Resolves when every answer so far is stored, or could not be. A store that hangs delays no end of an endpoint. */
  async #stored(): Promise<void> {
    await inTime(this.#options.timeProvider, Promise.allSettled(this.#writes), STORED_MS);
  }

  /** Other instances run the calls again that run here now: their clients come back there. */
  async leave(): Promise<void> {
    for (const call of this.#calls.values()) {
      if (call.answered || call.fence === undefined) continue;
      call.exchange.leave();
      this.#forget(call);
      this.#follow(this.#records.release(call.key, call.fence));
    }
    await this.#stored();
  }

  /** May be called twice: a drain does, and then the close. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.timeProvider.clearTimeout(this.#sweeper);
    for (const call of this.#calls.values()) this.#forget(call);
    await this.#stored();
  }
}
