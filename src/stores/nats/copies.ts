/**
 * What this process knows of the sessions that are written through it: a write needs the sequence of what it replaces or
 * continues. A copy that is out of date does no harm, because the server refuses what does not follow; it is then read anew.
 */
import type { Overflow } from './overflow.ts';
import type { LogTail } from './reader.ts';
import type { LivingValue } from './record-value.ts';
import type { Spot } from './registers.ts';

/** A value, and where it stands. */
export interface Held {
  spot: Spot;
  value: LivingValue;
  /** Messages that hold parts of the value. */
  parts: readonly number[];
}

export interface Copy extends Held {
  readonly log: LogTail;
  /** Made with the first event that is written here. */
  overflow?: Overflow;
  /** By the monotonic clock: when the server last agreed. */
  agreedAt: number;
  /** Of the value, about. */
  bytes: number;
  /** Read for the work that is being done now: what it says is what stands there. */
  fresh: boolean;
}

/** Sessions that are live in one process, and more. */
const MOST = 20_000;
const MOST_BYTES = 67_108_864;
/**
 * A copy is not believed for longer. A log may have been forgotten by its age meanwhile, and then the one who has been away
 * and the one who has taken over would both find it empty.
 */
const BELIEVED_MS = 600_000;

export class Copies {
  readonly #copies = new Map<string, Copy>();
  #bytes = 0;

  /** The least recently used first. */
  get(id: string, now: number): Copy | undefined {
    const copy = this.#copies.get(id);
    if (copy === undefined) return undefined;
    if (now - copy.agreedAt > BELIEVED_MS) {
      this.drop(id);
      return undefined;
    }
    this.#copies.delete(id);
    this.#copies.set(id, copy);
    return copy;
  }

  set(id: string, copy: Copy): void {
    this.drop(id);
    this.#copies.set(id, copy);
    this.#bytes += copy.bytes;
    this.#forget();
  }

  drop(id: string): void {
    const copy = this.#copies.get(id);
    if (copy === undefined) return;
    this.#copies.delete(id);
    this.#bytes -= copy.bytes;
  }

  /** A value was written anew. */
  changed(id: string, held: Held, bytes: number, now: number): void {
    const copy = this.#copies.get(id);
    if (copy === undefined || copy !== held) return;
    this.#bytes += bytes - copy.bytes;
    copy.bytes = bytes;
    copy.agreedAt = now;
  }

  #forget(): void {
    for (const id of this.#copies.keys()) {
      if (this.#copies.size <= MOST && this.#bytes <= MOST_BYTES) return;
      this.drop(id);
    }
  }
}
