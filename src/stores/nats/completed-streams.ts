/**
 * The streams of a record that are complete and take no more events. Names that end in consecutive numbers, such as
 * those of POSTs, share one entry.
 */

/** Above this number the oldest entries are forgotten. Owners never reuse a name, so no append needs them. */
const KEPT = 128;

/** A name, or the common beginning of names with their first and last number. */
export type CompletedEntry = readonly [name: string] | readonly [name: string, from: number, to: number];

interface Entry {
  readonly name: string;
  readonly from: number;
  to: number;
}

/** The base in which `postStreamKey` of the sessions writes numbers. It has no digit `x`. */
const RADIX = 33;

/** The number at the end of a name, after its first `x`; -1 for a name without one. */
function numbered(stream: string): { readonly name: string; readonly number: number } {
  const after = stream.indexOf('x') + 1;
  const digits = stream.slice(after);
  const number = Number.parseInt(digits, RADIX);
  const fits = after > 0 && Number.isSafeInteger(number) && number.toString(RADIX) === digits;
  return fits ? { name: stream.slice(0, after), number } : { name: stream, number: -1 };
}

export class CompletedStreams {
  #entries: Entry[];

  constructor(entries: readonly CompletedEntry[] = []) {
    this.#entries = entries.map(([name, from = -1, to = -1]) => ({ name, from, to }));
  }

  get size(): number {
    return this.#entries.length;
  }

  has(stream: string): boolean {
    const { name, number } = numbered(stream);
    return this.#entries.some((entry) => entry.name === name && entry.from <= number && number <= entry.to);
  }

  add(stream: string): void {
    const { name, number } = numbered(stream);
    const before = number < 0 ? -1 : this.#entries.findIndex((entry) => entry.name === name && entry.to === number - 1);
    const grown = this.#entries[before];
    if (grown === undefined) this.#entries.push({ name, from: number, to: number });
    else {
      grown.to = number;
      // The newest entry is last.
      this.#entries.push(...this.#entries.splice(before, 1));
    }
    if (this.#entries.length > KEPT) this.#entries.shift();
  }

  entries(): CompletedEntry[] {
    return this.#entries.map(({ name, from, to }) => (from < 0 ? [name] : [name, from, to]));
  }
}
