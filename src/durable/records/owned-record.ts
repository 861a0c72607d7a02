/**
 * A record that this instance owns while some work of it runs, and the writes of its owner. They are repeated while the
 * store is away. The instance may get a new id after a lapse of its lease: then the record is claimed for that id, unless
 * another instance was first.
 */
import { storeUnavailable } from '../../base/errors.ts';
import type {
  EndOutcome,
  Fence,
  MaybePromise,
  RecordChange,
  Records,
  SaveOutcome,
} from '../../stores/store.ts';
import type { Ending } from './outcomes.ts';
import type { OwnedRecords } from './owned-records.ts';

type OwnersKind = Pick<OwnedRecords, 'records' | 'outcomes' | 'reach' | 'lease' | 'logger'>;

export class OwnedRecord {
  readonly id: string;
  readonly #kind: OwnersKind;
  /** Another instance has claimed the record, or it has ended. */
  readonly #lost: () => void;
  #fence: Fence;
  #claiming: Promise<unknown> | undefined = undefined;
  #isLost = false;

  constructor(kind: OwnersKind, id: string, fence: Fence, lost: () => void) {
    this.#kind = kind;
    this.#lost = lost;
    this.id = id;
    this.#fence = fence;
  }

  get fence(): Fence {
    return this.#fence;
  }

  get records(): Records {
    return this.#kind.records;
  }

  /** `false`: a process that was frozen for longer than its lease may have lost the record, and does not know it yet. */
  get isCertain(): boolean {
    const { lease } = this.#kind;
    return lease.valid && this.#fence.owner === lease.owner;
  }

  /**
   * Resolves when this instance owns the record for sure: before an effect, whatever was awaited since it was claimed.
   * Rejects with what `throwIfOver` throws.
   */
  confirmed(throwIfOver: () => void): Promise<void> {
    return this.reach(async () => {
      if (this.#kind.lease.valid) await this.reclaim();
      throwIfOver();
      if (!this.isCertain) throw storeUnavailable('this instance takes its lease');
    });
  }

  /** `change`: asked at each try. */
  save(change: () => RecordChange, stopped?: () => boolean): Promise<SaveOutcome> {
    return this.write((fence) => this.records.save(this.id, fence, change()), stopped);
  }

  /** If there is no `ending`, the outcome is short. */
  end(outcome: string, keepMs: number, ending?: Ending): Promise<EndOutcome> {
    const { outcomes } = this.#kind;
    return this.write((fence) =>
      ending === undefined
        ? this.records.end(this.id, fence, outcome, keepMs)
        : outcomes.end(this.records, this.id, fence, outcome, keepMs, ending),
    );
  }

  /** Repeats a write until the store has answered it, unless the instance has `stopped`. */
  write<Outcome>(
    work: (fence: Fence) => MaybePromise<Outcome>,
    stopped?: () => boolean,
  ): Promise<Outcome> {
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
      if (outcome !== 'fenced') return outcome;
      await this.#claiming;
      if (this.#fence === fence) return outcome;
    }
  }

  /** Another instance has it. This one may claim it again, for other work. */
  lose(): void {
    this.#isLost = true;
  }

  /** Claims the record for the id that this instance has now. Resolves when that is stored, or another one has it. */
  async reclaim(): Promise<void> {
    if (!this.#isLost && this.#fence.owner !== this.#kind.lease.owner)
      this.#claiming ??= this.#reclaim()
        .catch((err: unknown) =>
          this.#kind.logger.debug({ err }, 'The record of a call could not be claimed again'),
        )
        .finally(() => (this.#claiming = undefined));
    await this.#claiming;
  }

  async #reclaim(): Promise<void> {
    for (let me = this.#kind.lease.owner; this.#fence.owner !== me; me = this.#kind.lease.owner) {
      const outcome = await this.reach(() => this.records.claim(this.id, this.#fence, me));
      if (this.#isLost) return;
      if (!outcome.claimed) return this.#lost();
      this.#fence = { epoch: outcome.record.epoch, owner: me };
    }
  }
}
