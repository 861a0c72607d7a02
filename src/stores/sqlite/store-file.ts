/**
 * The open file. `read` answers at once, because SQLite readers do not wait. `write` is one transaction: it runs at once
 * too, unless another process writes or a copy of the log ends. A crash leaves whole transactions.
 */
import { statfsSync } from 'node:fs';
import type { Logger } from '../../types.ts';
import type { MaybePromise, StoreRoom } from '../store.ts';
import { Checkpointer, COMMIT_COPY_PAGES } from './checkpointer.ts';
import type { SqliteDatabase } from './database.ts';
import { FileIdentity } from './file-identity.ts';
import { diskStalled, isBusy, isFull, storeClosed, storeFailure, storeLocked } from './failures.ts';
import { BUSY_LIMIT_MS, retry, type Waits } from './retry.ts';

/** The size of a session with a large handshake. A nearly full disk has room for a lease, and not for this. */
const USUAL_BYTES = 65_536;

export class StoreFile {
  readonly database: SqliteDatabase;
  readonly #waits: Waits;
  readonly #checkpointer: Checkpointer;
  readonly #identity: FileIdentity;
  readonly #underWay = new Set<Promise<unknown>>();
  /** Writes wait for it. */
  #held: Promise<unknown> | undefined;
  #closed = false;
  #full = false;

  /** `given`: the path by which the file was named. */
  constructor(database: SqliteDatabase, given: string, waits: Waits, logger: Logger) {
    this.database = database;
    this.#waits = waits;
    this.#identity = new FileIdentity(given, database.path, logger);
    this.#checkpointer = new Checkpointer(this, waits.time, logger);
  }

  get path(): string {
    return this.database.path;
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
      return retry(look, this.path, this.#waits);
    }
  }

  /** One atomic step. It may run more than once before it is stored. Writes that wait for the file have no order. */
  async write<T>(step: () => T): Promise<T> {
    if (this.#closed) throw storeClosed(this.path);
    if (this.#identity.gone) this.#identity.check();
    const store = (): T => this.database.transaction(step);
    const locked = (): Error => (this.#checkpointer.stalled ? diskStalled : storeLocked)(this.path, BUSY_LIMIT_MS);
    const stored = retry(() => (this.#held ? this.#held.then(store) : store()), this.path, this.#waits, locked);
    this.#underWay.add(stored);
    let isRefused = false;
    try {
      return await stored;
    } catch (error) {
      isRefused = isFull((error as Error).cause ?? {});
      this.#full ||= isRefused;
      throw error;
    } finally {
      this.#underWay.delete(stored);
      this.#checkpointer.committed(isRefused);
    }
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
  room(): MaybePromise<Required<StoreRoom>> {
    return this.read(() => {
      const pragma = (name: string): number => this.database.one<[number]>(`PRAGMA ${name}`)?.[0] ?? 0;
      const [pages, free, most, bytes] = ['page_count', 'freelist_count', 'max_page_count', 'page_size'].map(pragma);
      const [all = 0, unused = 0, limit = 0] = [pages, free, most].map((count = 0) => count * (bytes ?? 0));
      const { bavail, bsize } = statfsSync(this.path);
      return { used: all - unused, size: Math.min(limit, all + bavail * bsize) };
    });
  }

  hold(until: Promise<unknown>): void {
    this.#held = until;
    void until.then(() => (this.#held = undefined));
  }

  copyInCommits(on: boolean): void {
    this.database.all(`PRAGMA wal_autocheckpoint = ${on ? COMMIT_COPY_PAGES : 0}`);
  }

  /** Each of the two steps ends within some BUSY_LIMIT_MS, also if the disk does not answer. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    await this.#checkpointer.close();
    this.database.close();
  }
}
