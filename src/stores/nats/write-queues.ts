/**
 * One queue of writes per record. Writes take effect in the order of the calls: each starts after the one before has
 * its answer, or is known to have none. Consecutive log writes are sent together.
 */
import type { Fence, WriteOutcome } from '../store.ts';
import type { NatsDeadlines } from './deadlines.ts';
import { noAnswer } from '../shared/failures.ts';
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

interface QueuedTask {
  readonly run: () => Promise<void>;
}

type QueuedWork = LogWrite | QueuedTask;

/** Writes appends and marks of one record. Each is settled when the promise resolves. */
export type WriteLog = (id: string, writes: readonly LogWrite[]) => Promise<void>;

export class WriteQueues {
  readonly #where: string;
  readonly #deadlines: NatsDeadlines;
  readonly #writeLog: WriteLog;
  readonly #queues = new Map<string, QueuedWork[]>();
  /** The bytes of the log writes that have no answer. */
  #waitingBytes = 0;

  constructor(where: string, deadlines: NatsDeadlines, writeLog: WriteLog) {
    this.#where = where;
    this.#deadlines = deadlines;
    this.#writeLog = writeLog;
  }

  log(id: string, fence: Fence, op: LogOp, events: readonly Buffer[]): Promise<WriteOutcome> {
    if (this.#waitingBytes > MAX_WAITING_BYTES) return Promise.reject(tooMuchWaiting(this.#where, this.#waitingBytes));
    const bytes = events.reduce((sum, { length }) => sum + length, WRITE_BYTES);
    this.#waitingBytes += bytes;
    const answer = new Promise<WriteOutcome>((resolve, reject) => {
      this.#add(id, { fence, op, events, deadline: this.#deadlines.deadline(), resolve, reject });
    });
    const settled = (): void => void (this.#waitingBytes -= bytes);
    answer.then(settled, settled);
    return answer;
  }

  /** Runs work that is not combined with other work. */
  run<T>(id: string, work: (deadline: number) => Promise<T>): Promise<T> {
    const deadline = this.#deadlines.deadline();
    return new Promise((resolve, reject) => {
      this.#add(id, {
        run: async () => {
          try {
            this.#check(deadline);
            resolve(await work(deadline));
          } catch (error) {
            reject(error);
          }
        },
      });
    });
  }

  #add(id: string, work: QueuedWork): void {
    const queue = this.#queues.get(id);
    if (queue !== undefined) return void queue.push(work);
    this.#queues.set(id, [work]);
    // Waits for other writes of the same moment.
    queueMicrotask(() => void this.#work(id));
  }

  async #work(id: string): Promise<void> {
    const queue = this.#queues.get(id) ?? [];
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      if ('run' in first) {
        queue.shift();
        await first.run();
      } else await this.#writeTogether(id, queue.splice(0, together(queue)) as LogWrite[]);
    }
    this.#queues.delete(id);
  }

  async #writeTogether(id: string, writes: readonly LogWrite[]): Promise<void> {
    const patient = writes.filter((write) => {
      try {
        this.#check(write.deadline);
        return true;
      } catch (error) {
        write.reject(error);
        return false;
      }
    });
    if (patient.length > 0) await this.#writeLog(id, patient);
  }

  /** Work that waited beyond its deadline is not done, because its caller has given up. */
  #check(deadline: number): void {
    if (this.#deadlines.now() >= deadline) throw noAnswer(this.#where, this.#deadlines.ms);
  }
}

/** How many writes at the head of the queue fit into one message. */
function together(queue: readonly QueuedWork[]): number {
  let bytes = 0;
  for (const [n, work] of queue.entries()) {
    if ('run' in work || n === TOGETHER) return n;
    for (const event of work.events) bytes += event.length;
    if (n > 0 && bytes > TOGETHER_BYTES) return n;
  }
  return queue.length;
}
