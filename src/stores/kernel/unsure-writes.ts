/**
 * Writes of this process whose answers were lost. They may be stored. When the caller tries again, its step finds what
 * the earlier try has stored, and answers what that try would have answered.
 */
import { isDeepStrictEqual } from 'node:util';
import { BoundedMap } from '../../base/bounded-map.ts';
import type { AppendRequest } from '../store.ts';
import type { Entry, Row } from './backend.ts';
import { entryOf } from './log-state.ts';
import { textsOf } from './row-texts.ts';
import { rowBytes } from './turn-writes.ts';

/** So many records with such appends are remembered. A caller tries again within seconds. */
const MOST_LOGS = 1_000;
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

export class UnsureEntries {
  readonly #sent = new BoundedMap<string, Entry[]>(MOST_LOGS);
  readonly #stored = new BoundedMap<string, readonly Entry[]>(MOST_LOGS);

  lost(id: string, entry: Entry): void {
    const sent = this.#sent.get(id) ?? [];
    sent.push(entry);
    this.#sent.set(id, sent);
  }

  /** The log of a record has been read. */
  found(id: string, stored: readonly Entry[]): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    this.#sent.delete(id);
    const isStored = ({ no, stream, head }: Entry): boolean =>
      stored.some((entry) => entry.no === no && entry.stream === stream && isDeepStrictEqual(entry.head, head));
    const found = sent.filter(isStored);
    if (found.length > 0) this.#stored.set(id, found);
  }

  /** Whether an append with a lost answer has stored this request. It is answered once. */
  made(id: string, request: AppendRequest): boolean {
    const stored = this.#stored.size === 0 ? undefined : this.#stored.get(id);
    const [first] = stored ?? [];
    if (stored === undefined || first === undefined) return false;
    const { stream, head, events } = entryOf(first.no, request, first.head[3]);
    this.#stored.set(id, stored.slice(1));
    return stream === first.stream && isDeepStrictEqual([head, events], [first.head, first.events]);
  }
}
