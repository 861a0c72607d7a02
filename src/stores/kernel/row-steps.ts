/**
 * The steps of records on their rows. A step reads the row, or has it from the last write of this process, and its put
 * names the version that it replaces. A step that another process overtook is done again.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { storeAway } from '../../errors.ts';
import { after } from '../shared/after.ts';
import { notAsked } from '../shared/failures.ts';
import { RecordQueues } from '../shared/record-queues.ts';
import type { Fence, MaybePromise, Ownership, StoredRecord } from '../store.ts';
import type { Row } from './backend.ts';
import type { KernelParts, Known, KnownRecords } from './known-records.ts';
import { isExpired, OVER, recordOf } from './row-value.ts';

/** Rows with puts without an answer that are known, and the newest such puts of each. */
const UNSURE = 20_000;
const UNSURE_PUTS = 16;
/** One succeeds in each round of processes that change one record at the same time. */
const TRIES = 256;
/** After a roll-back thousands may be those of a newer build. */
const MOST_TOLD = 20;

export class RowSteps {
  readonly #parts: KernelParts;
  readonly #known: KnownRecords;
  readonly #queues = new RecordQueues();
  /**
   * The versions of puts whose answers were lost; 0: the row was deleted. They may be stored, the first of them too,
   * after later ones were sent. When the caller tries again, its step finds what an earlier try has stored, and answers
   * what that try would have answered.
   */
  readonly #unsure = new BoundedMap<string, readonly number[]>(UNSURE);
  /** Rows that cannot be read, each with its line in the log. */
  readonly #told = new Set<string>();

  constructor(parts: KernelParts, known: KnownRecords) {
    this.#parts = parts;
    this.#known = known;
  }

  now(): MaybePromise<number> {
    return this.#parts.backend.now();
  }

  /**
   * A row that this build cannot read keeps no other from being swept or listed, and is no failure of the store: an
   * instance whose sweeps fail is not ready. It stays where it is, because another build may read it.
   */
  readable(rows: readonly Row[]): readonly Row[] {
    return rows.filter(({ id, unreadable }) => {
      if (unreadable !== undefined && !this.#told.has(id) && this.#told.size < MOST_TOLD) {
        this.#told.add(id);
        this.#parts.logger.error({ err: unreadable }, 'A record in the store cannot be read, and is left as it is');
      }
      return unreadable === undefined;
    });
  }

  /** The record as it is known, for an append that waits for nothing. `undefined`: it waits, or is not known. */
  known(id: string): Known | undefined {
    return this.#queues.last(id) === undefined ? this.#known.get(id) : undefined;
  }

  /** Runs after the earlier steps of the record, unless that takes too long. */
  step<T>(id: string, work: () => MaybePromise<T>): MaybePromise<T> {
    if (this.#parts.isAlone) return work();
    const deadline = this.#parts.deadlines?.deadline();
    return this.#queues.steps(id, async () => {
      if (deadline !== undefined && this.#parts.deadlines !== undefined && this.#parts.deadlines.now() > deadline)
        throw notAsked(this.#parts.backend.where, this.#parts.deadlines.limitMs);
      return work();
    });
  }

  /** Resolves when every step has ended, and its writes are answered. */
  async settled(): Promise<void> {
    await this.#queues.settled();
    await this.#parts.writes.settled();
  }

  /** Repeats a step that answers nothing. */
  attempt<T>(
    id: string,
    step: (row: Row | undefined, now: number) => MaybePromise<T | undefined>,
    tries = TRIES,
  ): MaybePromise<T> {
    if (tries === 0)
      throw storeAway(`${this.#parts.backend.where}: a record was changed by others ${TRIES} times in a row`);
    return after(this.#parts.backend.read(this.#parts.kind, id), (row) =>
      after(this.now(), (now) =>
        after(step(row, now), (outcome) => (outcome === undefined ? this.attempt(id, step, tries - 1) : outcome)),
      ),
    );
  }

  /** The first try takes what this process has stored last. */
  asOwner<T>(
    id: string,
    fence: Fence,
    step: (row: Row, record: StoredRecord, now: number) => MaybePromise<T | undefined>,
    refused: (row: Row, record: StoredRecord) => T | 'fenced' = () => 'fenced',
  ): MaybePromise<T | 'fenced'> {
    const owned = (row: Row | undefined, now: number): MaybePromise<T | 'fenced' | undefined> => {
      const record = row && recordOf(row);
      if (row === undefined || record === undefined || row.fence === OVER) return 'fenced';
      return fits(record, fence) && !isExpired(row, now) ? step(row, record, now) : refused(row, record);
    };
    // The stored row and the stored log decide: what is known of either is a hint.
    const fresh = (): MaybePromise<T | 'fenced'> => {
      this.#known.forget(id);
      return this.attempt(id, owned);
    };
    const known = this.#known.get(id);
    if (known === undefined) return fresh();
    return after(this.now(), (now) =>
      after(owned(known.row, now), (outcome) => (outcome === undefined || outcome === 'fenced' ? fresh() : outcome)),
    );
  }

  /** `row`: `null` deletes it. `clear`: its log goes. `share`: of the record that ends with this put. */
  put(
    id: string,
    was: number,
    row: Row | null,
    now: number,
    clear = row === null,
    share: string | null = null,
  ): MaybePromise<boolean> {
    const written = this.#write(id, was, row, clear, share);
    const done = (isDone: boolean): boolean => {
      if (!isDone) this.#known.forget(id);
      else {
        this.#unsure.delete(id);
        if (row === null || row.fence === null || row.fence === OVER) this.#known.delete(id);
        else this.#known.stored(row, now, clear);
      }
      return isDone;
    };
    if (!(written instanceof Promise)) return done(written);
    return written.then(done, (cause: unknown) => {
      this.#known.forget(id);
      this.#unsure.set(id, [...(this.#unsure.get(id) ?? []), row?.version ?? 0].slice(-UNSURE_PUTS));
      throw cause;
    });
  }

  /** Whether a write of this process was not answered: what is stored is read before the next one is sent. */
  isUnsure(id: string): boolean {
    return this.#unsure.has(id);
  }

  /** Whether an earlier try of this step has made what is stored, and its answer was lost. It is answered once. */
  wasMade(id: string, row: Row | undefined): boolean {
    const sent = this.#unsure.get(id);
    this.#unsure.delete(id);
    return sent?.includes(row?.version ?? 0) === true;
  }

  /** `isAsked`: whether it is this step that has stored the row. */
  madeBefore(row: Row | undefined, isAsked: (value: StoredRecord) => boolean): boolean {
    const record = row && recordOf(row);
    return row !== undefined && record !== undefined && isAsked(record) && this.wasMade(row.id, row);
  }

  /** Puts or deletes a row of which this process keeps nothing: it may be that of another one. */
  replace(id: string, was: number, row: Row | null): MaybePromise<boolean> {
    this.#known.delete(id);
    return this.#write(id, was, row, row === null);
  }

  #write(id: string, was: number, row: Row | null, clear: boolean, ended: string | null = null): MaybePromise<boolean> {
    const { kind, writes } = this.#parts;
    const share = kind.counted === true ? ((row && recordOf(row))?.share ?? ended) : null;
    return writes.write({ kind, id, was, row, clear, share });
  }
}

export const fits = ({ epoch, owner }: Ownership, from: Ownership): boolean =>
  epoch === from.epoch && owner === from.owner;
