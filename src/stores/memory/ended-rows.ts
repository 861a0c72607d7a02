/** The ended rows of a kind, whose number and bytes are bounded: the oldest are forgotten. */
import { EntryList, entryOf } from '../../base/entry-list.ts';
import type { HeldRow } from './held-row.ts';

/** Only longer outcomes count. */
const SHORT = 64;

export class EndedRows {
  readonly #ended = new EntryList<HeldRow>();
  readonly #most: number;
  readonly #mostBytes: number;
  #bytes = 0;

  constructor(most: number, mostBytes: number) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  /** Returns the rows that must go now that this row is stored. */
  stored(held: HeldRow): readonly HeldRow[] {
    this.deleted(held);
    const { fence, value } = held;
    if (fence !== null || !('outcome' in value)) return [];
    held.charge = value.outcome.length > SHORT ? value.outcome.length : 0;
    this.#bytes += held.charge;
    this.#ended.add((held.ended = entryOf(held)));
    return this.#overflow();
  }

  deleted(held: HeldRow): void {
    if (held.ended === undefined) return;
    this.#ended.delete(held.ended);
    held.ended = undefined;
    this.#bytes -= held.charge;
    held.charge = 0;
  }

  #overflow(): HeldRow[] {
    const over: HeldRow[] = [];
    while (this.#ended.size > this.#most || this.#bytes > this.#mostBytes) {
      const { oldest } = this.#ended;
      if (oldest === undefined) break;
      this.deleted(oldest);
      over.push(oldest);
    }
    return over;
  }
}
