/**
 * The open file. `read` answers at once, because SQLite readers do not wait. `write` runs at the end of the turn, in
 * one transaction with the other writes of the turn.
 */
import type { Logger } from '../../types.ts';
import type { MaybePromise } from '../store.ts';
import { Checkpointer } from './checkpointer.ts';
import type { Database } from './database.ts';
import { isBusy, storeClosed, storeFailure, storeLocked } from './failures.ts';
import { BUSY_LIMIT_MS, type RetryBackoff } from './retry-backoff.ts';
import { Writer, type WriteHandler } from './writer.ts';

export class StoreFile {
  readonly database: Database;
  readonly #backoff: RetryBackoff;
  readonly #writer: Writer;
  readonly #checkpointer: Checkpointer;
  #writes = 0;
  #closed = false;

  constructor(database: Database, backoff: RetryBackoff, logger: Logger) {
    this.database = database;
    this.#backoff = backoff;
    this.#checkpointer = new Checkpointer(this, backoff, logger);
    this.#writer = new Writer(database, backoff, () => this.#checkpointer.committed());
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
    try {
      return look();
    } catch (error) {
      if (!isBusy(error)) throw storeFailure(this.path, error);
      return retry(look, this.path, this.#backoff);
    }
  }

  /** One atomic step. It may run more than once before it is stored. */
  write<T>(step: () => T): Promise<T> {
    this.#writes += 1;
    return this.#writer.write(step);
  }

  /** One atomic step, run by `handler` together with the inputs for the same handler before and after it. */
  writeWith<I, T>(handler: WriteHandler<I, T>, input: I): Promise<T> {
    this.#writes += 1;
    return this.#writer.writeWith(handler, input);
  }

  hold(): void {
    this.#writer.hold();
  }

  resume(): void {
    this.#writer.resume();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writer.close();
    await this.#checkpointer.close();
    try {
      // A copy of the file is complete while no process has it open. If others have it open, the last of them does
      // this.
      this.database.all('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // The log has what the file lacks; the next process that opens the file reads both.
    }
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
