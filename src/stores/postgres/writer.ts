/**
 * The one way of writes to the server: one connection, one batch at a time, in the order of asking. What is asked for while
 * a batch is under way is the next one, so the busier it is the more a batch carries.
 *
 *     away ──write──▶ connecting ──▶ idle ◀──▶ writing
 *       ▲                  │            │         │
 *       ╰── could not ─────╯◀── lost ───┴─────────╯   what was under way has no known outcome
 *
 * A new connection is of no use before the lock of the earlier one is its own (`own-lock.ts`): a write that was given up
 * with its connection has landed by then or never will, so it cannot undo a later one. A batch that the server refused left
 * nothing behind, and its writes are done again one by one: those that are at fault fail alone.
 */
import { afterTurn, type RandomSource } from '../../options/system.ts';
import type { Append } from './append.ts';
import { Batch, type BatchStatements, type Operation, type Step, type Write } from './batch.ts';
import { Connection, type Connector } from './connection.ts';
import {
  isFatal,
  isSchemaGone,
  isTransient,
  noAnswer,
  notAsked,
  storeClosed,
  storeFailure,
  tooMuchWaits,
} from './failures.ts';
import { giveBackLock, newLockKey, takeOwnLock } from './own-lock.ts';
import type { PgResult } from './pg.ts';
import type { Waits } from './waits.ts';
import type { WriteOutcome } from '../store.ts';

/** Writes of one batch: its statement takes some 10 ms. */
const MOST_WRITES = 256;
/** Of events in one batch; a single write may have more. */
const MOST_BYTES = 4_194_304;
/** Of all that waits, past which more is refused: a server that is away is not to fill the memory of this process. */
const MOST_WAITING_BYTES = 67_108_864;
/** What a write takes besides its events. */
const WRITE_BYTES = 1_000;
/** Deadlocks cannot happen among these batches; among them and others' statements they may. */
const TRIES = 5;
/** After a connection could not be made nobody tries again for so long: requests come by the thousand. */
const PAUSE_MS = 50;

export interface WriterOptions {
  readonly connector: Connector;
  readonly waits: Waits;
  readonly random: RandomSource;
  readonly statements: BatchStatements;
  /** Makes the tables anew that are gone. */
  repair(): Promise<void>;
}

