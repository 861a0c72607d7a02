/**
 * Streams of a session that are complete: they take no more. Names that end in consecutive numbers, as those of POSTs do,
 * are one entry.
 */

/** Entries past this number are forgotten, oldest first: owners give no name twice, so nobody asks for those. */
const KEPT = 128;

/** A name, or the beginning of names and their first and last number. */
export type DoneEntry = readonly [name: string] | readonly [name: string, from: number, to: number];

interface Entry {
  readonly name: string;
  readonly from: number;
  to: number;
}

/** A name ends in a number, base 36, after its first `x`; -1: this one does not. */
function numbered(stream: string): { readonly name: string; readonly number: number } {
  const after = stream.indexOf('x') + 1;
  const digits = stream.slice(after);
  const number = Number.parseInt(digits, 36);
  const fits = after > 0 && Number.isSafeInteger(number) && number.toString(36) === digits;
  return fits ? { name: stream.slice(0, after), number } : { name: stream, number: -1 };
}

export class DoneStreams {
  #entries: Entry[];

  constructor(entries: readonly DoneEntry[] = []) {
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
      // The newest stands last.
      this.#entries.push(...this.#entries.splice(before, 1));
    }
    if (this.#entries.length > KEPT) this.#entries.shift();
  }

  entries(): DoneEntry[] {
    return this.#entries.map(({ name, from, to }) => (from < 0 ? [name] : [name, from, to]));
  }
}
