/**
 * The names of all keys: the prefix, the endpoint's name, the kind of records, then the purpose. A row, its log and the
 * orders that it is in have the hash tag of its bucket, and so one slot of a Cluster. The channel of an instance has the
 * name of the row of its lease; the databases of a server share their channels.
 */
import type { Kind } from 'sojourn/internal';

/** Spread over the nodes of a Cluster. A list asks each of them. */
const BUCKETS = 16;

/** The orders of the rows of one bucket (`row-scripts.ts`). */
export interface Orders {
  readonly ids: string;
  readonly wakes: string;
}

/** What is counted in one bucket. The names of `shares` and `kept` end with that of a share. */
interface BucketCounts {
  readonly shares: string;
  readonly kept: string;
  readonly most: string;
}

interface Bucket extends Orders, BucketCounts {
  readonly rows: string;
  readonly logs: string;
}

export interface RowKeys extends Orders, BucketCounts {
  readonly row: string;
  readonly log: string;
}

/** The keys of one kind of records. Ids are visible ASCII, and `name` has letters, digits, dots, dashes, underscores. */
export class KindKeys {
  readonly #isGrouped: boolean;
  readonly #buckets: readonly Bucket[];

  constructor(prefix: string, name: string, { name: kind, grouped }: Kind) {
    this.#isGrouped = grouped === true;
    this.#buckets = Array.from({ length: BUCKETS }, (_, n) => {
      const base = `${prefix}:${name}:${kind}:{${n}}:`;
      const orders = { ids: `${base}ids`, wakes: `${base}wakes` };
      const counts = { shares: `${base}s:`, kept: `${base}k:`, most: `${base}most` };
      return { rows: `${base}r:`, logs: `${base}l:`, ...orders, ...counts };
    });
  }

  of(id: string): RowKeys {
    const { rows, logs, ...orders } = this.#bucket(id);
    return { row: rows + id, log: logs + id, ...orders };
  }

  /** Where ids before `before` are. The rows of a group are in one bucket: `cursor.ts` says how its range ends. */
  orders(before = ''): readonly Orders[] {
    return this.#isGrouped && before.endsWith('/')
      ? [this.#bucket(`${before.slice(0, -1)}.`)]
      : this.#buckets;
  }

  /** In each bucket. */
  get counts(): readonly BucketCounts[] {
    return this.#buckets;
  }

  #bucket(id: string): Bucket {
    return this.#buckets[bucketOf(id, this.#isGrouped ? id.indexOf('.') : id.length)] as Bucket;
  }
}

/** FNV-1a of the group, or of the id. */
function bucketOf(text: string, end: number): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < end; n++) hash = Math.imul(hash ^ text.charCodeAt(n), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % BUCKETS;
}
