/**
 * The last minute as bins of half a second, one for each `fleet` message. The server sends counters; a bin has their
 * differences. Bins know instances by lane: one lane has one name, and its processes follow each other.
 */
import type { FleetSnapshot, FleetInstance, InstanceCounters, StoreCounts } from '../../src/dashboard/wire.ts';

export const WINDOW_MS = 60_000;

/** Sessions in the store for their next request: their instance drained or died. `undefined`: too many to tell. */
export const leftIn = (counts: StoreCounts | undefined): number | undefined =>
  counts?.released === undefined ? undefined : counts.released + (counts.orphaned ?? 0);

export interface LaneBin {
  /** The process that the lane had then. */
  readonly id: string;
  readonly pid: number | undefined;
  readonly state: FleetInstance['state'];
  readonly end: FleetInstance['end'];
  readonly sessions: number | undefined;
  /** Requests a second. */
  readonly calls: number;
  readonly sessionless: number | undefined;
  readonly waiting: number;
  /** Sessions that continued here after their instance had stopped: in this bin, and in the minute until now. */
  readonly moves: number;
  readonly moved: number;
  /** Sessions that fell to the store: given back, or left behind by a process that stopped. */
  readonly fallen: number;
  readonly loopMs: number | undefined;
  readonly memory: number | undefined;
}

export interface Bin {
  readonly at: number;
  readonly away: boolean;
  readonly lanes: ReadonlyMap<string, LaneBin>;
  readonly hibernated: number | undefined;
  /** Sessions in the store that continue with their next request. */
  readonly left: number | undefined;
}

export class Minute {
  #bins: readonly Bin[] = [];
  readonly #counters = new Map<string, InstanceCounters>();

  get bins(): readonly Bin[] {
    return this.#bins;
  }

  add(fleet: FleetSnapshot): void {
    const before = this.#bins.at(-1);
    // A server that answers instead of another one has its own clock.
    if (before !== undefined && fleet.at <= before.at) this.#bins = this.#bins.filter((bin) => bin.at < fleet.at);
    const seconds = Math.min(30, Math.max(0.1, (fleet.at - (before?.at ?? fleet.at - 500)) / 1000));
    const recent = this.#bins.filter((bin) => bin.at > fleet.at - WINDOW_MS - 2_000);
    const lanes = new Map<string, LaneBin>();
    for (const instance of fleet.instances) {
      if (instance.state === 'gone' && lanes.has(instance.name)) continue;
      const present = lanes.get(instance.name);
      if (present !== undefined && present.state !== 'gone') continue;
      lanes.set(instance.name, this.#laneBin(instance, before, recent, seconds));
    }
    for (const { id, count } of fleet.instances) if (count !== undefined) this.#counters.set(id, count);
    for (const id of this.#counters.keys())
      if (!fleet.instances.some((one) => one.id === id)) this.#counters.delete(id);
    const { state, counts } = fleet.store;
    const left = leftIn(counts);
    this.#bins = [
      ...recent,
      { at: fleet.at, away: state === 'away', lanes, hibernated: counts?.hibernated ?? counts?.stored, left },
    ];
  }

  #laneBin(instance: FleetInstance, before: Bin | undefined, recent: readonly Bin[], seconds: number): LaneBin {
    const { id, name, pid, state, end, count, memoryBytes, memoryLimit } = instance;
    const last = this.#counters.get(id);
    const since = (key: keyof InstanceCounters): number =>
      count === undefined || last === undefined ? 0 : Math.max(0, (count[key] ?? 0) - (last[key] ?? 0));
    const own = before?.lanes.get(name);
    const hasStopped = state === 'gone' && own !== undefined && own.id === id && own.state !== 'gone';
    const moves = since('moved');
    // An instance that does not answer has what it had.
    const held = state === 'silent' && own?.id === id ? own.sessions : undefined;
    const sessions = state === 'gone' ? undefined : (instance.sessions ?? held);
    const inMinute = recent.reduce((sum, bin) => {
      const lane = bin.lanes.get(name);
      return lane?.id === id ? sum + lane.moves : sum;
    }, moves);
    return {
      id,
      pid,
      state,
      end,
      sessions,
      calls: since('requests') / seconds,
      sessionless: count?.sessionless === undefined ? undefined : since('sessionless') / seconds,
      waiting: instance.waiting ?? 0,
      moves,
      moved: Math.min(inMinute, sessions ?? inMinute),
      fallen: hasStopped ? (own.sessions ?? 0) : since('released'),
      loopMs: instance.loopMs,
      memory: memoryBytes === undefined || memoryLimit === undefined ? undefined : memoryBytes / memoryLimit,
    };
  }
}

/** Requests a second of one lane: the mean of the last bins. */
export function rateOf(bins: readonly Bin[], name: string, key: 'calls' | 'sessionless' = 'calls'): number | undefined {
  const values = bins.slice(-6).flatMap((bin) => bin.lanes.get(name)?.[key] ?? []);
  return values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length;
}
