/**
 * The instances of the deployment, as the leases show them that this instance reads with each renewal, and that it
 * reads again for a page, with the figures. An instance that left is kept for two minutes, also by a process that began
 * after that: the store has its last figures. Those that died are named for an hour.
 *
 *     serving ──▶ draining ──lease given back──▶ left
 *        ╰──no renewal, or takes no message──▶ silent ──lease gone──▶ killed
 *
 * While the store is away nothing is known, so no state changes. When it is back, instances whose leases ran out take
 * others (`Lease.ownersMayReturn`). Those of one instance name the same first id.
 */
import type { ShownEndpoint } from './shown-endpoint.ts';
import type { InstanceLease } from '../../stores/store.ts';
import { elapse } from '../../base/system.ts';
import type { Figures, InstanceFigures } from './instance-figures.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import { KEPT_MS as DEATHS_MS, SharedFigures, type ToldInstance } from './shared-figures.ts';
import { type KeptByUser, keptMost } from '../../session/record/kept-most.ts';

const LEFT_MS = 120_000;
/** Rows of the page, and dead instances of which it is known how they ended. */
const MOST_DEATHS = 20;
const MOST_DEAD = 1_000;
const PATIENCE_MS = 700;
/** Looked at again after this time. */
const KEPT_MS = 10_000;
/** A lease is renewed when a third of it is over. */
const SILENT_LEASES = 0.85;

/**
 * `silent`: it has a lease, and does not renew it or take messages. `left`: it gave its lease back. `killed`: it did
 * not, and has none.
 */
export type InstanceState = 'serving' | 'draining' | 'silent' | 'left' | 'killed';

interface KnownInstance {
  readonly joinedAt: number;
  lease: InstanceLease;
  /** When its last renewal was seen. */
  seenAt: number;
  drainingAt?: number;
  /** When it was first found not to listen. */
  deafAt?: number;
  goneAt?: number;
  /** It gave its lease back. */
  hasLeft?: boolean;
  figures?: Figures | undefined;
}

export class Fleet {
  readonly #endpoint: ShownEndpoint;
  readonly #own: InstanceFigures;
  readonly #figures: SharedFigures;
  readonly #known = new Map<string, KnownInstance>();
  #readAt = 0;
  #reading: Promise<void> | undefined;
  /** What is read seldom: what users keep, and the instances whose figures the store has, by their first ids. */
  #kept: readonly KeptByUser[] = [];
  #told: ReadonlyMap<string, ToldInstance> | undefined;
  #keptAt = -Infinity;
  /** Whether a dead instance gave its lease back. */
  readonly #left = new BoundedMap<string, boolean>(MOST_DEAD);
  #deaths: readonly Death[] = [];

