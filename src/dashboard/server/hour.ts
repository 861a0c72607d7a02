/**
 * The last hour of this instance in bins of 30 s, and the latencies of the last minute. A bin begins at a multiple of
 * 30 s by the clock, so that bins of several instances fit together.
 */
import type { TimeProvider } from '../../types.ts';
import type { HourBin } from '../wire.ts';
import { Latencies, type SparseCounts } from './latencies.ts';

const BIN_MS = 30_000;
export const BINS = 120;

/** What is read when a bin ends. */
interface HourGauges {
  /** Live sessions. */
  readonly count: number;
  readonly waiting: { readonly size: number };
}

export class Hour {
  readonly #time: Required<TimeProvider>;
  readonly #gauges: HourGauges;
  readonly #bins: HourBin[] = [];
  #begin: number;
  #requests = 0;
  #refused = 0;
  #waiting = 0;
  #now = new Latencies();
  #before = new Latencies();
  #storeNow = new Latencies();
  #storeBefore = new Latencies();
  #timer: unknown;

  constructor(time: Required<TimeProvider>, gauges: HourGauges) {
    this.#time = time;
    this.#gauges = gauges;
    this.#begin = this.#aligned();
    this.#arm();
  }

  get bins(): readonly HourBin[] {
    return this.#bins;
  }

  request(ms: number): void {
    this.#requests += 1;
    this.#now.add(ms);
  }

  refused(): void {
    this.#refused += 1;
  }

  /** A call waits, or has waited: so many wait now. */
  waits(): void {
    this.#waiting = Math.max(this.#waiting, this.#gauges.waiting.size, 1);
  }

  storeCall(ms: number): void {
    this.#storeNow.add(ms);
  }

  /** Requests of the last 30 to 60 s. */
  get latencies(): SparseCounts {
    return joined(this.#now, this.#before);
  }

  get storeLatencies(): SparseCounts {
    return joined(this.#storeNow, this.#storeBefore);
  }

  stop(): void {
    this.#time.clearTimeout(this.#timer);
  }

  #aligned(): number {
    const now = this.#time.now();
    return now - (now % BIN_MS);
  }

  #arm(): void {
    const ms = Math.max(1, this.#begin + BIN_MS - this.#time.now());
    this.#timer = this.#time.setTimeout(() => this.#roll(), Math.min(ms, BIN_MS));
  }

  #roll(): void {
    const next = this.#aligned();
    // The timer may be early by a millisecond.
    if (next > this.#begin) {
      this.#bins.push(this.#bin());
      if (this.#bins.length > BINS) this.#bins.shift();
      this.#begin = next;
      [this.#requests, this.#refused, this.#waiting] = [0, 0, this.#gauges.waiting.size];
      [this.#now, this.#before] = [this.#before, this.#now];
      [this.#storeNow, this.#storeBefore] = [this.#storeBefore, this.#storeNow];
      this.#now.clear();
      this.#storeNow.clear();
    }
    this.#arm();
  }

  #bin(): HourBin {
    const p50Ms = this.#now.quantile(0.5);
    const storeP50Ms = this.#storeNow.quantile(0.5);
    return {
      at: this.#begin,
      sessions: this.#gauges.count,
      requests: Math.round((this.#requests * 10_000) / BIN_MS) / 10,
      ...(p50Ms !== undefined && { p50Ms }),
      waiting: Math.max(this.#waiting, this.#gauges.waiting.size),
      refused: this.#refused,
      ...(storeP50Ms !== undefined && { storeP50Ms }),
    };
  }
}

function joined(now: Latencies, before: Latencies): SparseCounts {
  const all = new Latencies();
  all.addAll(now.sparse());
  all.addAll(before.sparse());
  return all.sparse();
}

/** The bins of several instances as those of the fleet, oldest first. A time in the middle counts by the requests. */
export function fleetBins(all: readonly (readonly HourBin[])[]): HourBin[] {
  const byTime = new Map<number, HourBin[]>();
  for (const bin of all.flat()) byTime.set(bin.at, [...(byTime.get(bin.at) ?? []), bin]);
  return [...byTime.values()]
    .map(fleetBin)
    .toSorted((one, other) => one.at - other.at)
    .slice(-BINS);
}

function fleetBin(bins: readonly HourBin[]): HourBin {
  const sum = (key: 'sessions' | 'requests' | 'waiting' | 'refused'): number =>
    bins.reduce((all, bin) => all + (bin[key] ?? 0), 0);
  const p50Ms = weighted(bins, 'p50Ms');
  const storeP50Ms = weighted(bins, 'storeP50Ms');
  return {
    at: bins[0]?.at ?? 0,
    sessions: sum('sessions'),
    requests: Math.round(sum('requests') * 10) / 10,
    ...(p50Ms !== undefined && { p50Ms }),
    waiting: sum('waiting'),
    refused: sum('refused'),
    ...(storeP50Ms !== undefined && { storeP50Ms }),
  };
}

function weighted(bins: readonly HourBin[], key: 'p50Ms' | 'storeP50Ms'): number | undefined {
  const known = bins.filter((bin) => bin[key] !== undefined);
  const weight = (bin: HourBin): number => Math.max(bin.requests ?? 0, 0.1);
  const all = known.reduce((sum, bin) => sum + weight(bin), 0);
  const sum = known.reduce((part, bin) => part + (bin[key] ?? 0) * weight(bin), 0);
  return known.length === 0 ? undefined : Math.round((sum / all) * 100) / 100;
}
