/**
 * The writes of a view of a Cluster: those of each bucket make trips for themselves. So a node that is away delays and
 * fails only what is written to its own buckets.
 */
import { TurnWrites, type MaybePromise, type Write, type Writes } from 'sojourn/store-kit';
import type { RedisBackend } from './backend.ts';

export class BucketWrites implements Writes {
  readonly #backend: RedisBackend;
  readonly #buckets = new Map<string, TurnWrites>();

  constructor(backend: RedisBackend) {
    this.#backend = backend;
  }

  write(write: Write): MaybePromise<boolean> {
    const bucket = this.#backend.bucketOf(write.kind, write.id);
    let writes = this.#buckets.get(bucket);
    if (writes === undefined) {
      writes = new TurnWrites(this.#backend);
      this.#buckets.set(bucket, writes);
    }
    return writes.write(write);
  }

  async settled(): Promise<void> {
    for (const writes of this.#buckets.values()) await writes.settled();
  }
}
