/**
 * The open file as the parts of the store use it: `read` answers at once (a reader waits for nobody), `write` at the end of
 * the turn, with the writes of everybody else.
 */
import type { Logger } from '../../types.ts';
import type { MaybePromise } from '../store.ts';
import { Checkpointer } from './checkpointer.ts';
import type { Database } from './database.ts';
import { isBusy, storeClosed, storeFailure, storeLocked } from './failures.ts';
import { BUSY_LIMIT_MS, type Patience } from './patience.ts';
import { type Kind, Writer } from './writer.ts';

export class StoreFile {
  readonly database: Database;
  readonly #patience: Patience;
  readonly #writer: Writer;
  readonly #checkpointer: Checkpointer;
  #writes = 0;
  #closed = false;

  constructor(database: Database, patience: Patience, logger: Logger) {
    this.database = database;
    this.#patience = patience;
    this.#checkpointer = new Checkpointer(this, patience, logger);
    this.#writer = new Writer(database, patience, () => this.#checkpointer.committed());
  }

  get path(): string {
    return this.database.path;
  }

  /** How many there have been. */
  get writes(): number {
    return this.#writes;
  }

  /** Outside of every transaction. Only while another process recovers the file after a crash does it take a promise. */
  read<T>(look: () => T): MaybePromise<T> {
    if (this.#closed) throw storeClosed(this.path);
    try {
      return look();
    } catch (error) {
      if (!isBusy(error)) throw storeFailure(this.path, error);
      return retry(look, this.path, this.#patience);
    }
  }

  /** One atomic step; it may be run more than once before it is stored. */
  write<T>(step: () => T): Promise<T> {
    this.#writes += 1;
    return this.#writer.write(step);
  }

  /** As a step, with those of the same kind that are asked for before and after it. */
  writeAs<W, T>(kind: Kind<W, T>, what: W): Promise<T> {
    this.#writes += 1;
    return this.#writer.writeAs(kind, what);
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
      // Whoever copies the file while nobody has it open copies everything. Others may have it open: then they do this.
      this.database.all('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // The log keeps what the file lacks; the next to open it reads both.
    }
    this.database.close();
  }
}

/** Until it works, or the file has been locked for too long. */
export async function retry<T>(work: () => T, path: string, patience: Patience): Promise<T> {
  const since = patience.now();
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error)) throw storeFailure(path, error);
      if (patience.now() - since >= BUSY_LIMIT_MS) throw storeLocked(path, BUSY_LIMIT_MS);
    }
    await new Promise<void>((next) => patience.wait(tries, next));
  }
}
