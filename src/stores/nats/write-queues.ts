/**
 * One queue of writes per record. Writes take effect in the order of the calls: each starts after the one before has
 * its answer, or is known to have none. Consecutive log writes are sent together.
 */
import type { Fence, WriteOutcome } from '../store.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import { noAnswer } from '../shared/failures.ts';
import { RecordQueues } from '../shared/record-queues.ts';
import { tooMuchWaiting } from './failures.ts';
import type { LogOp } from './log-state.ts';

export interface LogWrite {
  readonly fence: Fence;
  readonly op: LogOp;
  readonly events: readonly Buffer[];
  readonly deadline: number;
  resolve(outcome: WriteOutcome): void;
  reject(error: unknown): void;
}

/** Limits of one message. A larger one would be split into parts and take longer. */
const TOGETHER = 256;
const TOGETHER_BYTES = 524_288;

/**
 * The size of all log writes without an answer above which more are refused: a silent server must not fill this
 * process's memory.
 */
const MAX_WAITING_BYTES = 67_108_864;
/** The overhead of a write besides its events. */
const WRITE_BYTES = 1_000;

interface RecordLogs {
  /** Writes appends and marks of one record. Each is settled when the promise resolves. */
  write(id: string, writes: readonly LogWrite[]): Promise<void>;
}

/** Log writes that are sent together. */
interface Batch {
  readonly writes: LogWrite[];
  bytes: number;
}

export class WriteQueues {
  readonly #where: string;
  readonly #deadlines: Deadlines;
  readonly #log: RecordLogs;
  readonly #queues = new RecordQueues();
  /** The last batch of a record, while other log writes may join it. */
  readonly #open = new Map<string, Batch>();
  /** The bytes of the log writes that have no answer. */
  #waitingBytes = 0;

  constructor(where: string, deadlines: Deadlines, log: RecordLogs) {
    this.#where = where;
    this.#deadlines = deadlines;
    this.#log = log;
  }

  log(id: string, fence: Fence, op: LogOp, events: readonly Buffer[]): Promise<WriteOutcome> {
    if (this.#waitingBytes > MAX_WAITING_BYTES) return Promise.reject(tooMuchWaiting(this.#where, this.#waitingBytes));
    const bytes = events.reduce((sum, { length }) => sum + length, 0);
    this.#waitingBytes += bytes + WRITE_BYTES;
    const answer = new Promise<WriteOutcome>((resolve, reject) => {
      const batch = this.#batchFor(id, bytes);
      batch.writes.push({ fence, op, events, deadline: this.#deadlines.deadline(), resolve, reject });
      batch.bytes += bytes;
    });
    const settled = (): void => void (this.#waitingBytes -= bytes + WRITE_BYTES);
    answer.then(settled, settled);
    return this.#deadlines.answered(this.#where, answer);
  }

  /** Runs work that is not combined with other work. */
  run<T>(id: string, work: () => Promise<T>): Promise<T> {
    const deadline = this.#deadlines.deadline();
    this.#open.delete(id);
    const done = this.#queues.steps(id, async () => {
      this.#check(deadline);
      return work();
    });
    return this.#deadlines.answered(this.#where, done);
  }

  #batchFor(id: string, bytes: number): Batch {
    const open = this.#open.get(id);
    if (open !== undefined && open.writes.length < TOGETHER && open.bytes + bytes <= TOGETHER_BYTES) return open;
    const batch: Batch = { writes: [], bytes: 0 };
    this.#open.set(id, batch);
    void this.#queues.steps(id, async () => {
      // Waits for other writes of the same moment.
      await Promise.resolve();
      if (this.#open.get(id) === batch) this.#open.delete(id);
      await this.#write(id, batch.writes);
    });
    return batch;
  }

  async #write(id: string, writes: readonly LogWrite[]): Promise<void> {
    const patient = writes.filter((write) => {
      try {
        this.#check(write.deadline);
        return true;
      } catch (error) {
        write.reject(error);
        return false;
      }
    });
    if (patient.length > 0) await this.#log.write(id, patient);
  }

  /** Work that waited beyond its deadline is not done, because its caller has given up. */
  #check(deadline: number): void {
    if (this.#deadlines.now() >= deadline) throw noAnswer(this.#where, this.#deadlines.limitMs);
  }
}
