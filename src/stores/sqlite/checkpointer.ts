/**
 * Copies the write-ahead log into the file, off the event loop: the disk flushes take some 10 ms each and would delay
 * every request.
 *
 *     idle ──log has LOG_BYTES──▶ copying (others write on) ──▶ finishing (writes wait) ──▶ idle
 *
 * The checkpointer itself moves between these states. It uses a second connection on a libsql thread. If it fails, or
 * other processes write all the time, the log grows until SQLite copies it within a commit (`wal_autocheckpoint`). A
 * crash at any moment loses nothing.
 *
 * If another program keeps a read transaction open, the log cannot be overwritten, and each try delays writes by
 * LOCK_MS. So the pause doubles after each such try, and one log line reports it when the log is large.
 *
 * After a copy, SQLite overwrites the log from its start, because overwriting allocated blocks takes half as long as
 * new ones. A full log therefore shows by growth beyond its size at the last copy, not by its size.
 */
import { statSync } from 'node:fs';
import { backoffMs } from '../../options/system.ts';
import type { Logger } from '../../types.ts';
import { logHeldOpen } from './failures.ts';
import { loadBackgroundLibsql, type BackgroundConnection } from './libsql.ts';
import type { RetryBackoff } from './retry-backoff.ts';

/** Some ten thousand calls write this much. A page that is written several times is copied once. */
const LOG_BYTES = 16_777_216;
/** A log file of this size is truncated instead of overwritten. */
const FILE_BYTES = 2 * LOG_BYTES;
/** Commits between two looks at the size of the log. */
const LOOK_EVERY = 64;
/** How long the background connection waits for a lock, on its own thread. */
const LOCK_MS = 200;
/** The pause after the first try that failed; it doubles up to the longest. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** A log that cannot be overwritten is reported when it has this size. */
const WARN_BYTES = 67_108_864;

export interface CheckpointedFile {
  readonly path: string;
  /** Delays writes until `resume`. */
  hold(): void;
  resume(): void;
}

export class Checkpointer {
  readonly #file: CheckpointedFile;
  #commits = 0;
  /** The size of the log file after the last copy, or its size now if that is smaller. */
  #copiedBytes = 0;
  #running: Promise<void> | undefined;
  #connection: Promise<BackgroundConnection> | undefined;
  #closed = false;
  readonly #backoff: Pick<RetryBackoff, 'now'>;
  readonly #logger: Pick<Logger, 'warn'>;
  /** Tries in a row that were refused. */
  #refusals = 0;
  #pausedUntil = -Infinity;
  #warned = false;

  constructor(file: CheckpointedFile, backoff: Pick<RetryBackoff, 'now'>, logger: Pick<Logger, 'warn'>) {
    this.#file = file;
    this.#backoff = backoff;
    this.#logger = logger;
  }

  /** Call it after every commit. */
  committed(): void {
    if (++this.#commits % LOOK_EVERY !== 0 || this.#running !== undefined || this.#closed) return;
    if (this.#backoff.now() < this.#pausedUntil) return;
    const bytes = this.#bytes;
    this.#copiedBytes = Math.min(this.#copiedBytes, bytes);
    if (bytes < LOG_BYTES || bytes === this.#copiedBytes) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    (await this.#connection?.catch(() => undefined))?.close();
  }

  get #bytes(): number {
    return statSync(`${this.#file.path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  async #run(): Promise<void> {
    try {
      const connection = await (this.#connection ??= loadBackgroundLibsql(this.#file.path, LOCK_MS));
      await connection.exec('PRAGMA wal_checkpoint(PASSIVE)');
      this.#file.hold();
      this.#copiedBytes = this.#bytes;
      const since = this.#backoff.now();
      await connection.exec(`PRAGMA wal_checkpoint(${this.#copiedBytes < FILE_BYTES ? 'RESTART' : 'TRUNCATE'})`);
      // A refused checkpoint does not throw, and this connection does not return its result. But it waited LOCK_MS.
      if (this.#backoff.now() - since >= LOCK_MS) this.#refused();
      else [this.#refusals, this.#warned] = [0, false];
    } catch {
      // Another process holds the lock, most likely for its own checkpoint.
      this.#refused();
    } finally {
      this.#file.resume();
    }
  }

  #refused(): void {
    this.#pausedUntil = this.#backoff.now() + backoffMs(this.#refusals++, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    const bytes = this.#bytes;
    if (this.#warned || bytes < WARN_BYTES) return;
    this.#warned = true;
    this.#logger.warn({ file: `${this.#file.path}-wal`, bytes }, logHeldOpen(this.#file.path, bytes));
  }
}
