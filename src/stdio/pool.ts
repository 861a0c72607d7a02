/**
 * All children of a gateway, of all its programs. At most `maxChildren` live at once; by default as
 * many as a quarter of the memory holds, by the size of the first child. One caller may have half of
 * them. A place without a child waits for room up to `maxWaitMs`, and is refused then.
 */
import { availableParallelism, totalmem } from 'node:os';
import { elapse, every, keepingProcess, monotonicMs } from '../base/system.ts';
import { childrenBusy } from '../base/errors.ts';
import type { Logger, TimeProvider } from '../base/types.ts';
import type { Child } from './child.ts';
import { Place, type ChildRoom, type Tenant } from './place.ts';
import { endGuard, groupBytes } from './remains.ts';
import type { ChildHandshake } from './wire.ts';

export interface PoolOptions {
  /** Children that live at once. */
  readonly maxChildren?: number | undefined;
  /** An idle child is stopped after so many ms. */
  readonly childIdleTimeoutMs: number;
  /** A child has so many ms to answer `initialize`. */
  readonly startMs: number;
  /** A call waits so many ms for room. */
  readonly maxWaitMs: number;
  /** A child whose process group has more resident bytes is killed. */
  readonly childMemoryBytes?: number | undefined;
  readonly time: TimeProvider;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'debug'>;
}

/** Without `maxChildren`. */
const MOST = 64;
const LEAST = 2;
/** A child has its own runtime: Python and Node take more. */
const SMALLEST_BYTES = 32 * 1024 * 1024;
const MEMORY_PART = 4;
/** Starting takes a core for a while. */
const STARTS = availableParallelism();
const LOOK_MS = 10_000;
/** Room may also come without a notice: a caller's own share, a run that waits too long. */
const LOOK_FOR_ROOM_MS = 500;
/** Places that wait for room: of one caller, and of all. Others are refused at once. */
const MOST_WAITING = { ofCaller: 64, ofAll: 1_024 };
/** How long a run that waits for its client keeps a child that others need. */
const PATIENCE_MS = 10_000;

/** Room that a child has, or is promised. */
interface Entered {
  readonly place: Place;
  isStarting: boolean;
}

interface Waiter {
  readonly owner: string;
  freed: AbortController;
}

export class Pool implements ChildRoom {
  readonly options: PoolOptions;
  readonly #places = new Set<Place>();
  /** Ends of places that were removed. */
  readonly #ending = new Set<Promise<void>>();
  /** A place twice if it starts a child while its last one ends. */
  readonly #entered: Entered[] = [];
  readonly #waiting = new Set<Waiter>();
  #limit: number;
  readonly #stopLooking: () => void;

  constructor(options: PoolOptions) {
    this.options = options;
    this.#limit = options.maxChildren ?? MOST;
    const { time, childIdleTimeoutMs } = options;
    this.#stopLooking = every(time, Math.min(LOOK_MS, childIdleTimeoutMs), () => this.#look());
  }

  get now(): number {
    return monotonicMs(this.options.time);
  }

  get limit(): number {
    return this.#limit;
  }

