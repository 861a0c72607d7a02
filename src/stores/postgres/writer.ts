/**
 * Sends all writes to the server: one connection, one batch at a time, in order. Writes that are requested while a
 * batch runs form the next batch, so batches grow with the load.
 *
 *     away ──write──▶ connecting ──▶ idle ◀──▶ writing
 *       ▲                  │            │         │
 *       ╰── failed ────────╯◀── lost ───┴─────────╯   writes of a running batch have an unknown outcome
 *
 * A new connection is used only after it has taken the lock of the earlier one (`own-connection.ts`). By then a write
 * that was given up with its connection has taken effect or never will, so it cannot undo a later one. A batch that the
 * server refused has changed nothing. Its writes are sent again one by one, so that only the faulty ones fail.
 */
import { afterReading, afterTurn, type RandomSource } from '../../base/system.ts';
import type { JoinedAppend } from '../shared/joined-append.ts';
import type { Claim } from './claim.ts';
import { Batch, type BatchStatements, type Operation, type Write } from './batch.ts';
import type { Connection, Connector } from './connection.ts';
import { noAnswer, storeClosed } from '../shared/failures.ts';
import { isFatal, isSchemaGone, isTransient, notAsked, storeFailure, tooMuchPending } from './failures.ts';
import { OwnConnection } from './own-connection.ts';
import type { PgResult, Row, Step } from './pg.ts';
import type { WriteOutcome } from '../store.ts';

/** Writes of one batch: its statement takes some 10 ms. */
const MAX_WRITES = 256;
/** Bytes of events in one batch; a single write may have more. */
const MAX_BYTES = 4_194_304;
/**
 * Bytes of all waiting writes, above which further writes are refused: an unreachable server must not fill the
 * process's memory.
 */
const MAX_WAITING_BYTES = 67_108_864;
/** The overhead of a write besides its events. */
const WRITE_BYTES = 1_000;
/** These batches cannot deadlock with each other, but they can with statements of other programs. */
const TRIES = 5;

export interface PostgresWriterOptions {
  readonly connector: Connector;
  readonly random: RandomSource;
  readonly statements: BatchStatements;
  /** Creates missing tables again. */
  repair(): Promise<void>;
}

interface QueuedWrite extends Write {
  readonly requestedAt: number;
  /** The caller has been answered with an error. */
  refused: boolean;
}

export class PostgresWriter {
  readonly #options: PostgresWriterOptions;
  readonly #own: OwnConnection;
  /** Not sent yet, in order. */
  #queue: QueuedWrite[] = [];
  #underWay: readonly QueuedWrite[] = [];
  #running: Promise<void> | undefined;
  #watch: unknown;
  #closed = false;
  #waitingBytes = 0;

  constructor(options: PostgresWriterOptions) {
    this.#options = options;
    this.#own = new OwnConnection(options.connector, options.random, { durable: true });
  }

  write(space: string, append: JoinedAppend): Promise<WriteOutcome>;
  write(space: string, claim: Claim): Promise<Row | undefined>;
  write<T>(space: string, operation: Operation<T>): Promise<T>;
  write(space: string, what: Write['what']): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(storeClosed(this.#options.connector.place));
      const { place, deadlines } = this.#options.connector;
      if (this.#waitingBytes > MAX_WAITING_BYTES) return reject(tooMuchPending(place, this.#queue.length));
      this.#waitingBytes += bytesOf(what);
      this.#queue.push({ space, what, requestedAt: deadlines.now(), refused: false, resolve, reject });
      if (this.#watch === undefined) this.#watchFor(deadlines.limitMs);
      this.#running ??= this.#run().finally(() => (this.#running = undefined));
    });
  }

  /** Writes that were requested are still sent, if the server answers; later ones are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    this.#options.connector.deadlines.time.clearTimeout(this.#watch);
    await this.#own.close();
  }

  connect(): Promise<Connection> {
    return this.#own.ready();
  }

  async #run(): Promise<void> {
    let settle = noCallers;
    for (;;) {
      if (this.#queue.length === 0 || this.#own.current === undefined) {
        settle();
        settle = noCallers;
      }
      if (this.#queue.length === 0) {
        // Collects the other writes of this turn.
        await new Promise<void>((next) => afterTurn(next));
        if (this.#queue.length === 0) return;
      }
      try {
        const connection = await this.connect();
        this.#underWay = this.#take();
        const sending = this.#send(connection, this.#underWay);
        // The server works on this batch while the callers of the batch before continue.
        settle();
        settle = await sending;
      } catch (error) {
        settle();
        settle = noCallers;
        this.#waitingBytes = 0;
        for (const write of this.#queue.splice(0)) write.reject(error);
      } finally {
        this.#underWay = [];
      }
    }
  }

  /** The next batch. */
  #take(): readonly QueuedWrite[] {
    const writes = this.#queue.filter(({ refused }) => !refused);
    let [count, bytes] = [0, 0];
    for (const { what } of writes) {
      if ('bytes' in what) bytes += what.bytes;
      if (count > 0 && (count === MAX_WRITES || bytes > MAX_BYTES)) break;
      count += 1;
    }
    this.#queue = writes.slice(count);
    this.#waitingBytes = this.#queue.reduce((sum, { what }) => sum + bytesOf(what), 0);
    return writes.slice(0, count);
  }

  /** Never rejects. Returns the function that settles the callers' promises. */
  async #send(connection: Connection, writes: readonly Write[], tries = TRIES): Promise<() => void> {
    const { statements, repair } = this.#options;
    try {
      const { steps, settle } = new Batch(writes, statements).plan();
      const results = await answers(connection, steps);
      return () => settle(results);
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
    return noCallers;
  }

  /** Checks again when the write that waits longest would be late. */
  #watchFor(ms: number): void {
    const { place, deadlines } = this.#options.connector;
    const { limitMs } = deadlines;
    this.#watch = deadlines.time.setTimeout(() => {
      const oldest = deadlines.now() - limitMs;
      const late = (write: QueuedWrite): boolean => write.requestedAt <= oldest && !write.refused;
      // Before the next batch takes them: they would be refused as soon as they are sent.
      for (const write of this.#queue.filter(late)) this.#refuse(write, notAsked(place, limitMs));
      afterReading(() => {
        this.#watch = undefined;
        for (const write of this.#underWay.filter(late)) this.#refuse(write, noAnswer(place, limitMs));
        // No caller waits for this batch any more, so the server should release it.
        if (this.#underWay.length > 0 && this.#underWay.every(({ refused }) => refused))
          this.#own.current?.destroy(noAnswer(place, limitMs));
        const next = [...this.#underWay, ...this.#queue].find(({ refused }) => !refused);
        if (next !== undefined) this.#watchFor(Math.max(1, next.requestedAt - oldest));
      });
    }, ms);
  }

  #refuse(write: QueuedWrite, error: Error): void {
    write.refused = true;
    write.reject(error);
  }
}

const noCallers = (): void => undefined;

const bytesOf = (what: Write['what']): number => WRITE_BYTES + ('bytes' in what ? what.bytes : 0);

/** Rejects with the first error; later statements of the transaction fail only because of it. */
async function answers(connection: Connection, steps: readonly Step[]): Promise<readonly PgResult[]> {
  const settled = await Promise.allSettled(steps.map(([statement, values]) => connection.query(statement, values)));
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}
