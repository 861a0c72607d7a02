/**
 * The steps of records on their rows. A step reads the row, or has it from the last write of this process, and its put
 * names the version that it replaces. A step that another process overtook is done again.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { type SojournError, storeUnavailable } from '../../base/errors.ts';
import { notAsked } from '../shared/failures.ts';
import type { RecordQueues } from '../shared/record-queues.ts';
import { UnreadableRecords } from '../shared/unreadable-records.ts';
import type { MaybePromise, Ownership, StoredRecord } from '../store.ts';
import type { Row } from './backend.ts';
import { rowBytes } from './counted-bytes.ts';
import type { KernelParts, KnownRecords } from './known-records.ts';
import { fits, isExpired, OVER, recordOf } from './row-value.ts';

/** Rows with puts without an answer that are known, and the newest such puts of each. */
const UNSURE = 20_000;
const UNSURE_PUTS = 16;
/** One succeeds in each round of processes that change one record at the same time. */
const TRIES = 256;

/** What a step makes of a row. */
export type Decide<T> = (row: Row | undefined, now: number) => Decision<T>;

interface Stored {
  /** The row that replaces what was read; `null`: none. */
  readonly put?: Row | null;
  /** Its log goes. */
  readonly clear?: boolean;
  /** This process keeps nothing of the row, which may be that of another one. */
  readonly isForeign?: true;
  /** A user that has its share is refused. */
  readonly grows?: boolean;
}

/** `fromLog`: asks the log once the row is stored. Without an answer the step is done again. */
export type Decision<T> = Stored &
  (
    | { readonly answer: T; readonly fromLog?: undefined }
    | { readonly fromLog: () => MaybePromise<T | undefined>; readonly answer?: undefined }
  );

/** `row`: there is none where it is `undefined`. */
interface Hint {
  readonly row: Row | undefined;
}

export class RowSteps {
  readonly #parts: KernelParts;
  readonly #known: KnownRecords;
  readonly #queues: RecordQueues;
  /**
   * The versions of puts whose answers were lost; 0: the row was deleted. They may be stored, the first of them too,
   * after later ones were sent. When the caller tries again, its step finds what an earlier try has stored, and answers
   * what that try would have answered.
   */
  readonly #unsure = new BoundedMap<string, readonly number[]>(UNSURE);
  readonly #unreadable: UnreadableRecords;