  get figures(): Readonly<Record<'alive' | 'places' | 'waiting' | 'limit', number>> {
    const [alive, waiting] = [this.#entered.length, this.#waiting.size];
    return { alive, places: this.#places.size, waiting, limit: this.#limit };
  }

  /** Sets the limit by the size of a child, unless `maxChildren` does. */
  measure({ pid }: Child): void {
    if (this.options.maxChildren !== undefined || pid === undefined) return;
    const memory = Math.min(totalmem(), process.constrainedMemory() || Infinity);
    const size = Math.max(groupBytes(new Set([pid])).get(pid) ?? 0, SMALLEST_BYTES);
    const fits = Math.floor(memory / MEMORY_PART / size);
    this.#limit = Math.min(this.#limit, Math.max(LEAST, fits));
  }

  place(tenant: Tenant, handshake: ChildHandshake | undefined, isInitialized: boolean): Place {
    const place = new Place(this, tenant, handshake, isInitialized);
    this.#places.add(place);
    return place;
  }

  async remove(place: Place): Promise<void> {
    this.#places.delete(place);
    const ended = place.end();
    this.#ending.add(ended);
    await ended;
    this.#ending.delete(ended);
  }

  // ——— room ———

  get #share(): number {
    return Math.max(1, Math.ceil(this.#limit / 2));
  }

  #of(owner: string): readonly Entered[] {
    return this.#entered.filter(({ place }) => place.tenant.owner === owner);
  }

  async enter(place: Place): Promise<void> {
    if (!this.#enters(place)) await this.#wait(place);
  }

  async #wait(place: Place): Promise<void> {
    const { owner } = place.tenant;
    const { ofCaller, ofAll } = MOST_WAITING;
    const own = [...this.#waiting].filter((one) => one.owner === owner);
    if (own.length >= ofCaller || this.#waiting.size >= ofAll) throw this.#busy(owner);
    const until = this.now + this.options.maxWaitMs;
    const waiter: Waiter = { owner, freed: new AbortController() };
    this.#waiting.add(waiter);
    try {
      do {
        const left = until - this.now;
        if (left <= 0) throw this.#busy(owner);
        waiter.freed = new AbortController();
        await elapse(this.options.time, Math.min(left, LOOK_FOR_ROOM_MS), waiter.freed.signal);
      } while (!this.#enters(place));
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  #busy(owner: string): Error {
    const ofCaller = this.#of(owner).length >= this.#share;
    return childrenBusy(ofCaller ? this.#share : this.#limit, ofCaller);
  }

  /** `false`: there is no room yet. */
  #enters(place: Place): boolean {
    const { owner } = place.tenant;
    const own = this.#of(owner);
    if (own.length >= this.#share) this.#stopOldest(place, own);
    else if (this.#entered.length >= this.#limit) this.#stopOldest(place, this.#entered);
    else if (starting(this.#entered) < 2 * STARTS && starting(own) < STARTS)
      return this.#entered.push({ place, isStarting: true }) > 0;
    return false;
  }

  started(place: Place): void {
    const entered = this.#entered.find((one) => one.place === place && one.isStarting);
    if (entered !== undefined) entered.isStarting = false;
    this.roomFreed();
  }

  left(place: Place): void {
    const at = this.#entered.findIndex((one) => one.place === place);
    if (at >= 0) this.#entered.splice(at, 1);
    this.roomFreed();
  }

  roomFreed(): void {
    for (const { freed } of this.#waiting) freed.abort();
  }

  #stopOldest(asking: Place, entered: readonly Entered[]): void {
    const places = entered.map(({ place }) => place);
    const idle = places.filter((one) => one !== asking && one.isIdle && one.child !== undefined);
    const [oldest] = idle.toSorted((a, b) => a.usedAt - b.usedAt);
    if (oldest !== undefined) {
      this.options.logger.debug({ child: oldest.child?.pid }, 'An idle child makes room');
      return oldest.goCold();
    }
    const before = this.now - PATIENCE_MS;
    const waiting = places
      .flatMap((one) => one.waiting ?? [])
      .filter(({ since }) => since < before);
    const [longest] = waiting.toSorted((a, b) => a.since - b.since);
    longest?.giveUp('its child was needed');
  }

  // ——— what a timer looks at ———

  #look(): void {
    const before = this.now - this.options.childIdleTimeoutMs;
    for (const place of this.#places)
      if (place.isIdle && !place.hasSubscription && place.usedAt <= before) place.goCold();
    this.#endLarge();
  }

  #endLarge(): void {
    const most = this.options.childMemoryBytes ?? Infinity;
    if (most === Infinity) return;
    const children = [...this.#places].flatMap((place) => place.child ?? []);
    const bytes = groupBytes(new Set(children.flatMap(({ pid }) => pid ?? [])));
    for (const child of children) {
      const held = bytes.get(child.pid ?? 0) ?? 0;
      if (held <= most) continue;
      const mib = Math.round(held / 1024 / 1024);
      this.options.logger.warn({ child: child.pid, bytes: held }, 'A child is killed: its memory');
      child.kill(`its processes held ${mib} MiB, more than they may (--child-memory)`);
    }
  }

  async close(): Promise<void> {
    this.#stopLooking();
    await keepingProcess(async () => {
      for (const place of this.#places) void this.remove(place);
      await Promise.all(this.#ending);
    });
    endGuard();
  }
}

const starting = (entered: readonly Entered[]): number =>
  entered.filter(({ isStarting }) => isStarting).length;
