/**
 * What this process knows of the records it writes. A write needs the sequence of the value that it replaces or
 * continues. An outdated entry does no harm: the server refuses the write, and the record is read again.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { RetentionCounter } from './retention-counter.ts';
import type { LogTail } from './reader.ts';
import type { LivingValue } from './record-value.ts';
import type { ValuePosition } from './keyed-values.ts';

/** A value and its position. */
export interface HeldValue {
  position: ValuePosition;
  value: LivingValue;
  /** Messages that hold parts of the value. */
  parts: readonly number[];
}

export interface CachedRecord extends HeldValue {
  readonly log: LogTail;
  /** Created with the first event that this process writes. */
  counter?: RetentionCounter;
  /** On the monotonic clock: when the server last confirmed the entry. */
  agreedAt: number;
  /** The approximate size of the value. */
  bytes: number;
  /** Read for the current operation, so it is up to date. */
  fresh: boolean;
}

/** More records than are live in one process. */
const MOST = 20_000;
const MOST_BYTES = 67_108_864;
/**
 * Older entries are not used. The server may have forgotten a log by its age in this time. Then a returning owner and a
 * new owner would both find it empty.
 */
const BELIEVED_MS = 600_000;

export class RecordCache {
  readonly #cache = new BoundedMap<string, CachedRecord>(MOST, { most: MOST_BYTES, of: ({ bytes }) => bytes });

  get(id: string, now: number): CachedRecord | undefined {
    const cached = this.#cache.use(id);
    if (cached === undefined || now - cached.agreedAt <= BELIEVED_MS) return cached;
    this.drop(id);
    return undefined;
  }

  set(id: string, cached: CachedRecord): void {
    this.#cache.set(id, cached);
  }

  drop(id: string): void {
    this.#cache.delete(id);
  }

  /** Call it after a value was replaced. */
  changed(id: string, held: HeldValue, bytes: number, agreedAt: number): void {
    const cached = this.#cache.get(id);
    if (cached === undefined || cached !== held) return;
    this.drop(id);
    this.set(id, Object.assign(cached, { bytes, agreedAt }));
  }
}
