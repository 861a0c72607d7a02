/**
 * Collects the appends of one record in one turn of the event loop into one script call. A busy record has many
 * appends in a turn, and one more append in a script costs less than one more call of Redis
 * (docs/internals/measuring.md).
 */
import { afterTurn } from '../../base/system.ts';
import type { Fence, WriteOutcome } from '../store.ts';
import type { Reply } from './client.ts';

/** A batch that reaches one of these limits is sent at once, because Redis serves nothing else while a script runs. */
const MAX_APPENDS = 64;
const MAX_LENGTH = 262_144;

interface PendingAppend {
  readonly resolve: (outcome: WriteOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  readonly id: string;
  readonly fence: Fence;
  readonly args: string[];
  readonly pending: PendingAppend[];
  length: number;
}

interface BatchWriter {
  /** Retention, as script arguments. */
  readonly kept: readonly string[];
  readonly outcome: (reply: Reply) => WriteOutcome;
  /** Runs the script call of a batch. */
  writeBatch(id: string, fence: Fence, args: readonly string[]): Promise<Reply>;
}

export class AppendBatches {
  readonly #writer: BatchWriter;
  readonly #batches = new Map<string, Batch>();

  constructor(writer: BatchWriter) {
    this.#writer = writer;
  }

  add(id: string, fence: Fence, args: readonly string[], length: number): Promise<WriteOutcome> {
    return new Promise((resolve, reject) => {
      const batch = this.#batchOf(id, fence);
      batch.args.push(...args);
      batch.pending.push({ resolve, reject });
      batch.length += length;
      if (batch.pending.length === MAX_APPENDS || batch.length > MAX_LENGTH) this.flush(id);
    });
  }

  /** Sends the collected appends of a record, because another command about that record follows. */
  flush(id: string): void {
    const batch = this.#batches.get(id);
    if (batch === undefined) return;
    this.#batches.delete(id);
    this.#send(batch);
  }

  #batchOf(id: string, fence: Fence): Batch {
    const there = this.#batches.get(id);
    if (there !== undefined) {
      if (there.fence.epoch === fence.epoch && there.fence.owner === fence.owner) return there;
      this.flush(id);
    }
    const batch: Batch = { id, fence, args: [...this.#writer.kept], pending: [], length: 0 };
    if (this.#batches.size === 0) afterTurn(() => this.flushAll());
    this.#batches.set(id, batch);
    return batch;
  }

  flushAll(): void {
    const due = [...this.#batches.values()];
    this.#batches.clear();
    for (const batch of due) this.#send(batch);
  }

  #send({ id, fence, args, pending }: Batch): void {
    this.#writer.writeBatch(id, fence, args).then(
      (reply) => this.#settle(pending, reply),
      (error: unknown) => {
        for (const { reject } of pending) reject(error);
      },
    );
  }

  /** The script answers with one outcome for all appends, or with a list of outcomes. */
  #settle(pending: readonly PendingAppend[], reply: Reply): void {
    const each = Array.isArray(reply) ? (reply as readonly Reply[]) : undefined;
    for (const [n, { resolve, reject }] of pending.entries()) {
      try {
        resolve(this.#writer.outcome(each === undefined ? reply : (each[n] ?? null)));
      } catch (error) {
        reject(error);
      }
    }
  }
}
