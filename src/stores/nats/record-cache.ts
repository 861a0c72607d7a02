/**
 * What this process knows of the records it writes. A write needs the sequence of the value that it replaces or
 * continues. An outdated entry does no harm: the server refuses the write, and the record is read again.
 */
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
  readonly #cache = new Map<string, CachedRecord>();
  #bytes = 0;

  /** Moves the entry to the end, so that the least recently used one is first. */
  get(id: string, now: number): CachedRecord | undefined {
    const cached = this.#cache.get(id);
    if (cached === undefined) return undefined;
    if (now - cached.agreedAt > BELIEVED_MS) {
      this.drop(id);
      return undefined;
    }
    this.#cache.delete(id);
    this.#cache.set(id, cached);
    return cached;
  }

  set(id: string, cached: CachedRecord): void {
    this.drop(id);
    this.#cache.set(id, cached);
    this.#bytes += cached.bytes;
    this.#forget();
  }

  drop(id: string): void {
    const cached = this.#cache.get(id);
    if (cached === undefined) return;
    this.#cache.delete(id);
    this.#bytes -= cached.bytes;
  }

  /** Call it after a value was replaced. */
  changed(id: string, held: HeldValue, bytes: number, now: number): void {
    const cached = this.#cache.get(id);
    if (cached === undefined || cached !== held) return;
    this.#bytes += bytes - cached.bytes;
    cached.bytes = bytes;
    cached.agreedAt = now;
  }

  #forget(): void {
    for (const id of this.#cache.keys()) {
      if (this.#cache.size <= MOST && this.#bytes <= MOST_BYTES) return;
      this.drop(id);
    }
  }
}