  constructor(parts: KernelParts, known: KnownRecords, queues: RecordQueues) {
    this.#parts = parts;
    this.#known = known;
    this.#queues = queues;
    this.#unreadable = new UnreadableRecords(parts.kind.name, parts.logger);
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
      if (unreadable !== undefined) this.#unreadable.tell(id, unreadable);
      return unreadable === undefined;
    });
  }

  isBusy(id: string): boolean {
    return this.#queues.last.has(id);
  }

  /** Resolves when every step has ended, and its writes are answered. */
  async settled(): Promise<void> {
    await this.#queues.settled();
    await this.#parts.writes.settled();
  }

  /**
   * Reads the row, decides, stores what was decided, and answers; again where another process was faster. A step runs
   * after the earlier steps of its record, unless that takes too long. `hint`: the row, as far as it is known then.
   */
  step<T>(
    id: string,
    decide: Decide<T>,
    hint: () => Hint | undefined = () => undefined,
  ): MaybePromise<T> {
    const { isAlone, deadlines, backend } = this.#parts;
    if (isAlone) return this.#decideNow(id, decide);
    const deadline = deadlines?.deadline();
    return this.#queues.steps(id, async () => {
      if (deadline !== undefined && deadlines !== undefined && deadlines.now() > deadline)
        throw notAsked(backend.where, deadlines.limitMs);
      return this.#decideLater(id, decide, hint());
    });
  }

  /** A step of the owner of a living record. `refused`: what others are answered. */
  asOwner<T>(
    id: string,
    fence: Ownership,
    decide: (row: Row, record: StoredRecord, now: number) => Decision<T>,
    refused: (row: Row, record: StoredRecord) => T | 'fenced' = () => 'fenced',
  ): MaybePromise<T | 'fenced'> {
    const owned: Decide<T | 'fenced'> = (row, now) => {
      const record = row && recordOf(row);
      if (row === undefined || record === undefined || row.fence === OVER)
        return { answer: 'fenced' };
      if (fits(record, fence) && !isExpired(row, now)) return decide(row, record, now);
      return { answer: refused(row, record) };
    };
    return this.step(id, owned, () => this.#known.get(id));
  }

  /** A backend in this process answers without a promise: the whole step is done in the turn that asked for it. */
  #decideNow<T>(id: string, decide: Decide<T>): T {
    const { backend, kind } = this.#parts;
    for (let tries = 0; tries < TRIES; tries++) {
      const row = backend.read(kind, id) as Row | undefined;
      const now = backend.now() as number;
      const { fromLog, answer, ...stored } = decide(row, now);
      void this.#take(row, stored);
      if (this.#store(id, row, stored, now) !== true) continue;
      if (fromLog === undefined) return answer;
      const done = fromLog() as T | undefined;
      if (done !== undefined) return done;
    }
    throw this.#overtaken();
  }

  async #decideLater<T>(id: string, decide: Decide<T>, hint: Hint | undefined): Promise<T> {
    const { backend, kind } = this.#parts;
    let known = hint;
    for (let tries = 0; tries < TRIES; tries++) {
      const row = known === undefined ? await backend.read(kind, id) : known.row;
      const now = await backend.now();
      const { fromLog, answer, ...stored } = decide(row, now);
      await this.#take(row, stored);
      if (await this.#store(id, row, stored, now)) {
        const found = fromLog === undefined ? answer : await fromLog();
        const isAgain = fromLog !== undefined && found === undefined;
        // The stored row and the stored log decide: a refusal that rests on a hint is none.
        if (!isAgain && (known === undefined || found !== 'fenced')) return found as T;
      }
      if (known !== undefined) this.#known.forget(id);
      known = undefined;
    }
    throw this.#overtaken();
  }

  /** The quota of a store in this process answers at once. */
  #take(before: Row | undefined, { put, grows }: Stored): MaybePromise<void> {
    const { kind, quota } = this.#parts;
    if (
      grows !== true ||
      !put ||
      quota === undefined ||
      kind.counted !== true ||
      put.share === null
    )
      return undefined;
    const more = rowBytes(put) - rowBytes(before);
    return more > 0 ? quota.take(put.share, more) : undefined;
  }

  #overtaken(): SojournError {
    return storeUnavailable(
      `${this.#parts.backend.where}: a record was changed by others ${TRIES} times in a row`,
    );
  }

  /** `false`: another process was faster. */
  #store(
    id: string,
    before: Row | undefined,
    { put: row, clear = row === null, isForeign }: Stored,
    now: number,
  ): MaybePromise<boolean> {
    if (row === undefined) return true;
    if (isForeign === true) return this.replace(id, before, row);
    const written = this.#write(id, before, row, clear);
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
      this.#unsure.set(
        id,
        [...(this.#unsure.get(id) ?? []), row?.version ?? 0].slice(-UNSURE_PUTS),
      );
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
    return (
      row !== undefined && record !== undefined && isAsked(record) && this.wasMade(row.id, row)
    );
  }

  /** Puts or deletes a row of which this process keeps nothing: it may be that of another one. */
  replace(id: string, before: Row | undefined, row: Row | null): MaybePromise<boolean> {
    const written = this.#write(id, before, row, row === null);
    // A memory store refuses the deletion of a row that has been replaced, and what is known is of the new one.
    if (written !== false) this.#known.delete(id);
    return written;
  }

  #write(
    id: string,
    before: Row | undefined,
    row: Row | null,
    clear: boolean,
  ): MaybePromise<boolean> {
    const { kind, writes } = this.#parts;
    const share = kind.counted === true ? (row?.share ?? before?.share ?? null) : null;
    const bytes = share === null ? 0 : rowBytes(row);
    const more = share === null ? 0 : bytes - rowBytes(before);
    return writes.write({ kind, id, was: before?.version ?? 0, row, clear, share, bytes, more });
  }
}
