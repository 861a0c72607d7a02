/**
 * All children of a gateway, of all its programs. At most `maxChildren` live at once; by default as
 * many as a quarter of the memory holds, by the size of the first child. One caller may have half of
 * them. A place without a child waits for room and its turn (`start-queue.ts`).
 *
 *     starting ──▶ alive ──idle, and kept for as long as its start took──▶ stopping ──▶ left
 */
import { availableParallelism, totalmem } from 'node:os';
import { every, keepingProcess, monotonicMs } from '../base/system.ts';
import { childrenBusy, childrenStarting } from '../base/errors.ts';
import type { Logger, TimeProvider } from '../base/types.ts';
import type { Child } from './child.ts';
import { Place, type ChildRoom, type Tenant } from './place.ts';
import { endGuard, groupBytes } from './remains.ts';
import { StartQueue, type Turn, type Turns } from './start-queue.ts';
import type { ChildHandshake } from './wire.ts';

export interface PoolOptions {
  /** Children that live at once. */
  readonly maxChildren?: number | undefined;
  /** An idle child is stopped after so many ms. */
  readonly childIdleTimeoutMs: number;
  /** A child has so many ms to answer `initialize`. */
  readonly startMs: number;
  /** A call waits so many ms while no child is idle. */
  readonly maxWaitMs: number;
  /** A call waits so many ms for all starts before its own. */
  readonly startWaitMs: number;
  /** A child whose process group has more resident bytes is killed. */
  readonly childMemoryBytes?: number | undefined;
  readonly time: TimeProvider;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'debug'>;
}

/** The most children where `maxChildren` is not set. */
const MOST = 64;
const LEAST = 2;
/** A child has its own runtime: Python and Node take more. */
const SMALLEST_BYTES = 32 * 1024 * 1024;
const MEMORY_PART = 4;
/** A start takes a core for a while, and waits for a disk or a network for another while. */
const MOST_STARTS = Math.max(4, 2 * availableParallelism());
const LOOK_MS = 10_000;
/** Places that wait for room: of one caller, and of all. Others are refused at once. */
const MOST_WAITING = { ofCaller: 64, ofAll: 1_024 };
/** How long a run that waits for its client keeps a child that others need. */
const PATIENCE_MS = 10_000;

/** Room that a child has, or is promised. */
interface PooledPlace {
  readonly place: Place;
  state: 'starting' | 'alive' | 'stopping';
}

export class Pool implements ChildRoom, Turns {
  readonly options: PoolOptions;
  readonly #places = new Set<Place>();
  /** Ends of places that were removed. */
  readonly #ending = new Set<Promise<void>>();
  /** A place twice if it starts a child while its last one ends. */
  readonly #entered: PooledPlace[] = [];
  readonly #queue = new StartQueue(this);
  /** Children that stop, each for a place that had its turn in this round. */
  #promised = 0;
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
    const [alive, waiting] = [this.#entered.length, this.#queue.size];
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

  #of(owner: string): readonly PooledPlace[] {
    return this.#entered.filter(({ place }) => place.tenant.owner === owner);
  }

  async enter(place: Place, signal: AbortSignal): Promise<void> {
    const { ofCaller, ofAll } = MOST_WAITING;
    const [all, own] = [this.#queue.size, this.#queue.sizeOf(place.tenant.owner)];
    if (all >= ofAll || own >= ofCaller) {
      if (this.#fullFor(place) !== undefined) throw this.refusalOf(place, true);
      throw childrenStarting(`${own >= ofCaller ? own : all} calls wait already`);
    }
    await this.#queue.wait(place, signal);
  }

  refusalOf({ tenant: { owner } }: Place, isBusy: boolean): Error {
    const ofCaller = this.#of(owner).length >= this.#share;
    if (isBusy) return childrenBusy(ofCaller ? this.#share : this.#limit, ofCaller);
    return childrenStarting(
      `none started for this call within ${this.options.startWaitMs / 1_000} s`,
    );
  }

  startsOf(owner: string): number {
    return count('starting', this.#of(owner));
  }

  beginRound(): void {
    this.#promised = 0;
  }

  turnOf(place: Place): Turn {
    const children = this.#fullFor(place);
    if (children !== undefined) return this.#makeRoom(place, children);
    if (count('starting', this.#entered) >= MOST_STARTS) return 'soon';
    this.#entered.push({ place, state: 'starting' });
    return 'entered';
  }

  /** The children of which one must end first. */
  #fullFor({ tenant: { owner } }: Place): readonly PooledPlace[] | undefined {
    const own = this.#of(owner);
    if (own.length >= this.#share) return own;
    return this.#entered.length >= this.#limit ? this.#entered : undefined;
  }

  started(place: Place): void {
    const entered = this.#entered.find((one) => one.place === place && one.state === 'starting');
    if (entered !== undefined) entered.state = 'alive';
    this.#queue.look();
  }

  left(place: Place): void {
    const at = this.#entered.findIndex((one) => one.place === place);
    if (at >= 0) this.#entered.splice(at, 1);
    this.#queue.look();
  }

  roomFreed(): void {
    this.#queue.look();
  }

  /** A child that stops makes room for one place: the next one needs another. */
  #makeRoom(asking: Place, children: readonly PooledPlace[]): Turn {
    const stopping = count('stopping', children);
    if (this.#promised >= stopping && this.#stopOldest(asking, children)) this.#promised = stopping;
    else if (this.#promised >= stopping) {
      const isSoon = children.some((one) => one.state === 'starting' || isIdle(one, asking));
      return isSoon ? 'soon' : 'busy';
    }
    this.#promised += 1;
    return 'making';
  }

  /** None stops before another may start. */
  #stopOldest(asking: Place, children: readonly PooledPlace[]): boolean {
    const pending = count('starting', this.#entered) + count('stopping', this.#entered);
    if (pending >= MOST_STARTS) return false;
    const [oldest] = children
      .filter((one) => isIdle(one, asking) && one.place.keptUntil <= this.now)
      .toSorted((a, b) => a.place.usedAt - b.place.usedAt);
    if (oldest !== undefined) {
      const { place } = oldest;
      this.options.logger.debug({ child: place.child?.pid }, 'An idle child makes room');
      oldest.state = 'stopping';
      place.goCold();
      return true;
    }
    const abandoned = children.find(({ state, place }) => state === 'alive' && place.isAbandoned);
    if (abandoned !== undefined) {
      const child = abandoned.place.child?.pid;
      this.options.logger.info({ child }, 'A child whose client is gone makes room: its calls end');
      abandoned.state = 'stopping';
      void abandoned.place.stop();
      return true;
    }
    const before = this.now - PATIENCE_MS;
    const waiting = children
      .flatMap(({ place }) => place.waiting ?? [])
      .filter(({ since }) => since < before);
    const [longest] = waiting.toSorted((a, b) => a.since - b.since);
    longest?.giveUp('its child was needed');
    return false;
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

const count = (state: PooledPlace['state'], entered: readonly PooledPlace[]): number =>
  entered.filter((one) => one.state === state).length;

const isIdle = ({ place, state }: PooledPlace, asking: Place): boolean =>
  state === 'alive' && place !== asking && place.isIdle && place.child !== undefined;
