/** Records that this build cannot read. A list skips them and names them, and the log has a line for each. */
import { sessionHash } from '../../base/shown.ts';
import type { Logger } from '../../base/types.ts';
import { DamagedRecord } from './failures.ts';
import type { RecordPage, StoredRecord } from '../store.ts';

/** After a roll-back thousands may be those of a newer build. */
const MOST_TOLD = 20;

export class UnreadableRecords {
  readonly #kind: string;
  readonly #logger: Logger;
  readonly #told = new Set<string>();

  constructor(kind: string, logger: Logger) {
    this.#kind = kind;
    this.#logger = logger;
  }

  /** Logs it, unless that was done before. */
  tell(id: string, err: unknown): void {
    if (this.#told.has(id) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(id);
    // No frame leads to a mistake in code.
    const why = err instanceof DamagedRecord ? err.message : err;
    const named = { kind: this.#kind, record: sessionHash(id), err: why };
    this.#logger.error(named, 'A record in the store cannot be read, and is left as it is');
  }

  /** What `read` makes of the records of a page, and the hashes of those that it or the store cannot read. */
  split<T>(
    { records, unreadable: ids = [] }: RecordPage,
    read: (record: StoredRecord) => T,
  ): { readonly rows: readonly T[]; readonly unreadable: readonly string[] } {
    const unreadable = [...ids];
    const rows = records.flatMap((record) => {
      try {
        return [read(record)];
      } catch (err) {
        this.tell(record.id, err);
        unreadable.push(record.id);
        return [];
      }
    });
    return { rows, unreadable: unreadable.map(sessionHash) };
  }
}
