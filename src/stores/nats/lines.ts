/**
 * One line of work for each session: its writes take effect in the order in which they were asked for, each after the one
 * before it is answered, or known to be without an answer. Log writes that wait next to each other go together.
 */
import type { Fence, WriteOutcome } from '../store.ts';
import type { Bounds } from './bounds.ts';
import { noAnswer } from './failures.ts';
import type { LogOp } from './log-state.ts';

export interface LogWrite {
  readonly fence: Fence;
  readonly op: LogOp;
  readonly events: readonly Buffer[];
  readonly deadline: number;
  resolve(outcome: WriteOutcome): void;
  reject(error: unknown): void;
}

/** Of one message: what has to go into more is cut into parts, and takes longer. */
const TOGETHER = 256;
const TOGETHER_BYTES = 524_288;

interface Turn {
  readonly run: () => Promise<void>;
}

type Work = LogWrite | Turn;

/** Writes appends and marks of one session; every one is answered when it resolves. */
export type WriteLog = (id: string, writes: readonly LogWrite[]) => Promise<void>;

export class Lines {
  readonly #where: string;
  readonly #bounds: Bounds;
  readonly #writeLog: WriteLog;
  readonly #lines = new Map<string, Work[]>();

  constructor(where: string, bounds: Bounds, writeLog: WriteLog) {
    this.#where = where;
    this.#bounds = bounds;
    this.#writeLog = writeLog;
  }

  log(id: string, fence: Fence, op: LogOp, events: readonly Buffer[]): Promise<WriteOutcome> {
    return new Promise((resolve, reject) => {
      this.#add(id, { fence, op, events, deadline: this.#bounds.deadline(), resolve, reject });
    });
  }

  /** Alone. */
  run<T>(id: string, work: (deadline: number) => Promise<T>): Promise<T> {
    const deadline = this.#bounds.deadline();
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

  #add(id: string, work: Work): void {
    const line = this.#lines.get(id);
    if (line !== undefined) return void line.push(work);
    this.#lines.set(id, [work]);
    // With what else is asked for in this moment.
    queueMicrotask(() => void this.#work(id));
  }

  async #work(id: string): Promise<void> {
    const line = this.#lines.get(id) ?? [];
    for (let first = line[0]; first !== undefined; first = line[0]) {
      if ('run' in first) {
        line.shift();
        await first.run();
      } else await this.#writeTogether(id, line.splice(0, together(line)) as LogWrite[]);
    }
    this.#lines.delete(id);
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

  /** What waited too long is not done any more: its caller has given up. */
  #check(deadline: number): void {
    if (this.#bounds.now() >= deadline) throw noAnswer(this.#where, this.#bounds.ms);
  }
}

/** How many of the first go into one message. */
function together(line: readonly Work[]): number {
  let bytes = 0;
  for (const [n, work] of line.entries()) {
    if ('run' in work || n === TOGETHER) return n;
    for (const event of work.events) bytes += event.length;
    if (n > 0 && bytes > TOGETHER_BYTES) return n;
  }
  return line.length;
}
