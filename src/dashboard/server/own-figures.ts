/**
 * What an instance counts once a dashboard is mounted, and writes into its lease with each renewal. It listens to the
 * notices that the metrics count too, and asks no other instance. All that it holds is bounded, whatever clients send.
 */
import type { DashboardParts } from '../../endpoint/dashboard-parts.ts';
import type { EmittedNotice, RequestNotice } from '../../observe/notices.ts';
import { isObject } from '../../protocol/jsonrpc.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import type { Figures } from '../wire.ts';
import { Recent, round } from './recent.ts';
import { Refusals } from './refusals.ts';

const MINUTE_MS = 60_000;
const BIN_MS = 2_000;
const BINS = MINUTE_MS / BIN_MS;
/** Errors are shown of so many bins: 10 s. */
const ERROR_BINS = 5;
/** Rows of tools and of reasons, and callers of a reason: in the lease, and on the page of the instance itself. */
const ROWS = 20;
const CALLERS = { lease: 2, page: 16 };
/** Bytes of what the lease carries. Every instance reads the leases of all with each renewal. */
const MOST_BYTES = 2_048;
/** An outage is shown for so long. */
const AWAY_MS = 2 * MINUTE_MS;
/** A request that was open in an outage for less did not wait for the store. */
const WAITED_MS = 250;
/** After an outage leases and sessions are claimed again. */
const CLAIMED_MS = 2_000;

/** Its times are those of the monotonic clock. */
interface Outage {
  readonly began: number;
  readonly ended?: number;
}

export class OwnFigures {
  readonly #parts: DashboardParts;
  readonly #now: () => number;
  /** The name of this instance for as long as it runs. */
  readonly key: string;
  readonly #bins: { readonly at: number; calls: number; errors: number }[] = [];
  readonly #minute: Recent;
  readonly #lately: Recent;
  readonly #tools: Recent;
  readonly #refusals: Refusals;
  #away: Outage | undefined;

  constructor(parts: DashboardParts) {
    const { instance, options } = parts;
    const { notices, timeProvider } = options;
    const now = (): number => timeProvider.monotonic();
    this.#parts = parts;
    this.#now = now;
    this.key = instance.lease.id;
    this.#minute = new Recent(MINUTE_MS / 2, now);
    this.#lately = new Recent(MINUTE_MS, now);
    this.#tools = new Recent(30 * MINUTE_MS, now);
    this.#refusals = new Refusals(now);
    // A dashboard may be mounted while the store is away.
    if (parts.health().store === 'away') this.#away = { began: now() };
    notices.listen((notice) => this.#note(notice), { requests: true });
  }

  /** Since when the store is away, by the wall clock. */
  get awaySince(): number | undefined {
    return this.#away === undefined || this.#away.ended !== undefined ? undefined : this.#wall(this.#away.began);
  }

  #wall(monotonic: number): number {
    return Math.round(this.#parts.options.timeProvider.now() - (this.#now() - monotonic));
  }

  read(callers = CALLERS.page): Figures {
    const { registry, running, instance } = this.#parts;
    let inSessions = 0;
    for (const session of registry.values()) inSessions += session.calls.running.size;
    // While the store is away no call of a session ends, although its handler may run.
    const held = this.awaySince === undefined ? 0 : inSessions;
    const { p50, p99 } = this.#minute.of('calls') ?? {};
    const waits = this.#lately.of('waits');
    const [rerun, lost] = [this.#lately.of('rerun')?.calls, this.#lately.of('lost')?.calls];
    const tools = [...this.#tools.names].flatMap((name) => {
      const count = this.#tools.of(name);
      return count === undefined ? [] : [{ name, ...count }];
    });
    return {
      key: this.key,
      sessions: registry.count,
      running: running.running + inSessions - held,
      waiting: registry.waiting.size + held,
      ...this.#lastMinute(),
      ...(p50 !== undefined && p99 !== undefined && { p50, p99 }),
      storeMs: round(instance.figures.renewalMs),
      ...(waits && { waited: { calls: waits.calls, longestMs: waits.slowest, refused: waits.errors } }),
      ...(rerun !== undefined && { rerun }),
      ...(lost !== undefined && { lost }),
      ...this.#lastAway(),
      tools: tools.toSorted((one, other) => other.calls - one.calls).slice(0, ROWS),
      refusals: this.#refusals.list(callers).slice(0, ROWS),
    };
  }

  /** JSON of at most `MOST_BYTES`: the last rows are left out until it fits. */
  text(): string {
    const figures = this.read(CALLERS.lease);
    const [tools, refusals] = [[...figures.tools], [...figures.refusals]];
    for (;;) {
      const text = JSON.stringify({ ...figures, tools, refusals });
      const longer = refusals.length >= tools.length ? refusals : tools;
      if (Buffer.byteLength(text) <= MOST_BYTES || longer.length === 0) return text;
      longer.pop();
    }
  }

  #note(notice: EmittedNotice): void {
    switch (notice.kind) {
      case 'request':
        return this.#request(notice);
      case 'refused':
        return this.#refusals.note(notice, notice.exchange, this.#parts.options.timeProvider.now());
      case 'waited':
        // In an outage the end of the request says it, for calls whose handlers ran as well.
        if (!this.#isAway()) this.#lately.add('waits', notice.ms, notice.outcome === 'refused');
        return undefined;
      case 'callLost':
        return this.#lately.add(notice.runsAgain ? 'rerun' : 'lost');
      case 'storeAway':
        this.#away = { began: this.#now() };
        return undefined;
      case 'storeBack':
        this.#away = { began: this.#now() - notice.ms, ended: this.#now() };
        return undefined;
      default:
    }
  }

  #isAway(): boolean {
    return this.#away !== undefined && this.#now() < (this.#away.ended ?? Infinity) + CLAIMED_MS;
  }

