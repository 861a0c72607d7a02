/**
 * Transactions, one after the other in the order of the calls. A transaction runs at once, unless earlier ones wait.
 *
 *     write() ──▶ waiting ──▶ committed, or rolled back
 *                  ▲   │ the file is locked: wait, at most BUSY_LIMIT_MS each
 *                  ╰───╯
 *
 * A crash leaves whole transactions. A write whose promise resolved is stored.
 */
import type { SqliteDatabase } from './database.ts';
import { isBusy, storeClosed, storeFailure } from './failures.ts';
import { BUSY_LIMIT_MS, type RetryBackoff } from './retry-backoff.ts';

interface Transaction {
  readonly step: () => unknown;
  resolve(value: unknown): void;
  reject(error: Error): void;
  /** When the file was first found locked. */
  since: number | undefined;
}

export interface WriterHost {
  /** Called after each transaction. */
  committed(): void;
  /** Called with the SQLite error of each refused transaction. */
  failed(error: unknown): void;
  /** Why a transaction that found the file locked for BUSY_LIMIT_MS is refused. */
  locked(): Error;
}

export class SqliteWriter {
  readonly #database: SqliteDatabase;
  readonly #backoff: RetryBackoff;
  readonly #host: WriterHost;
  #waiting: Transaction[] = [];
  #tries = 0;
  /** The next try is under way, after the file was found locked. */
  #isArmed = false;
  #closed = false;
  #held = false;

  constructor(database: SqliteDatabase, backoff: RetryBackoff, host: WriterHost) {
    this.#database = database;
    this.#backoff = backoff;
    this.#host = host;
  }

  /** Resolves with the result of `step` after the commit. `step` must change only the file. */
  write<T>(step: () => T): Promise<T> {
    return new Promise((resolve: (value: never) => void, reject) => {
      if (this.#closed) return reject(storeClosed(this.#database.path));
      this.#waiting.push({ step, resolve, reject, since: undefined });
      if (this.#waiting.length === 1) this.#run();
    });
  }

  /** All transactions wait until `resume`. */
  hold(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    this.#run();
  }

  /** Resolves when every earlier transaction is stored or refused. Later ones are refused. */
  async close(): Promise<void> {
    const last = this.#closed ? undefined : this.write(() => undefined);
    this.#closed = true;
    await last?.catch(() => undefined);
  }

  #run(): void {
    if (this.#isArmed) return;
    while (!this.#held) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      try {
        next.resolve(this.#database.transaction(next.step));
        this.#host.committed();
      } catch (error) {
        if (isBusy(error)) return this.#wait();
        this.#host.failed(error);
        next.reject(storeFailure(this.#database.path, error));
      }
      this.#tries = 0;
      this.#waiting.shift();
    }
  }

  /** Refuses transactions that have waited too long. */
  #wait(): void {
    const now = this.#backoff.now();
    this.#waiting = this.#waiting.filter((one) => {
      one.since ??= now;
      if (now - one.since < BUSY_LIMIT_MS) return true;
      one.reject(this.#host.locked());
      return false;
    });
    if (this.#waiting.length === 0) return;
    this.#isArmed = true;
    this.#backoff.wait(++this.#tries, () => {
      this.#isArmed = false;
      this.#run();
    });
  }
}