interface Waiting extends Write {
  readonly asked: number;
  /** Nobody waits any more. */
  refused: boolean;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #lock: string;
  #connection: Connection | undefined;
  /** Not sent yet, in the order of asking. */
  #queue: Waiting[] = [];
  #underWay: readonly Waiting[] = [];
  #running: Promise<void> | undefined;
  #watch: unknown;
  #pausedUntil = -Infinity;
  #pausedBy: unknown;
  #closed = false;
  #waitingBytes = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#lock = newLockKey(options.random);
  }

  append(deployment: string, append: Append): Promise<WriteOutcome> {
    return this.#write(deployment, append);
  }

  operate<T>(deployment: string, operation: Operation<T>): Promise<T> {
    return this.#write(deployment, operation);
  }

  /** What was asked for is still written, if the server answers; nothing later is. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#options.waits.cancel(this.#watch);
    if (this.#connection === undefined) return;
    await giveBackLock(this.#connection, this.#lock);
    await this.#connection.close();
  }

  /** The open connection; a new one when there is none. */
  async connect(): Promise<Connection> {
    const { connector, waits } = this.#options;
    if (this.#connection?.closed === false) return this.#connection;
    if (waits.now() < this.#pausedUntil) throw this.#pausedBy;
    try {
      const connection = await Connection.open(connector, { durable: true });
      await takeOwnLock(connection, this.#lock).catch((error: unknown) => {
        connection.destroy(storeFailure(connection.place, error));
        throw storeFailure(connection.place, error);
      });
      return (this.#connection = connection);
    } catch (error) {
      this.#pausedUntil = waits.now() + PAUSE_MS;
      this.#pausedBy = error;
      throw error;
    }
  }

  #write<T>(deployment: string, what: Write['what']): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) return reject(storeClosed(this.#options.connector.place));
      const { waits, connector } = this.#options;
      if (this.#waitingBytes > MOST_WAITING_BYTES) return reject(tooMuchWaits(connector.place, this.#queue.length));
      this.#waitingBytes += bytesOf(what);
      this.#queue.push({ deployment, what, asked: waits.now(), refused: false, resolve, reject });
      if (this.#watch === undefined) this.#watchFor(waits.limitMs);
      this.#running ??= this.#run().finally(() => (this.#running = undefined));
    });
  }

  async #run(): Promise<void> {
    let tell = nobody;
    for (;;) {
      if (this.#queue.length === 0 || this.#connection?.closed !== false) {
        tell();
        tell = nobody;
      }
      if (this.#queue.length === 0) {
        // What else is asked for in this turn goes along.
        await new Promise<void>((next) => afterTurn(next));
        if (this.#queue.length === 0) return;
      }
      try {
        const connection = await this.connect();
        this.#underWay = this.#take();
        const sending = this.#send(connection, this.#underWay);
        // The server is at work on this batch while those who waited for the one before go on.
        tell();
        tell = await sending;
      } catch (error) {
        tell();
        tell = nobody;
        this.#waitingBytes = 0;
        for (const write of this.#queue.splice(0)) write.reject(error);
      } finally {
        this.#underWay = [];
      }
    }
  }

  /** The next batch. */
  #take(): readonly Waiting[] {
    const writes = this.#queue.filter(({ refused }) => !refused);
    let [count, bytes] = [0, 0];
    for (const { what } of writes) {
      if ('bytes' in what) bytes += what.bytes;
      if (count > 0 && (count === MOST_WRITES || bytes > MOST_BYTES)) break;
      count += 1;
    }
    this.#queue = writes.slice(count);
    this.#waitingBytes = this.#queue.reduce((sum, { what }) => sum + bytesOf(what), 0);
    return writes.slice(0, count);
  }

  /** Never rejects. Returns what tells those who wait. */
  async #send(connection: Connection, writes: readonly Write[], tries = TRIES): Promise<() => void> {
    const { statements, repair } = this.#options;
    try {
      const { steps, tell } = new Batch(writes, statements).plan();
      const results = await answers(connection, steps);
      return () => tell(results);
    } catch (cause) {
      let error = storeFailure(connection.place, cause);
      if (isFatal(cause)) connection.destroy(error);
      if (!connection.closed && writes.length > 1) return this.#sendEach(connection, writes);
      if (!connection.closed && tries > 1) {
        if (isTransient(cause)) return this.#send(connection, writes, tries - 1);
        if (isSchemaGone(cause)) {
          const failed = await repair().catch((why: Error) => why);
          if (failed === undefined) return this.#send(connection, writes, 1);
          error = failed;
        }
      }
      return () => writes.forEach((write) => write.reject(error));
    }
  }

  async #sendEach(connection: Connection, writes: readonly Write[]): Promise<() => void> {
    for (const write of writes) (await this.#send(connection, [write]))();
    return nobody;
  }

  /** Looks again when the one that waits longest has waited too long. */
  #watchFor(ms: number): void {
    const { waits, connector } = this.#options;
    this.#watch = waits.after(ms, () => {
      this.#watch = undefined;
      const oldest = waits.now() - waits.limitMs;
      const late = (write: Waiting): boolean => write.asked <= oldest && !write.refused;
      for (const write of this.#underWay.filter(late)) this.#refuse(write, noAnswer(connector.place, waits.limitMs));
      for (const write of this.#queue.filter(late)) this.#refuse(write, notAsked(connector.place, waits.limitMs));
      // For nobody: the server is to let go of it.
      if (this.#underWay.length > 0 && this.#underWay.every(({ refused }) => refused))
        this.#connection?.destroy(noAnswer(connector.place, waits.limitMs));
      const next = [...this.#underWay, ...this.#queue].find(({ refused }) => !refused);
      if (next !== undefined) this.#watchFor(Math.max(1, next.asked - oldest));
    });
  }

  #refuse(write: Waiting, error: Error): void {
    write.refused = true;
    write.reject(error);
  }
}

const nobody = (): void => undefined;

const bytesOf = (what: Write['what']): number => WRITE_BYTES + ('bytes' in what ? what.bytes : 0);

/** Rejects with the first thing that went wrong; what follows it in a transaction fails for that alone. */
async function answers(connection: Connection, steps: readonly Step[]): Promise<readonly PgResult[]> {
  const settled = await Promise.allSettled(steps.map(([statement, values]) => connection.query(statement, values)));
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}
