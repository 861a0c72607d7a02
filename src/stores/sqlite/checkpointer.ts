/**
 * Copies the write-ahead log into the file, beside the event loop: the flushes of the disk that it takes, some 10 ms each,
 * would hold up every request.
 *
 *     idle ──log has LOG_BYTES──▶ copying (others write on) ──▶ finishing (writes wait) ──▶ idle
 *
 * It runs on a thread of libsql with a connection of its own. If that fails, or other processes write all the time, the log
 * grows until SQLite copies it within a commit (`wal_autocheckpoint`). A crash at any moment loses nothing.
 *
 * What was copied is written over from the start: writing over blocks that a file has takes half as long as giving it new
 * ones. So it is not the size of the file that tells of a full log but its growing past what it was.
 */
import { statSync } from 'node:fs';
import { loadBackgroundLibsql, type BackgroundConnection } from './libsql.ts';

/** As much as some ten thousand calls write. Pages written again meanwhile are copied once. */
const LOG_BYTES = 16_777_216;
/** A file that grew to this is cut off instead. */
const FILE_BYTES = 2 * LOG_BYTES;
/** Commits between two looks at the size of the log. */
const LOOK_EVERY = 64;
/** How long the background connection waits for a lock, on its own thread. */
const LOCK_MS = 200;

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

  constructor(file: Checkpointed) {
    this.#file = file;
  }

  /** After every commit. */
  committed(): void {
    if (++this.#commits % LOOK_EVERY !== 0 || this.#running !== undefined || this.#closed) return;
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
      await connection.exec(`PRAGMA wal_checkpoint(${this.#copiedBytes < FILE_BYTES ? 'RESTART' : 'TRUNCATE'})`);
    } catch {
      // Locked by another process, most likely one that does the same: the next look tries again.
    } finally {
      this.#file.resume();
    }
  }
}
