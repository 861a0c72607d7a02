/**
 * Copies the write-ahead log into the file, beside the event loop: the flushes of the disk that it takes, some 10 ms each,
 * would hold up every request.
 *
 *     idle ──log has LOG_BYTES──▶ copying (others write on) ──▶ finishing (writes wait) ──▶ idle
 *
 * It runs on a thread of libsql with a connection of its own. If that fails, or other processes write all the time, the log
 * grows until SQLite copies it within a commit (`wal_autocheckpoint`). A crash at any moment loses nothing.
 *
 * A reader of another program that stays in a transaction keeps the log from being written over, and each try holds up writes
 * for LOCK_MS. So the pause after such a try doubles, and one line in the log tells of it when the log is large.
 *
 * What was copied is written over from the start: writing over blocks that a file has takes half as long as giving it new
 * ones. So it is not the size of the file that tells of a full log but its growing past what it was.
 */
import { statSync } from 'node:fs';
import type { Logger } from '../../types.ts';
import { logHeldOpen } from './failures.ts';
import { loadBackgroundLibsql, type BackgroundConnection } from './libsql.ts';
import type { Patience } from './patience.ts';

/** As much as some ten thousand calls write. Pages written again meanwhile are copied once. */
const LOG_BYTES = 16_777_216;
/** A file that grew to this is cut off instead. */
const FILE_BYTES = 2 * LOG_BYTES;
/** Commits between two looks at the size of the log. */
const LOOK_EVERY = 64;
/** How long the background connection waits for a lock, on its own thread. */
const LOCK_MS = 200;
/** After a try that waited for that in vain; it doubles up to the longest. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Of a log that cannot be written over: at this size it is told of. */
const TOLD_BYTES = 67_108_864;

export interface Checkpointed {
  readonly path: string;
  /** Keeps back what is to be written. */
  hold(): void;
  resume(): void;
}

export class Checkpointer {
  readonly #file: Checkpointed;
  #commits = 0;
  /** Of the log's file when it was last copied, as far as it still has that. */
  #copiedBytes = 0;
  #running: Promise<void> | undefined;
  #connection: Promise<BackgroundConnection> | undefined;
  #closed = false;
  readonly #patience: Pick<Patience, 'now'>;
  readonly #logger: Pick<Logger, 'warn'>;
  #pauseMs = 0;
  #pausedUntil = -Infinity;
  #told = false;

  constructor(file: Checkpointed, patience: Pick<Patience, 'now'>, logger: Pick<Logger, 'warn'>) {
    this.#file = file;
    this.#patience = patience;
    this.#logger = logger;
  }

  /** After every commit. */
  committed(): void {
    if (++this.#commits % LOOK_EVERY !== 0 || this.#running !== undefined || this.#closed) return;
    if (this.#patience.now() < this.#pausedUntil) return;
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
      const since = this.#patience.now();
      await connection.exec(`PRAGMA wal_checkpoint(${this.#copiedBytes < FILE_BYTES ? 'RESTART' : 'TRUNCATE'})`);
      // It does not throw when it is refused, and its answer is not to be had from this connection: but it has waited then.
      if (this.#patience.now() - since >= LOCK_MS) this.#refused();
      else [this.#pauseMs, this.#told] = [0, false];
    } catch {
      // Locked by another process, most likely one that does the same.
      this.#refused();
    } finally {
      this.#file.resume();
    }
  }

  #refused(): void {
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2 || FIRST_PAUSE_MS);
    this.#pausedUntil = this.#patience.now() + this.#pauseMs;
    const bytes = this.#bytes;
    if (this.#told || bytes < TOLD_BYTES) return;
    this.#told = true;
    this.#logger.warn({ file: `${this.#file.path}-wal`, bytes }, logHeldOpen(this.#file.path, bytes));
  }
}
