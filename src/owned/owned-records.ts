/**
 * The records of one kind whose work instances run, and their owners. A dead owner is judged as everywhere: the instance
 * directory has no lease for it. While owners may return after an outage of the store, none counts as dead.
 */
import { BoundedMap } from '../base/bounded-map.ts';
import { storeAway } from '../errors.ts';
import type { KeptRecords } from '../kept/kept-records.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { whileAway } from '../session/record/pause.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { MaybePromise } from '../stores/store.ts';

const OWNERS = 1_000;

/** The lease of this instance. */
export interface OwnerLease {
  readonly owner: string;
  readonly valid: boolean;
  readonly ownersMayReturn: boolean;
}

export interface OwnedRecordsOptions {
  readonly options: Pick<ResolvedOptions, 'timeProvider' | 'waitMs'>;
  readonly store: EndpointStore;
  readonly instance: { readonly lease: OwnerLease };
}

const never = (): boolean => false;

export class OwnedRecords {
  readonly #kind: 'once' | 'tasks';
  readonly #given: OwnedRecordsOptions;
  readonly #owners = new BoundedMap<string, { readonly at: number; readonly alive: Promise<boolean> }>(OWNERS);
  #isStopped = false;

  constructor(kind: 'once' | 'tasks', given: OwnedRecordsOptions) {
    this.#kind = kind;
    this.#given = given;
  }

  /** The store may be opened later. */
  get records(): KeptRecords {
    return this.#given.store[this.#kind];
  }

  get lease(): OwnerLease {
    return this.#given.instance.lease;
  }

  /** The instance stops: nothing is written any more. */
  stop(): void {
    this.#isStopped = true;
  }

  get stopped(): boolean {
    return this.#isStopped;
  }

  /** Repeats `work` while the store is away, for at most `waitMs`. */
  reach<T>(work: () => MaybePromise<T>, stopped = never, waitMs = this.#given.options.waitMs): Promise<T> {
    const { timeProvider: time } = this.#given.options;
    return whileAway({ time, waitMs, stopped: () => this.#isStopped || stopped() }, work);
  }

  /** No id owns a record before its lease is stored: another instance would find its owner dead. */
  async leased(stopped?: () => boolean): Promise<void> {
    await this.reach(() => {
      if (!this.lease.valid) throw storeAway('this instance takes its lease');
    }, stopped);
  }

  /** `knownMs`: the lease of one owner is not read again within this time. */
  async isAlive(owner: string, knownMs = 0): Promise<boolean> {
    return (await this.#hasLease(owner, knownMs)) || this.lease.ownersMayReturn;
  }

  #hasLease(owner: string, knownMs: number): Promise<boolean> {
    const now = this.#given.options.timeProvider.monotonic();
    const known = this.#owners.get(owner);
    if (known !== undefined && now - known.at < knownMs) return known.alive;
    const alive = (async () => (await this.#given.store.instances.read(owner)) !== undefined)();
    alive.catch(() => this.#owners.delete(owner));
    this.#owners.set(owner, { at: now, alive });
    return alive;
  }
}
