/**
 * Puts of this process whose answers were lost. They may be stored. When the caller tries again, its step finds what
 * the earlier try has stored, and answers what that try would have answered.
 */
import { isDeepStrictEqual } from 'node:util';
import { BoundedMap } from '../../base/bounded-map.ts';
import type { Row } from './backend.ts';
import { textsOf } from './row-texts.ts';
import { rowBytes } from './turn-writes.ts';

/** Rows of so many bytes are remembered. In an outage thousands of calls can wait, each with a row of some KB. */
const MOST_BYTES = 16_777_216;

export class UnsureRows {
  readonly #sent = new BoundedMap<string, Row | null>(Infinity, { most: MOST_BYTES, of: rowBytes });

  /** `null`: the row was deleted. */
  lost(id: string, row: Row | null): void {
    this.#sent.set(id, row);
  }

  has(id: string): boolean {
    return this.#sent.size > 0 && this.#sent.has(id);
  }

  /** A later write was answered. */
  settle(id: string): void {
    if (this.#sent.size > 0) this.#sent.delete(id);
  }

  /** Whether a write with a lost answer has made what is stored. It is answered once. */
  made(id: string, stored: Row | undefined): boolean {
    const sent = this.#sent.size === 0 ? undefined : this.#sent.get(id);
    if (sent === undefined) return false;
    this.#sent.delete(id);
    if (sent === null || stored === undefined) return sent === null && stored === undefined;
    if (sent.version !== stored.version || sent.fence !== stored.fence) return false;
    return isDeepStrictEqual(textsOf(sent), textsOf(stored));
  }
}
