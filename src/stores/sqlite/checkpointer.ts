/**
 * Copies the write-ahead log into the file, off the event loop: the disk flushes take some 10 ms each and would delay
 * every request.
 *
 *     idle ──log has LOG_BYTES──▶ copying (writes go on) ──▶ finishing (writes wait, up to HOLD_MS) ──▶ idle
 *
 * The checkpointer itself moves between these states. It uses a second connection on a libsql thread. No commit copies
 * the log (`wal_autocheckpoint = 0`): while the thread cannot, the log grows. A crash at any moment loses nothing.
 *
 * When everything is copied, the next write starts the log afresh, which flushes the log also with
 * `synchronous=normal`. On the event loop this flush would block every request. So each copy ends with a write on the
 * thread (`WRITE`).
 *
 * SQLite flushes the database only in a copy that reaches the end of the log. This process pauses its writes for such a
 * copy, because `RESTART` would have the write lock during that flush.
 *
 * A disk that does not answer blocks the thread alone. Other writes go on, unless the thread has the write lock during
 * its flush: in `WRITE`, and in `RESTART`, which shuts out other processes that write all the time. Then the writes
 * find the file locked and fail after BUSY_LIMIT_MS.
 *
 * A full disk has room for what overwrites the log. So the log is copied then whatever its size, and where the database
 * has free pages, leases are renewed and sessions saved although the disk is full.
 *
 * If another program keeps a read transaction open, the log cannot be overwritten, and each try delays writes by
 * LOCK_MS. So the pause doubles after each such try, and one log line reports it when the log is large.
 *
 * After a copy, SQLite overwrites the log from its start, because overwriting allocated blocks takes half as long as
 * new ones. A full log therefore shows by growth beyond its size at the last copy, not by its size.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { orUndefined } from '../../base/or-undefined.ts';
import { backoffMs, monotonicMs, within } from '../../base/system.ts';
import type { Logger, TimeProvider } from '../../types.ts';
import { isBusy } from './failures.ts';
import { loadBackgroundLibsql, type BackgroundConnection } from './libsql.ts';
import { APPLICATION_ID } from './schema.ts';
import { BUSY_LIMIT_MS } from './retry.ts';

/** Some ten thousand calls write this much. A page that is written several times is copied once. */
export const LOG_BYTES = 16_777_216;
/** Where the header of the log counts how often the log started afresh. https://sqlite.org/fileformat2.html */
const COUNT_AT = 12;
const COUNT_BYTES = 4;
/** Commits between two looks at the size of the log. */
const LOOK_EVERY = 64;
/** How long the background connection waits for a lock, on its own thread. */
const LOCK_MS = 200;
/** Longer than LOCK_MS and the flushes of a working disk. With BUSY_LIMIT_MS it is less than the default lease. */
const HOLD_MS = 400;
/** A copy that takes longer is reported, and a closing file does not wait for it: the disk does not answer. */
const STALLED_MS = BUSY_LIMIT_MS;
/** The pause after the first try that failed; it doubles up to the longest. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** A log that cannot be overwritten is reported when it has this size, after so many tries. Fewer may meet writers. */
const WARN_BYTES = 67_108_864;
const WARN_REFUSALS = 3;

/** No acknowledged write goes through this connection, so its commits need no flush. */
const SETTINGS = `PRAGMA synchronous = normal; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = ${LOG_BYTES}`;
/** Writes one page and changes nothing: SQLite writes the page also when the value is the same. */
const WRITE = `PRAGMA application_id = ${APPLICATION_ID}`;

export interface CheckpointedFile {
  readonly path: string;
  /** Delays writes until then. The promise never rejects. */
  hold(until: Promise<unknown>): void;
}

export class Checkpointer {
  readonly #file: CheckpointedFile;
  #commits = 0;
  /** The size of the log file after the last copy, or its size now if that is smaller. */
  #copiedBytes = 0;
  #running: Promise<void> | undefined;
  /** The disk has not finished the running copy for STALLED_MS. */
  #stalled = false;
  #connection: Promise<BackgroundConnection> | undefined;
  #closed = false;
  readonly #time: TimeProvider;
  readonly #load: typeof loadBackgroundLibsql;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  /** Tries in a row that were refused. */
  #refusals = 0;
  #pausedUntil = -Infinity;
  #warned = false;

  constructor(
    file: CheckpointedFile,
    time: TimeProvider,
    logger: Pick<Logger, 'info' | 'warn'>,
    load: typeof loadBackgroundLibsql = loadBackgroundLibsql,
  ) {
    this.#file = file;
    this.#load = load;
    this.#time = time;
    this.#logger = logger;
  }

