/**
 * The open file. `read` answers at once, because SQLite readers do not wait. `write` runs at the end of the turn, in
 * one transaction with the other writes of the turn.
 */
import { statfsSync } from 'node:fs';
import type { Logger } from '../../types.ts';
import type { MaybePromise, StoreRoom } from '../store.ts';
import { Checkpointer, COMMIT_COPY_PAGES } from './checkpointer.ts';
import type { SqliteDatabase } from './database.ts';
import { FileIdentity } from './file-identity.ts';
import { diskStalled, isBusy, isFull, storeClosed, storeFailure, storeLocked } from './failures.ts';
import { BUSY_LIMIT_MS, type RetryBackoff } from './retry-backoff.ts';
import { SqliteWriter } from './writer.ts';

/** The size of a session with a large handshake. A nearly full disk has room for a lease, and not for this. */
const USUAL_BYTES = 65_536;

export class StoreFile {
  readonly database: SqliteDatabase;
  readonly #backoff: RetryBackoff;
  readonly #writer: SqliteWriter;
  readonly #checkpointer: Checkpointer;
  readonly #identity: FileIdentity;
  #writes = 0;
  #closed = false;
  #full = false;

  constructor(database: SqliteDatabase, backoff: RetryBackoff, logger: Logger) {
    this.database = database;
    this.#backoff = backoff;
    this.#identity = new FileIdentity(database.path, logger);
    this.#checkpointer = new Checkpointer(this, backoff, logger);
    this.#writer = new SqliteWriter(database, backoff, {
      committed: () => this.#checkpointer.committed(),
      failed: (error) => (this.#full ||= isFull(error)),
      locked: () => (this.#checkpointer.stalled ? diskStalled : storeLocked)(database.path, BUSY_LIMIT_MS),
    });
  }

  get path(): string {
    return this.database.path;
  }

  /** The number of writes so far. */
  get writes(): number {
    return this.#writes;
  }

  /**
   * Call it outside of transactions. It returns a promise only while another process recovers the file after a crash.
   */
  read<T>(look: () => T): MaybePromise<T> {
    if (this.#closed) throw storeClosed(this.path);
    if (this.#identity.gone) this.#identity.check();
    try {
      return look();
    } catch (error) {
      if (!isBusy(error)) throw storeFailure(this.path, error);
      return retry(look, this.path, this.#backoff);
    }
  }

  /** One atomic step. It may run more than once before it is stored. */
  write<T>(step: () => T): Promise<T> {
    if (this.#identity.gone) this.#identity.check();
    this.#writes += 1;
    return this.#writer.write(step);
  }

  /**
   * Call it at each renewal of a lease.
   * @throws StoreAway while the file is deleted or replaced. Until it is back, reads and writes throw the same.
   */
  checkIdentity(): void {
    this.#identity.check();
  }

  /** A write was refused because the disk is full, and there has not been room for one of usual size since. */
  get full(): boolean {
    return this.#full;
  }

  /** After a full disk. */
  checkRoom(): void {
    const room = this.#full ? this.room() : undefined;
    if (room !== undefined && 'size' in room) this.#full = room.size - room.used < USUAL_BYTES;
  }

  /** Pages that are in use, and those that the file and its disk have room for. */
  room(): MaybePromise<StoreRoom> {
    return this.read(() => {
      const pragma = (name: string): number => this.database.one<[number]>(`PRAGMA ${name}`)?.[0] ?? 0;
      const [pages, free, most, bytes] = ['page_count', 'freelist_count', 'max_page_count', 'page_size'].map(pragma);
      const [all = 0, unused = 0, limit = 0] = [pages, free, most].map((count = 0) => count * (bytes ?? 0));
      const { bavail, bsize } = statfsSync(this.path);
      return { used: all - unused, size: Math.min(limit, all + bavail * bsize) };
    });
  }

  hold(): void {
    this.#writer.hold();
  }

  resume(): void {
    this.#writer.resume();
  }

  copyInCommits(on: boolean): void {
    this.database.all(`PRAGMA wal_autocheckpoint = ${on ? COMMIT_COPY_PAGES : 0}`);
  }

  /** Each of the two steps ends within some BUSY_LIMIT_MS, also if the disk does not answer. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writer.close();
    await this.#checkpointer.close();
    this.database.close();
  }
}

/** Retries until `work` succeeds or the file has been locked for BUSY_LIMIT_MS. */
export async function retry<T>(work: () => T, path: string, backoff: RetryBackoff): Promise<T> {
  const since = backoff.now();
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error)) throw storeFailure(path, error);
      if (backoff.now() - since >= BUSY_LIMIT_MS) throw storeLocked(path, BUSY_LIMIT_MS);
    }
    await new Promise<void>((next) => backoff.wait(tries, next));
  }
}
