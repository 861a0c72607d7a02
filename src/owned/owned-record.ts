/**
 * A record that this instance owns while some work of it runs, and the writes of its owner. They are repeated while the
 * store is away. The instance may get a new id after a lapse of its lease: then the record is claimed for that id, unless
 * another instance was first. The reply to a claim may be lost, so a write that is refused reads who owns the record now.
 */
import type { KeptEnd } from '../kept/kept-records.ts';
import {
  type EndOutcome,
  type Fence,
  isEnded,
  type MaybePromise,
  type RecordChange,
  type SaveOutcome,
  type StoredRecord,
} from '../stores/store.ts';
import type { OwnedRecords } from './owned-records.ts';

type OwnersKind = Pick<OwnedRecords, 'records' | 'reach' | 'lease' | 'logger'>;

export class OwnedRecord {
  readonly id: string;
  readonly #kind: OwnersKind;
  /** Another instance has claimed the record, or it has ended. */
  readonly #lost: () => void;
  /** The stamp of its creation; `undefined`: its id is never used again. */
  readonly #stamp: number | undefined;
  /** Every id of this instance under which the record may be owned. */
  readonly #owners = new Set<string>();
  #fence: Fence;
  #claiming: Promise<unknown> | undefined = undefined;
  #isLost = false;

  constructor(kind: OwnersKind, id: string, fence: Fence, lost: () => void, stamp?: number) {
    this.#kind = kind;
    this.#lost = lost;
    this.id = id;
    this.#fence = fence;
    this.#stamp = stamp;
    this.#owners.add(fence.owner);
  }

  get fence(): Fence {
    return this.#fence;
  }

  /** `change`: asked at each try. */
  save(change: () => RecordChange, stopped?: () => boolean): Promise<SaveOutcome> {
    return this.write((fence) => this.#kind.records.save(this.id, fence, change()), stopped);
  }

  end(outcome: string, keepMs: number, kept?: KeptEnd): Promise<EndOutcome> {
    const seen = this.#stamp === undefined ? {} : { atStamp: this.#stamp };
    return this.write((fence) => this.#kind.records.end(this.id, { ...fence, ...seen }, outcome, keepMs, kept));
  }

  /** Repeats a write until the store has answered it, unless the instance has `stopped`. */
  write<Outcome>(work: (fence: Fence) => MaybePromise<Outcome>, stopped?: () => boolean): Promise<Outcome> {
    return this.reach(() => this.#write(work), stopped);
  }

  reach<T>(work: () => MaybePromise<T>, stopped?: () => boolean): Promise<T> {
    return this.#kind.reach(work, stopped, Infinity);
  }

  /** Repeats a write that was refused because the record was claimed for another id of this instance. */
  async #write<Outcome>(work: (fence: Fence) => MaybePromise<Outcome>): Promise<Outcome> {
    for (;;) {
      await this.#claiming;
      const fence = this.#fence;
      const outcome = await work(fence);
      if (outcome !== 'fenced' || (this.#fence === fence && !(await this.#isStillOurs(fence)))) return outcome;
    }
  }

  /** Whether a claim for this instance took effect whose reply was lost. Another write may have found that too. */
  async #isStillOurs({ epoch }: Fence): Promise<boolean> {
    const stored = await this.#kind.records.read(this.id);
    if (stored === undefined || isEnded(stored) || this.#isLost) return false;
    if (this.#stamp !== undefined && stored.stamp !== this.#stamp) return false;
    return stored.epoch !== epoch && this.#take(stored);
  }

  /** `false`: another instance owns it, or none. */
  #take({ epoch, owner }: StoredRecord): boolean {
    if (owner === null || !this.#owners.has(owner)) return false;
    this.#fence = { epoch, owner };
    return true;
  }

  /** Whether a release with this head took effect whose reply was lost. */
  async wasReleased(head: string): Promise<boolean> {
    const found = await this.reach(() => this.#kind.records.read(this.id));
    if (found === undefined || isEnded(found)) return false;
    return found.owner === null && found.head === head && found.epoch === this.#fence.epoch;
  }

  /** Another instance has it. This one may claim it again, for other work. */
  lose(): void {
    this.#isLost = true;
    this.#kind.records.lost(this.id);
  }

  /** This instance may have a new id. */
  reclaim(): void {
    if (this.#claiming !== undefined || this.#isLost || this.#fence.owner === this.#kind.lease.owner) return;
    this.#claiming = this.#reclaim()
      .catch((err: unknown) => this.#kind.logger.debug({ err }, 'The record of a call could not be claimed again'))
      .finally(() => (this.#claiming = undefined));
  }

  /** Resolves when no claim is under way. */
  async claimed(): Promise<void> {
    await this.#claiming;
  }

  async #reclaim(): Promise<void> {
    for (let me = this.#kind.lease.owner; this.#fence.owner !== me; me = this.#kind.lease.owner) {
      // Its outcome may never be known.
      this.#owners.add(me);
      const outcome = await this.#kind.records.claim(this.id, this.#fence, me);
      if (this.#isLost) return;
      if (outcome.claimed) this.#fence = { epoch: outcome.record.epoch, owner: me };
      else {
        const { current } = outcome;
        if (current === undefined || isEnded(current) || !this.#take(current)) return this.#lost();
      }
    }
  }
}
