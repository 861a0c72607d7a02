/**
 * Where the records of the last scan are, by the hash of their ids: the part of the scan, 8 bytes for each. An
 * id is read from the store again when a page asks for its record, which is seldom; the ids themselves would take 130
 * bytes each.
 */

/** Twelve hexadecimal digits are a number that a double holds. */
const numberOf = (hash: string): number => Number.parseInt(hash, 16);

export class RowIndex {
  readonly #mostParts: number;
  /** Hashes by the store's cursor of their part, the oldest first. The first part has none. */
  readonly #parts = new Map<string | undefined, Float64Array>();

  constructor(mostParts: number) {
    this.#mostParts = mostParts;
  }

  /** A part was read. */
  note(cursor: string | undefined, hashes: readonly string[]): void {
    this.#parts.delete(cursor);
    this.#parts.set(cursor, Float64Array.from(hashes, numberOf));
    for (const oldest of this.#parts.keys()) {
      if (this.#parts.size <= this.#mostParts) break;
      this.#parts.delete(oldest);
    }
  }

  /** The part that had the record. Records of parts before it may be gone since, and move it. */
  partOf(hash: string): { readonly cursor: string | undefined } | undefined {
    const wanted = numberOf(hash);
    for (const [cursor, hashes] of this.#parts) if (hashes.includes(wanted)) return { cursor };
    return undefined;
  }

  clear(): void {
    this.#parts.clear();
  }
}