  constructor(endpoint: ShownEndpoint, own: InstanceFigures) {
    this.#endpoint = endpoint;
    this.#own = own;
    this.#figures = new SharedFigures(endpoint, own);
    endpoint.instance.watch((leases) => {
      if (this.#told === undefined) void this.#begin(leases);
      else this.#take(leases);
      void this.#figures.write();
    });
  }

  /** Reads the leases, unless the store is away. Pages that ask at one time share what is read. */
  async look() {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    // A store that is about to be away may take seconds to say so.
    await Promise.race([this.#reading, elapse(this.#endpoint.options.timeProvider, PATIENCE_MS)]);
    const all = [...this.#known.values()].toSorted((one, other) => one.joinedAt - other.joinedAt);
    return {
      /** Since when the store does not answer this instance. */
      awaySince: this.#own.awaySince,
      /** When the leases were read. While the store is away, the other instances are shown as they were then. */
      readAt: this.#readAt,
      instances: all.map((one) => this.row(one)),
      /** The users that keep most in the store. */
      kept: this.#kept,
      /** Instances that died in the last hour, the last one first. */
      deaths: this.#deaths,
    };
  }

  async #read(): Promise<void> {
    const { instance } = this.#endpoint;
    if (this.#own.awaySince !== undefined) return;
    try {
      const now = this.#endpoint.options.timeProvider.monotonic();
      const isDue = now - this.#keptAt >= KEPT_MS;
      if (isDue) await this.#readTold();
      this.#take(await instance.leases());
      await Promise.all([...this.#known.values()].map(async (one) => this.#look(one)));
      await this.#findDeaths();
      if (!isDue) return;
      this.#keptAt = now;
      this.#kept = await keptMost(this.#endpoint.store);
    } catch {
      // The store went away. The notice that says so comes with the next renewal.
    }
  }

  async #readTold(): Promise<void> {
    this.#told = new Map((await this.#figures.all()).map((one) => [keyOf(one.lease), one]));
  }

  /** What died before this process began has a lease for some seconds, and looks like a new one without its figures. */
  async #begin(leases: readonly InstanceLease[]): Promise<void> {
    await this.#readTold().catch(() => {});
    this.#take(leases);
  }

  get #now(): number {
    return this.#endpoint.options.timeProvider.now();
  }

  async #look(one: KnownInstance): Promise<void> {
    const { instance } = this.#endpoint;
    const { id } = one.lease;
    // It writes no more once it has gone.
    if (id !== instance.lease.id && (one.goneAt === undefined || one.figures === undefined))
      one.figures = (await this.#figures.read(keyOf(one.lease)))?.figures ?? one.figures;
    if (one.goneAt !== undefined) one.hasLeft ??= await this.#hasLeft(id);
    else if (id === instance.lease.id || instance.lease.ownersMayReturn) return;
    // A process that was killed takes no message, long before its lease ends.
    else if (await instance.listens(id)) delete one.deafAt;
    else one.deafAt ??= this.#now;
  }

  async #hasLeft(id: string): Promise<boolean> {
    const known = this.#left.get(id);
    if (known !== undefined) return known;
    const left = await this.#endpoint.instance.left(id);
    this.#left.set(id, left);
    return left;
  }

  /** Those that died before this process began, or that it did not see, are known by their last figures. */
  async #findDeaths(): Promise<void> {
    const { instance } = this.#endpoint;
    if (instance.lease.ownersMayReturn) return;
    const deaths: Death[] = [];
    for (const [key, { lease, joinedAt, at, figures }] of this.#told ?? []) {
      if (this.#known.has(key) || key === instance.lease.firstId) continue;
      const hasLeft = await this.#hasLeft(lease.id);
      if (this.#now - at < LEFT_MS) {
        const gone = { seenAt: at, goneAt: at, hasLeft, figures };
        this.#known.set(key, { joinedAt, lease: { ...lease, state: 'serving' }, ...gone });
      } else if (!hasLeft && this.#now - at < DEATHS_MS)
        deaths.push(deathOf({ ...lease, joinedAt, figures }, at));
    }
    for (const row of [...this.#known.values()].map((one) => this.row(one)))
      if (row.state === 'killed') deaths.push(deathOf(row, row.since));
    this.#deaths = deaths.toSorted((one, other) => other.at - one.at).slice(0, MOST_DEATHS);
  }

  #take(leases: readonly InstanceLease[]): void {
    const now = this.#now;
    const wasAway = now - this.#readAt > SILENT_LEASES * this.#endpoint.options.leaseMs;
    this.#readAt = now;
    const alive = new Set<string>();
    for (const lease of leases) {
      const key = keyOf(lease);
      alive.add(key);
      this.#note(key, lease, now, wasAway);
    }
    for (const [key, one] of this.#known) {
      if (!alive.has(key) && !this.#isOwn(one) && !this.#endpoint.instance.lease.ownersMayReturn)
        one.goneAt ??= now;
      if (one.goneAt !== undefined && now - one.goneAt > LEFT_MS) this.#known.delete(key);
    }
  }

  #note(key: string, lease: InstanceLease, now: number, wasAway: boolean): void {
    let one = this.#known.get(key);
    const isNew = one === undefined;
    if (one === undefined) {
      // It may have died before this process began.
      const seenAt = Math.min(now, this.#told?.get(key)?.at ?? now);
      // A process is older than its first lease, and this instance may have mounted its dashboard just now.
      one = { joinedAt: Math.min(seenAt, lease.process?.startedAt ?? seenAt), lease, seenAt };
      this.#known.set(key, one);
    }
    const isOther = lease.id !== one.lease.id;
    if (isOther || lease.stamp !== one.lease.stamp || (wasAway && !isNew)) one.seenAt = now;
    if (isOther) delete one.deafAt;
    if (lease.state === 'draining') one.drainingAt ??= now;
    one.lease = lease;
    delete one.goneAt;
  }

  #isOwn({ lease }: KnownInstance): boolean {
    return keyOf(lease) === this.#endpoint.instance.lease.firstId;
  }

  row(one: KnownInstance) {
    const isOwn = this.#isOwn(one);
    return {
      id: one.lease.id,
      version: one.lease.version,
      process: one.lease.process,
      ...this.#state(one, isOwn),
      joinedAt: one.joinedAt,
      drainingAt: one.drainingAt,
      /** Absent: it has no dashboard. */
      figures: isOwn ? this.#own.read() : one.figures,
      figuresAt: isOwn ? this.#now : one.seenAt,
    };
  }

  #state(
    one: KnownInstance,
    isOwn: boolean,
  ): { readonly state: InstanceState; readonly since: number } {
    const { joinedAt, seenAt, deafAt, drainingAt, goneAt, hasLeft } = one;
    const { leaseMs, store } = this.#endpoint.options;
    // It died before it would have renewed its lease.
    const since = deafAt === undefined ? seenAt : Math.min(deafAt, seenAt + leaseMs / 3);
    if (goneAt !== undefined)
      return hasLeft === true ? { state: 'left', since: goneAt } : { state: 'killed', since };
    const isLate = this.#readAt - seenAt > SILENT_LEASES * leaseMs;
    const canBeLate = !isOwn && store?.durable === true;
    const isSilent = deafAt !== undefined || (canBeLate && isLate);
    if (isSilent && !this.#endpoint.instance.lease.ownersMayReturn)
      return { state: 'silent', since };
    return drainingAt === undefined
      ? { state: 'serving', since: joinedAt }
      : { state: 'draining', since: drainingAt };
  }
}

export interface Death {
  readonly id: string;
  readonly process?: InstanceLease['process'] | undefined;
  /** When it renewed its lease for the last time, or was first found not to listen. */
  readonly at: number;
  readonly joinedAt: number;
  /** The number that it last sent, some seconds before. */
  readonly sessions: number | undefined;
  readonly running: number | undefined;
}

const deathOf = (
  {
    id,
    process,
    joinedAt,
    figures,
  }: Pick<Death, 'id' | 'process' | 'joinedAt'> & { readonly figures?: Figures | undefined },
  at: number,
): Death => ({ id, process, at, joinedAt, sessions: figures?.sessions, running: figures?.running });

/** The first id of its instance. */
const keyOf = ({ id, process }: Pick<InstanceLease, 'id' | 'process'>): string =>
  process?.first ?? id;
