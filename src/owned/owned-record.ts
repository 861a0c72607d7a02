/**
 * A record that this instance owns while some work of it runs, and the writes of its owner. The instance may get a new
 * id after a lapse of its lease: then the record is claimed for that id, unless another instance was first. The reply
 * to a claim may be lost, so a write that is refused reads who owns the record now.
 */
import { type Fence, isEnded, type MaybePromise, type Records, type StoredRecord } from '../stores/store.ts';

/** The lease of this instance. */
export interface OwnerLease {
  readonly owner: string;
}

export class OwnedRecord {
  readonly id: string;
  readonly #records: () => Records;
  /** Whether a stored record is this one: its id may have been used again. */
  readonly #isThis: (stored: StoredRecord) => boolean;
  /** Every id of this instance under which the record may be owned. */
  readonly #owners = new Set<string>();
  #fence: Fence;
  #claiming: Promise<unknown> | undefined = undefined;
  #isLost = false;

  /** `records`: of the kind. The store may be opened later. */
  constructor(
    records: () => Records,
    id: string,
    fence: Fence,
    isThis: (stored: StoredRecord) => boolean = () => true,
  ) {
    this.#records = records;
    this.id = id;
    this.#fence = fence;
    this.#isThis = isThis;
    this.#owners.add(fence.owner);
  }

  get fence(): Fence {
    return this.#fence;
  }

  /** Repeats a write that was refused because the record was claimed for another id of this instance. */
  async write<Outcome>(work: (fence: Fence) => MaybePromise<Outcome>): Promise<Outcome> {
    for (;;) {
      await this.#claiming;
      const fence = this.#fence;
      const outcome = await work(fence);
      if (outcome !== 'fenced' || (this.#fence === fence && !(await this.#isStillOurs(fence)))) return outcome;
    }
  }

  /** Whether a claim for this instance took effect whose reply was lost. Another write may have found that too. */
  async #isStillOurs({ epoch }: Fence): Promise<boolean> {
    const stored = await this.#records().read(this.id);
    if (stored === undefined || isEnded(stored) || !this.#isThis(stored) || this.#isLost) return false;
    return stored.epoch !== epoch && this.#take(stored);
  }

  /** `false`: another instance owns it, or none. */
  #take({ epoch, owner }: StoredRecord): boolean {
    if (owner === null || !this.#owners.has(owner)) return false;
    this.#fence = { epoch, owner };
    return true;
  }

  /** Another instance has it. This one may claim it again, for other work. */
  lose(): void {
    this.#isLost = true;
  }

  /** This instance may have a new id. `lost`: another instance has claimed the record, or it has ended. */
  reclaim(lease: OwnerLease, lost: () => void, failed: (err: unknown) => void): void {
    if (this.#claiming !== undefined || this.#isLost || this.#fence.owner === lease.owner) return;
    this.#claiming = this.#reclaim(lease, lost)
      .catch(failed)
      .finally(() => (this.#claiming = undefined));
  }

  /** Resolves when no claim is under way. */
  async claimed(): Promise<void> {
    await this.#claiming;
  }

  async #reclaim(lease: OwnerLease, lost: () => void): Promise<void> {
    for (let me = lease.owner; this.#fence.owner !== me; me = lease.owner) {
      // Its outcome may never be known.
      this.#owners.add(me);
      const outcome = await this.#records().claim(this.id, this.#fence, me);
      if (this.#isLost) return;
      if (outcome.claimed) this.#fence = { epoch: outcome.record.epoch, owner: me };
      else {
        const { current } = outcome;
        if (current === undefined || isEnded(current) || !this.#take(current)) return lost();
      }
    }
  }
}
