/**
 * The appends of one session in one turn of the event loop as one script call: the calls of a busy session come many at a
 * time, and a call of Redis costs more, on both sides, than what one append adds to it (docs/performance.md).
 */
import { afterTurn } from '../../options/system.ts';
import type { Fence, WriteOutcome } from '../store.ts';
import type { Reply } from './client.ts';
import type { Ledger } from './ledger.ts';
import { asItIs } from './server.ts';
import { APPEND } from './session-scripts.ts';

/** A batch that is larger goes at once: Redis does nothing else meanwhile. */
const MOST_APPENDS = 64;
const MOST_LENGTH = 262_144;

interface Asked {
  readonly resolve: (outcome: WriteOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  readonly sessionId: string;
  readonly fence: Fence;
  readonly args: string[];
  readonly asked: Asked[];
  length: number;
}

export class Appends {
  readonly #ledger: Ledger;
  readonly #batches = new Map<string, Batch>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  add(sessionId: string, fence: Fence, args: readonly string[], length: number): Promise<WriteOutcome> {
    return new Promise((resolve, reject) => {
      const batch = this.#batchOf(sessionId, fence);
      batch.args.push(...args);
      batch.asked.push({ resolve, reject });
      batch.length += length;
      if (batch.asked.length === MOST_APPENDS || batch.length > MOST_LENGTH) this.flush(sessionId);
    });
  }

  /** What was asked for before something else of this session goes before it. */
  flush(sessionId: string): void {
    const batch = this.#batches.get(sessionId);
    if (batch === undefined) return;
    this.#batches.delete(sessionId);
    this.#send(batch);
  }

  #batchOf(sessionId: string, fence: Fence): Batch {
    const there = this.#batches.get(sessionId);
    if (there !== undefined) {
      if (there.fence.epoch === fence.epoch && there.fence.owner === fence.owner) return there;
      this.flush(sessionId);
    }
    const batch: Batch = { sessionId, fence, args: [...this.#ledger.kept], asked: [], length: 0 };
    if (this.#batches.size === 0) afterTurn(() => this.flushAll());
    this.#batches.set(sessionId, batch);
    return batch;
  }

  flushAll(): void {
    const due = [...this.#batches.values()];
    this.#batches.clear();
    for (const batch of due) this.#send(batch);
  }

  #send({ sessionId, fence, args, asked }: Batch): void {
    const [head, , , open, known, log] = this.#ledger.keys.session(sessionId);
    this.#ledger.fenced(APPEND, sessionId, [head, open, known, log], fence, args, asItIs).then(
      (reply) => this.#settle(asked, reply),
      (error: unknown) => {
        for (const { reject } of asked) reject(error);
      },
    );
  }

  /** One answer for all, or one for each. */
  #settle(asked: readonly Asked[], reply: Reply): void {
    const each = Array.isArray(reply) ? (reply as readonly Reply[]) : undefined;
    for (const [n, { resolve, reject }] of asked.entries()) {
      try {
        resolve(this.#ledger.outcome(each === undefined ? reply : (each[n] ?? null)));
      } catch (error) {
        reject(error);
      }
    }
  }
}