  /** Runs for every request: it reads no clock, and creates nothing. */
  #request(notice: RequestNotice): void {
    const { http, method, target, ms, refused, failure, status, left, endedAt } = notice;
    if (http !== 'POST') return;
    if (this.#away !== undefined) this.#waitForStore(notice);
    if (refused !== undefined) return this.#count(true, endedAt);
    // A stream is no answer that a client waits for, and a notification has none.
    if (method === undefined || method === 'subscriptions/listen' || method.startsWith('notifications/')) return;
    const failed = failure !== undefined || (status >= 400 && !left);
    this.#count(failed, endedAt);
    this.#minute.add('calls', ms, failed, endedAt);
    if (method === 'tools/call' && target !== undefined)
      this.#tools.add(this.#parts.options.notices.tools.of(target), ms, failed, endedAt);
  }

  #waitForStore({ ms, sessionId, refused, failure, endedAt: now }: RequestNotice): void {
    const { began = 0, ended = now } = this.#away ?? {};
    if (sessionId === undefined || !this.#isAway() || now - ms > ended) return;
    // The first renewal that fails tells the outage.
    const waited = now - Math.max(now - ms, began - this.#parts.options.leaseMs / 3);
    if (waited >= WAITED_MS) this.#lately.add('waits', waited, (refused ?? failure) !== undefined);
  }

  #count(failed: boolean, now: number): void {
    const at = Math.floor(now / BIN_MS);
    let bin = this.#bins.at(-1);
    if (bin?.at !== at) this.#bins.push((bin = { at, calls: 0, errors: 0 }));
    if (this.#bins.length > BINS) this.#bins.shift();
    bin.calls += 1;
    if (failed) bin.errors += 1;
  }

  #lastMinute(): Pick<Figures, 'calls' | 'errors'> {
    const last = Math.floor(this.#now() / BIN_MS);
    const ages = Array.from({ length: BINS }, (_, k) => this.#bins.find(({ at }) => at === last - BINS + 1 + k));
    const errors = ages.slice(-ERROR_BINS).reduce((sum, bin) => sum + (bin?.errors ?? 0), 0);
    return { calls: ages.map((bin) => bin?.calls ?? 0), errors };
  }

  #lastAway(): Pick<Figures, 'away'> {
    const { began = 0, ended } = this.#away ?? {};
    if (ended === undefined || this.#now() - ended >= AWAY_MS) return {};
    return { away: { since: this.#wall(began), ms: round(ended - began) } };
  }
}

/** What another instance wrote. `undefined`: it has no dashboard, or another build wrote it. */
export function readFigures(text = ''): Figures | undefined {
  const value: unknown = orUndefined(() => JSON.parse(text) as unknown);
  if (!isObject(value) || typeof value['key'] !== 'string') return undefined;
  const areLists = ['calls', 'tools', 'refusals'].every((name) => Array.isArray(value[name]));
  const areNumbers = ['sessions', 'running', 'waiting', 'errors', 'storeMs'].every(
    (name) => typeof value[name] === 'number',
  );
  return areLists && areNumbers ? (value as unknown as Figures) : undefined;
}
