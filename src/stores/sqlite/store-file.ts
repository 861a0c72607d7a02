/**
 * The open file. `read` answers at once, because SQLite readers do not wait. `write` is one transaction: it runs at once
 * too, unless another process writes. A crash leaves whole transactions.
 */
import { statfsSync, statSync } from 'node:fs';
import type { Logger } from '../../base/types.ts';
import { storeUnavailable } from '../../base/errors.ts';
import { storeClosed } from '../shared/failures.ts';
import type { MaybePromise, StoreRoom } from '../store.ts';
import type { SqliteDatabase } from './database.ts';
import { isBusy, isFull, storeFailure } from './failures.ts';
import { retry, type Waits } from './retry.ts';
import { MOST_BYTES, WriteAheadLog } from './write-ahead-log.ts';

/** The size of a session with a large handshake. A nearly full disk has room for a lease, and not for this. */
const USUAL_BYTES = 65_536;

export class StoreFile {
  readonly database: SqliteDatabase;
  readonly #waits: Waits;
  readonly #log: WriteAheadLog;
  readonly #logger: Logger;
  /** The path as it was given. */
  readonly #given: string;
  /** The files that this process has open. */
  readonly #opened: string;
  /** At the last check, the path led to other files or to none. */
  #gone = false;
  #closed = false;
  #full = false;

  /** Call it when the file has been opened, and its log. `given`: the path by which the file was named. */
  constructor(database: SqliteDatabase, given: string, waits: Waits, logger: Logger) {
    this.database = database;
    this.#waits = waits;
    this.#logger = logger;
    this.#given = given;
    this.#opened = this.#found();
    this.#log = new WriteAheadLog(database, logger);
  }

  get path(): string {
    return this.database.path;
  }

  /**
   * Call it outside of transactions. It returns a promise only while another process recovers the file after a crash.
   */
  read<T>(look: () => T): MaybePromise<T> {
    if (this.#closed) throw storeClosed(this.path);
    if (this.#gone) this.checkIdentity();
    try {
      return look();
    } catch (error) {
      if (!isBusy(error)) throw storeFailure(this.path, error);
      return retry(look, this.path, this.#waits);
    }
  }

  /** One atomic step. It may run more than once before it is stored. Writes that wait for the file have no order. */
  async write<T>(step: () => T): Promise<T> {
    if (this.#closed) throw storeClosed(this.path);
    if (this.#gone) this.checkIdentity();
    try {
      const result = await retry(() => this.database.transaction(step), this.path, this.#waits);
      this.#log.committed();
      return result;
    } catch (error) {
      if (isFull((error as Error).cause ?? {})) this.#refusedAsFull();
      throw error;
    }
  }

  /**
   * Call it at each renewal of a lease: two look-ups in the memory of the system, some µs. SQLite keeps using its files
   * after they were deleted or replaced, and no process that opens the path later sees what is written into them.
   * @throws StoreAway while the path leads to other files or to none, or cannot be followed. Reads and writes then throw
   * the same.
   */
  checkIdentity(): void {
    const wasGone = this.#gone;
    this.#gone = this.#found() !== this.#opened;
    if (!this.#gone) return;
    const error = storeUnavailable(
      `${this.#given} or its -wal was deleted or replaced while this process has it open. Nothing more is written, ` +
        'because no other process would see it. Put both files back, or restart this process: it uses the file that it ' +
        'then finds, and the sessions of the deleted file are lost. Find out what removed it (a cleaner of temporary ' +
        'files, git clean, a deploy), and keep the file where it is left alone',
    );
    if (!wasGone) this.#logger.fatal({ file: this.#given }, error.message);
    throw error;
  }

  /** Device and inode of the file and of its log, which exists for as long as any process has the file open. */
  #found(): string {
    try {
      const stats = [this.#given, `${this.path}-wal`].map((file) =>
        statSync(file, { bigint: true, throwIfNoEntry: false }),
      );
      return stats
        .map((stat) => (stat === undefined ? 'none' : `${stat.dev}:${stat.ino}`))
        .join(' ');
    } catch (error) {
      throw storeFailure(this.#given, error);
    }
  }

  /** A write was refused because the disk is full, and there has not been room for one of usual size since. */
  get full(): boolean {
    return this.#full;
  }

  #refusedAsFull(): void {
    this.#full = true;
    this.#log.copy();
  }

  /** After a full disk. */
  checkRoom(): void {
    const room = this.#full ? this.room() : undefined;
    if (room !== undefined && 'size' in room) this.#full = room.size - room.used < USUAL_BYTES;
  }

  /**
   * Pages that are in use, and those that the file and its disk have room for. A page may be in the log alone so far, and
   * takes room in the file later; the log itself may grow to MOST_BYTES.
   */
  room(): MaybePromise<Required<StoreRoom>> {
    return this.read(() => {
      const pragma = (name: string): number =>
        this.database.one<[number]>(`PRAGMA ${name}`)?.[0] ?? 0;
      const [pages, free, most, bytes] = [
        'page_count',
        'freelist_count',
        'max_page_count',
        'page_size',
      ].map(pragma);
      const [all = 0, unused = 0, limit = 0] = [pages, free, most].map(
        (count = 0) => count * (bytes ?? 0),
      );
      const { bavail, bsize } = statfsSync(this.path);
      const ofLog = Math.max(0, MOST_BYTES - this.#log.bytes);
      const disk = statSync(this.path).size + bavail * bsize - ofLog;
      return { used: all - unused, size: Math.max(0, Math.min(limit, disk)) };
    });
  }

  /** Call it when no write is under way. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#log.empty();
    this.database.close();
  }
}