  /** Call it after every commit. `full`: the disk had no room for it. */
  committed(full = false): void {
    const looks = ++this.#commits % LOOK_EVERY === 0 || full;
    if (!looks || this.#running !== undefined || this.#closed || monotonicMs(this.#time) < this.#pausedUntil) return;
    const bytes = this.#bytes;
    this.#copiedBytes = Math.min(this.#copiedBytes, bytes);
    if (!full && (bytes < LOG_BYTES || bytes === this.#copiedBytes)) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /**
   * Empties the log if no other process uses the file: a copy of the file is complete while no process has it open.
   * Waits up to STALLED_MS for the disk; then the connection closes when the disk answers.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const emptied = this.#empty();
    await within(this.#time, STALLED_MS, emptied, () =>
      this.#logger.warn(
        { file: this.#file.path, ms: STALLED_MS },
        `${this.#file.path} was closed without copying its write-ahead log into it, because its disk does not answer. ` +
          `Nothing is lost: keep ${this.#file.path}-wal, the next process that opens the file reads both`,
      ),
    );
  }

  /** Never rejects. */
  async #empty(): Promise<void> {
    await this.#running;
    const connection = await this.#connect().catch(() => undefined);
    // The log has what the file lacks; the next process that opens the file reads both.
    await connection?.exec('PRAGMA wal_checkpoint(TRUNCATE)').catch(() => undefined);
    connection?.close();
  }

  #connect(): Promise<BackgroundConnection> {
    this.#connection ??= this.#open().catch((error: unknown) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  async #open(): Promise<BackgroundConnection> {
    // SQLite would create a missing file, and its owner may have moved it.
    statSync(this.#file.path);
    const connection = await this.#load(this.#file.path, LOCK_MS);
    await connection.exec(SETTINGS);
    return connection;
  }

  get #bytes(): number {
    // What is wrong with the folder now says nothing about the write that was just stored.
    return orUndefined(() => statSync(`${this.#file.path}-wal`).size) ?? 0;
  }

  /** How often the log started afresh. */
  get #count(): number {
    const file = openSync(`${this.#file.path}-wal`, 'r');
    try {
      const count = Buffer.alloc(COUNT_BYTES);
      readSync(file, count, 0, COUNT_BYTES, COUNT_AT);
      return count.readUInt32BE();
    } finally {
      closeSync(file);
    }
  }

  async #run(): Promise<void> {
    const since = monotonicMs(this.#time);
    const copied = this.#copyAll();
    await within(this.#time, STALLED_MS, copied, () => {
      this.#stalled = true;
      this.#logger.warn(
        { file: this.#file.path, ms: STALLED_MS },
        `The disk of ${this.#file.path} has not finished a copy of the write-ahead log for ${STALLED_MS} ms; writes may fail ` +
          'until it does. Look at the load of the disk and at the log of the machine',
      );
    });
    await copied;
    const took = `copying the write-ahead log took ${Math.round(monotonicMs(this.#time) - since)} ms`;
    if (this.#stalled)
      this.#logger.info({ file: this.#file.path }, `The disk of ${this.#file.path} answers again; ${took}`);
    this.#stalled = false;
  }

  /** Never rejects. */
  async #copyAll(): Promise<void> {
    try {
      const connection = await this.#connect();
      const count = this.#count;
      // The write keeps a commit on the event loop from finding everything copied and starting the log afresh.
      await copy(connection, 'PASSIVE');
      const since = monotonicMs(this.#time);
      if (this.#count === count) await this.#finish(connection, count);
      if (this.#count !== count) [this.#refusals, this.#warned] = [0, false];
      // Another process is copying, where the lock was not waited for.
      else if (monotonicMs(this.#time) - since >= LOCK_MS) this.#refused();
      this.#copiedBytes = this.#bytes;
    } catch {
      // The file was moved, or the disk failed; the writes report it.
      this.#refused();
    }
  }

  /** This process writes nothing for up to HOLD_MS, so that the copy can reach the end of the log. */
  async #finish(connection: BackgroundConnection, count: number): Promise<void> {
    const copied = copy(connection, 'PASSIVE').then(() =>
      // Other processes write or read. After a stall the log is long, and RESTART would lock it out for as long.
      this.#count === count && !this.#stalled ? copy(connection, 'RESTART') : undefined,
    );
    const isOver = copied.catch(() => undefined);
    this.#file.hold(within(this.#time, HOLD_MS, isOver, () => undefined));
    await copied;
  }

  #refused(): void {
    this.#pausedUntil = monotonicMs(this.#time) + backoffMs(this.#refusals++, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    const bytes = this.#bytes;
    if (this.#warned || this.#stalled || bytes < WARN_BYTES || this.#refusals < WARN_REFUSALS) return;
    this.#warned = true;
    this.#logger.warn(
      { file: `${this.#file.path}-wal`, bytes },
      `${this.#file.path}-wal has ${Math.round(bytes / 1_048_576)} MiB and grows, because another program keeps a read ` +
        `transaction on ${this.#file.path} open. Find the program with lsof ${this.#file.path} (a shell, a backup, a copy) and end it`,
    );
  }
}

/** Copies, then writes, which starts the log afresh if everything is copied and no other connection reads the log. */
async function copy(connection: BackgroundConnection, mode: 'PASSIVE' | 'RESTART'): Promise<void> {
  try {
    await connection.exec(`PRAGMA wal_checkpoint(${mode}); ${WRITE}`);
  } catch (error) {
    // Other processes kept the lock for LOCK_MS.
    if (!isBusy(error)) throw error;
  }
}
