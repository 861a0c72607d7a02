/**
 * What an instance says of itself: to its own page, and twice a second to another instance while a page is open there.
 * A reader gets everything with its first report, and later what has changed.
 */
import { isObject } from '../../protocol/jsonrpc.ts';
import type { FleetInstance, HourBin } from '../wire.ts';
import type { Collector } from './collector.ts';
import type { NotedEvent } from './fleet-events.ts';
import type { SparseCounts } from './latencies.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import type { StopPart } from './stops.ts';
import { type LoopWatch, watchEventLoop } from '../../base/system.ts';

/** The members of `FleetInstance` that only the instance knows. */
export type Figures = Pick<
  FleetInstance,
  | 'leaseMs'
  | 'sessions'
  | 'sessionsLimit'
  | 'waiting'
  | 'running'
  | 'memoryBytes'
  | 'memoryLimit'
  | 'loopMs'
  | 'getStreams'
  | 'count'
>;

export interface Report {
  readonly figures: Figures;
  readonly latencies: SparseCounts;
  readonly storeLatencies: SparseCounts;
  readonly storeAway: boolean;
  readonly refused: { readonly times: number; readonly reasons: readonly string[] };
  readonly clients: number;
  readonly bins: readonly HourBin[];
  readonly events: readonly NotedEvent[];
  readonly stops: readonly StopPart[];
}

/** What a reader has got. */
interface Got {
  events: number;
  stops: number;
  bin: number;
}

/** A loop over more sessions than this is made less often. */
const MANY = 5_000;
const SELDOM_MS = 2_000;

export class Reports {
  readonly #parts: DashboardParts;
  readonly #collector: Collector;
  #loop: LoopWatch | undefined;
  #streams = { at: -Infinity, get: 0, running: 0 };

  constructor(parts: DashboardParts, collector: Collector) {
    this.#parts = parts;
    this.#collector = collector;
  }

  /** `got`: of this reader, an empty one at first. */
  report(got: Got): Report {
    const { hour, refusals, clients, events, stops } = this.#collector;
    const bins = hour.bins.filter(({ at }) => at > got.bin);
    const report: Report = {
      figures: this.#figures(),
      latencies: hour.latencies,
      storeLatencies: hour.storeLatencies,
      storeAway: this.#parts.health().store === 'away',
      refused: refusals.count,
      clients: clients.count,
      bins,
      events: events.since(got.events),
      stops: stops.since(got.stops),
    };
    got.events = events.change;
    got.stops = stops.change;
    got.bin = bins.at(-1)?.at ?? got.bin;
    return report;
  }

  /** Nothing reads any more. */
  stop(): void {
    this.#loop?.stop();
    this.#loop = undefined;
  }

  #figures(): Figures {
    const { registry, instance, held, options, running } = this.#parts;
    const { remainingMs } = instance.lease;
    const used = Object.values(held).reduce((sum, row) => sum + row.used, 0);
    // In s, over the last 15 to 30 s.
    const delay = (this.#loop ??= watchEventLoop()).read();
    const streams = this.#openStreams();
    return {
      ...(remainingMs !== undefined && { leaseMs: Math.max(0, Math.round(remainingMs)) }),
      sessions: registry.count,
      ...(Number.isFinite(options.limits.sessions) && { sessionsLimit: options.limits.sessions }),
      waiting: registry.waiting.size,
      running: streams.running + running.running,
      memoryBytes: used,
      ...(Number.isFinite(options.limits.memoryBytes) && { memoryLimit: options.limits.memoryBytes }),
      ...(delay !== undefined && { loopMs: Math.round(delay.p99 * 10_000) / 10 }),
      getStreams: streams.get,
      count: this.#collector.count,
    };
  }

  #openStreams(): { readonly get: number; readonly running: number } {
    const { registry, options } = this.#parts;
    const now = options.timeProvider.monotonic();
    if (registry.count > MANY && now - this.#streams.at < SELDOM_MS) return this.#streams;
    const streams = { at: now, get: 0, running: 0 };
    for (const session of registry.values()) {
      if (session.hasGetSink) streams.get += 1;
      streams.running += session.calls.running.size;
    }
    return (this.#streams = streams);
  }
}

export const nothingGot = (): Got => ({ events: 0, stops: 0, bin: 0 });

/** Whether another instance sent a report. It is signed, so its members are those of some build of sojourn. */
export function isReport(value: unknown): value is Report {
  if (!isObject(value) || !isObject(value['figures']) || !isObject(value['refused'])) return false;
  const { reasons, times } = value['refused'];
  if (!Array.isArray(reasons) || typeof times !== 'number' || typeof value['clients'] !== 'number') return false;
  return ['latencies', 'storeLatencies', 'bins', 'events', 'stops'].every((name) => Array.isArray(value[name]));
}
