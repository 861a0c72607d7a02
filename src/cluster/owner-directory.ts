/**
 * Who has what one instance at a time owns: a session, a handle with its object, a task, a key of `once()`. One answer
 * for all kinds, from the owner that a record names:
 *
 *     none, or this instance ─▶ free
 *     heard lately, or has a lease ─▶ alive
 *     no lease, while owners may return from an outage of the store ─▶ returning
 *     no lease ─▶ dead: for good
 *
 * Only what is free or dead is claimed. Calls for what lives in memory (a session, an object) go where that is
 * (`whereIs`); work (a task, a key) is taken up where it is looked for, or left alone.
 */
import type { Lifecycle } from '../session/lifecycle.ts';
import type { Ownership, Records, StoredRecord } from '../stores/store.ts';
import { within } from '../base/system.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import type { Instance } from './instance.ts';

export type OwnerState = 'free' | 'alive' | 'returning' | 'dead';

export class OwnerDirectory {
  readonly #options: Pick<ResolvedOptions, 'timeProvider' | 'maxWaitMs'>;
  readonly #instance: Pick<Instance, 'lease' | 'links' | 'otherServing'>;
  readonly #lifecycle: Pick<Lifecycle, 'prefersOthers' | 'refusal'>;

  constructor(
    options: Pick<ResolvedOptions, 'timeProvider' | 'maxWaitMs'>,
    instance: Pick<Instance, 'lease' | 'links' | 'otherServing'>,
    lifecycle: Pick<Lifecycle, 'prefersOthers' | 'refusal'>,
  ) {
    this.#options = options;
    this.#instance = instance;
    this.#lifecycle = lifecycle;
  }

  /**
   * `answers`: an owner that was not heard lately is asked first. A crashed one has its lease for some seconds, and what
   * is sent to it may count as run.
   */
  async ownerOf(
    { owner }: Pick<Ownership, 'owner'>,
    { answers = false } = {},
  ): Promise<OwnerState> {
    const { lease, links } = this.#instance;
    if (owner === null || owner === lease.owner) return 'free';
    if (answers && (await this.#answers(owner))) return 'alive';
    if (await links.isAlive(owner)) return 'alive';
    return lease.ownersMayReturn ? 'returning' : 'dead';
  }

  /** Whether another instance has it, or may return to it. */
  async isTaken(record: Pick<Ownership, 'owner'>): Promise<boolean> {
    const state = await this.ownerOf(record);
    return state === 'alive' || state === 'returning';
  }

  #answers(owner: string): Promise<boolean> {
    const { timeProvider, maxWaitMs } = this.#options;
    return within(timeProvider, maxWaitMs, this.#instance.links.answers(owner), () => true);
  }

  /**
   * The instance that a drain leaves it to: another instance that serves. This instance gives back
   * what it owns without a copy. `undefined`: this one serves it. Throws what requests are refused
   * with, if there is no other.
   */
  async leftTo(records: Records, record: StoredRecord): Promise<string | undefined> {
    const { lease } = this.#instance;
    const { prefersOthers, refusal } = this.#lifecycle;
    if (!prefersOthers) return undefined;
    const other = await this.#instance.otherServing();
    if (other === undefined) {
      // The last instance keeps serving, including what another instance released while it left.
      if (refusal !== undefined) throw refusal;
      return undefined;
    }
    if (record.owner === lease.owner) await records.save(record.id, record, { release: true });
    return other;
  }
}
