/**
 * Whether a path still leads to the files that this process has open. SQLite keeps using its files after they were
 * deleted or replaced, and no process that opens the path later sees what is written into them.
 */
import { statSync } from 'node:fs';
import type { Logger } from '../../types.ts';
import { fileGone } from './failures.ts';

export class FileIdentity {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #opened: string;
  #gone = false;

  /** Call it when the file has been opened, and its log. */
  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
    this.#opened = identityOf(path);
  }

  /** At the last check, the path led to other files or to none. */
  get gone(): boolean {
    return this.#gone;
  }

  /**
   * Two look-ups in the memory of the system, some µs.
   * @throws StoreAway while the path leads to other files or to none.
   */
  check(): void {
    const gone = identityOf(this.#path) !== this.#opened;
    const error = gone ? fileGone(this.#path) : undefined;
    if (error !== undefined && !this.#gone) this.#logger.fatal({ file: this.#path }, error.message);
    this.#gone = gone;
    if (error !== undefined) throw error;
  }
}

/** Device and inode of the file and of its log. The log exists for as long as any process has the file open. */
function identityOf(path: string): string {
  const stats = [path, `${path}-wal`].map((file) => statSync(file, { bigint: true, throwIfNoEntry: false }));
  return stats.map((stat) => (stat === undefined ? 'none' : `${stat.dev}:${stat.ino}`)).join(' ');
}
