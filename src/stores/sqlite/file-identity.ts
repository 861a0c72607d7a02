/**
 * Whether a path still leads to the files that this process has open. SQLite keeps using its files after they were
 * deleted or replaced, and no process that opens the path later sees what is written into them.
 */
import { statSync } from 'node:fs';
import type { Logger } from '../../types.ts';
import { fileGone, storeFailure } from './failures.ts';

export class FileIdentity {
  readonly #path: string;
  /** What the process has open: the database, and its log beside the target of a link. */
  readonly #files: readonly string[];
  readonly #logger: Logger;
  readonly #opened: string;
  #gone = false;

  /** Call it when the file has been opened, and its log. `path`: as it was given. `database`: without a link. */
  constructor(path: string, database: string, logger: Logger) {
    this.#path = path;
    this.#files = [path, `${database}-wal`];
    this.#logger = logger;
    this.#opened = identityOf(this.#files);
  }

  /** At the last check, the path led to other files or to none. */
  get gone(): boolean {
    return this.#gone;
  }

  /**
   * Two look-ups in the memory of the system, some µs.
   * @throws StoreAway while the path leads to other files or to none, or cannot be followed.
   */
  check(): void {
    const gone = this.#found() !== this.#opened;
    const error = gone ? fileGone(this.#path) : undefined;
    if (error !== undefined && !this.#gone) this.#logger.fatal({ file: this.#path }, error.message);
    this.#gone = gone;
    if (error !== undefined) throw error;
  }

  #found(): string {
    try {
      return identityOf(this.#files);
    } catch (error) {
      throw storeFailure(this.#path, error);
    }
  }
}

/** Device and inode of the file and of its log. The log exists for as long as any process has the file open. */
function identityOf(files: readonly string[]): string {
  const stats = files.map((file) => statSync(file, { bigint: true, throwIfNoEntry: false }));
  return stats.map((stat) => (stat === undefined ? 'none' : `${stat.dev}:${stat.ino}`)).join(' ');
}
