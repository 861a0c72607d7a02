/**
 * The write-ahead log of an open file. The commit with which it has LOG_BYTES copies it into the file, and the next
 * write overwrites it from its start. The disk flushes twice for that, on the event loop.
 *
 * A copy keeps other writers out. SQLite's automatic copies do not: while another process writes they do not reach the
 * end of the log, so each later commit of every process copies and flushes again.
 *
 * A copy that another process refuses is tried again STEP_BYTES later, and above MOST_BYTES with each commit. A reader
 * in an open transaction refuses all of them, and one log line reports it when the log is large.
 *
 * A full disk has room for what overwrites the log. So a refused write makes this process copy it, whatever its size;
 * where the database has free pages, the next renewal of a lease is then stored although the disk is full.
 */
import { statSync } from 'node:fs';
import { orUndefined } from '../../base/or-undefined.ts';
import type { Logger } from '../../base/types.ts';
import type { SqliteDatabase } from './database.ts';

/** Some thousand calls write this much. With more pages a copy delays calls for longer, with fewer it delays more calls. */
const LOG_PAGES = 1_000;
const PAGE_BYTES = 4_096;
/** The log is cut to this size when it starts afresh. So a larger one has as many pages. */
export const LOG_BYTES = LOG_PAGES * PAGE_BYTES;
/** What a disk must have beside the database. Several processes that write without a pause exceed it for moments. */
export const MOST_BYTES = 2 * LOG_BYTES;
/** How much longer the log is at the next try, after a copy that was refused. */
const STEP_BYTES = LOG_BYTES / 8;
const WARN_BYTES = 67_108_864;

export class WriteAheadLog {
  readonly #database: SqliteDatabase;
  readonly #logger: Pick<Logger, 'warn'>;
  /** A longer log is copied. */
  #copyAbove = LOG_BYTES;
  #warned = false;

  constructor(database: SqliteDatabase, logger: Pick<Logger, 'warn'>) {
    this.#database = database;
    this.#logger = logger;
  }

  get bytes(): number {
    // What is wrong with the folder now says nothing about the write that was just stored.
    return orUndefined(() => statSync(`${this.#database.path}-wal`).size) ?? 0;
  }

  /** Call it after every commit. */
  committed(): void {
    const { bytes } = this;
    if (bytes <= LOG_BYTES) this.#copyAbove = LOG_BYTES;
    if (bytes <= MOST_BYTES) this.#warned = false;
    if (bytes <= this.#copyAbove) return;
    this.copy();
    this.#copyAbove = Math.min(bytes + STEP_BYTES, MOST_BYTES);
    if (bytes >= WARN_BYTES && !this.#warned) this.#warn(bytes);
  }

  /** Waits for no other process. Without other readers the next write starts the log afresh. */
  copy(): void {
    this.#checkpoint('RESTART');
  }

  /** A copy of the file is complete while no process has it open. Other processes refuse it. */
  empty(): void {
    this.#checkpoint('TRUNCATE');
  }

  #checkpoint(mode: 'RESTART' | 'TRUNCATE'): void {
    // The log keeps what the file lacks, and the next write reports what is wrong with the disk.
    orUndefined(() => this.#database.execute(`PRAGMA wal_checkpoint(${mode})`));
  }

  #warn(bytes: number): void {
    this.#warned = true;
    const { path } = this.#database;
    this.#logger.warn(
      { file: `${path}-wal`, bytes },
      `${path}-wal has ${Math.round(bytes / 1_048_576)} MiB and grows, because another program keeps a read ` +
        `transaction on ${path} open. Find the program with lsof ${path} (a shell, a backup, a copy) and end it`,
    );
  }
}
