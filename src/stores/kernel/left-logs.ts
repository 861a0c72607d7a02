/**
 * Logs that their owners have left. An owner trims its log itself, until it crashes or releases the record. So the row
 * of a record wakes when its events are too old, and every save of a living owner moves that. The process whose sweep
 * finds the row trims the log.
 */
import { after } from '../shared/after.ts';
import type { MaybePromise } from '../store.ts';
import type { Row } from './backend.ts';
import type { KernelParts, RecordLogs } from './record-logs.ts';
import type { RowSteps } from './row-steps.ts';
import { fencedRow, livingOf, wokeForLog } from './row-value.ts';

export class LeftLogs {
  readonly #ttlMs: number;
  readonly #steps: RowSteps;
  readonly #logs: RecordLogs;

  constructor({ kind: { log, listed }, isAlone }: KernelParts, steps: RowSteps, logs: RecordLogs) {
    this.#ttlMs = isAlone || log === false || !listed ? Infinity : log.ttlMs;
    this.#steps = steps;
    this.#logs = logs;
  }

  /** When the row of a record that is written now wakes for its log. */
  trimAt(now: number): number | null {
    return this.#ttlMs === Infinity ? null : now + this.#ttlMs;
  }

  /** `rows`: that are due. */
  trim(rows: readonly Row[], now: number): MaybePromise<void> {
    const left = this.#ttlMs === Infinity ? [] : rows.filter((row) => wokeForLog(row, now));
    return left.length === 0 ? undefined : this.#trimEach(left);
  }

  /** Trims the logs of one page at the same time. The next sweep finds what fails. */
  async #trimEach(rows: readonly Row[]): Promise<void> {
    await Promise.allSettled(
      rows.map(async ({ id }) =>
        this.#steps.step(id, () => this.#steps.attempt(id, (row, now) => this.#trim(row, now))),
      ),
    );
  }

  /** `undefined`: another process was faster. */
  #trim(row: Row | undefined, now: number): MaybePromise<true | undefined> {
    const record = livingOf(row, now);
    if (row === undefined || record === undefined || !wokeForLog(row, now)) return true;
    // No event is added to the log of a released record, so this is its last trim.
    const next = fencedRow(record, record.owner === null ? null : this.trimAt(now));
    return after(this.#steps.replace(record.id, row.version, next), (done) =>
      done ? after(this.#logs.trimAtRest(record.id, next.fence ?? '', now), () => true as const) : undefined,
    );
  }
}
