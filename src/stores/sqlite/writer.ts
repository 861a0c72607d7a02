/**
 * Group commit. Writes wait for the end of their turn of the event loop and then go into the file as one transaction,
 * in the order of the calls. Their promises resolve after the commit.
 *
 *     write() ──▶ waiting ──end of turn──▶ committed
 *                    ▲          │ the file is locked: wait, at most BUSY_LIMIT_MS each
 *                    └──────────┘
 *
 * If a write throws, the group is rolled back and each of its writes runs again in its own transaction. So a write must
 * be repeatable and must change only the file. A crash leaves whole groups. A write whose promise resolved is stored.
 */
import { afterTurn } from '../../base/system.ts';
import type { SqliteDatabase } from './database.ts';
import { isBusy, storeClosed, storeFailure } from './failures.ts';
import { BUSY_LIMIT_MS, type RetryBackoff } from './retry-backoff.ts';

/** Writes per transaction: 512 appends take some 3 ms. */
const GROUP = 512;

interface Write {
  readonly step: () => unknown;
  resolve(value: unknown): void;
  reject(error: Error): void;
  /** When the file was first found locked. */
  since: number | undefined;
}

export interface WriterHost {
  /** Called after each transaction. */
  committed(): void;
  /** Called with the SQLite error of each refused write. */
  failed(error: unknown): void;
  /** Why a write that found the file locked for BUSY_LIMIT_MS is refused. */
  locked(): Error;
}

export class SqliteWriter {
  readonly #database: SqliteDatabase;
  readonly #backoff: RetryBackoff;
  #waiting: Write[] = [];
  #armed = false;
  #tries = 0;
  #closed = false;
  #held = false;
  /** The turn ended while writes were held. */
  #due = false;
  readonly #host: WriterHost;

  constructor(database: SqliteDatabase, backoff: RetryBackoff, host: WriterHost) {
    this.#database = database;
    this.#backoff = backoff;
    this.#host = host;
  }

  /** Resolves with the result of `step` after the commit. */
  write<T>(step: () => T): Promise<T> {
    return new Promise((resolve: (value: never) => void, reject) => {
      if (this.#closed) return reject(storeClosed(this.#database.path));
      this.#waiting.push({ step, resolve, reject, since: undefined });
      if (this.#armed) return;
      this.#armed = true;
      afterTurn(this.#endTurn);
    });
  }

  /** All writes wait until `resume`. */
  hold(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    if (this.#due) afterTurn(this.#endTurn);
    this.#due = false;
  }

  /** Resolves when every earlier write is stored or refused. Later writes are refused. */
  async close(): Promise<void> {
    const last = this.#closed ? undefined : this.write(() => undefined);
    this.#closed = true;
    await last?.catch(() => undefined);
  }

  readonly #endTurn = (): void => {
    this.#due = this.#held;
    if (this.#held) return;
    const group = this.#waiting.length <= GROUP ? this.#waiting : this.#waiting.slice(0, GROUP);
    this.#waiting = this.#waiting.slice(GROUP);
    const locked = this.#commit(group);
    if (locked.length > 0) return this.#wait(locked);
    this.#tries = 0;
    this.#armed = this.#waiting.length > 0;
    if (this.#armed) afterTurn(this.#endTurn);
  };

  /** Returns the writes that could not run, because the file is locked. */
  #commit(group: readonly Write[]): readonly Write[] {
    let outcomes: readonly unknown[];
    try {
      outcomes = this.#database.transaction(() => group.map(({ step }) => step()));
    } catch (error) {
      if (isBusy(error)) return group;
      if (group.length > 1) return this.#commitEach(group);
      this.#host.failed(error);
      group[0]?.reject(storeFailure(this.#database.path, error));
      return [];
    }
    for (const [n, { resolve }] of group.entries()) resolve(outcomes[n]);
    this.#host.committed();
    return [];
  }

  #commitEach(group: readonly Write[]): readonly Write[] {
    for (const [n, write] of group.entries()) {
      if (this.#commit([write]).length > 0) return group.slice(n);
    }
    return [];
  }

  /** Refuses writes that have waited too long. The others stay first in the queue. */
  #wait(locked: readonly Write[]): void {
    const now = this.#backoff.now();
    const patient = locked.filter((write) => {
      write.since ??= now;
      if (now - write.since < BUSY_LIMIT_MS) return true;
      write.reject(this.#host.locked());
      return false;
    });
    this.#waiting.unshift(...patient);
    this.#armed = this.#waiting.length > 0;
    if (this.#armed) this.#backoff.wait(++this.#tries, this.#endTurn);
  }
}
