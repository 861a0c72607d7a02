/**
 * What the rows of one kind may take. A kind that forgets nothing (`evicts: false`) refuses nothing either: it counts
 * each record, for its body, fields and log, later for its outcome, and `src/kept/` takes no more for its users than it
 * has room for. Every other kind bounds its ended records alone, and forgets the oldest.
 */
import { EntryList, entryOf } from '../../base/entry-list.ts';
import type { Row } from '../kernel/backend.ts';
import type { StoreRoom } from '../store.ts';
import type { EventBudget } from './event-budget.ts';
import type { HeldRow } from './held-row.ts';

/** Every row is charged at least so many bytes. */
const LEAST_BYTES = 1_024;
/** Only longer outcomes count where the ended records alone are bounded. */
const SHORT = 64;

export interface RowBounds {
  /** Ended rows that must go now that this row is stored. */
  stored(held: HeldRow): readonly HeldRow[];
  deleted(held: HeldRow): void;
  readonly room?: StoreRoom;
}

/** The bounds of a kind with `evicts: false`. */
export class LastingBounds implements RowBounds {
  readonly #mostBytes: number;
  readonly #logs: EventBudget;
  #bytes = 0;

  constructor(mostBytes: number, logs: EventBudget) {
    this.#logs = logs;
    this.#mostBytes = mostBytes;
  }

  get room(): StoreRoom {
    return { used: this.#bytes + this.#logs.used, size: this.#mostBytes };
  }

  stored(held: HeldRow): readonly HeldRow[] {
    const charge = chargeOf(held);
    this.#bytes += charge - held.charge;
    held.charge = charge;
    return [];
  }

  deleted(held: HeldRow): void {
    this.#bytes -= held.charge;
  }
}

/** The bounds of every other kind. */
export class EndedBounds implements RowBounds {
  readonly #ended = new EntryList<HeldRow>();
  readonly #most: number;
  readonly #mostBytes: number;
  #bytes = 0;

  constructor(most: number, mostBytes: number) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

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

export const freeOf = ({ used, size }: StoreRoom): number => size - used;

function chargeOf({ value }: Pick<Row, 'value'>): number {
  if ('outcome' in value) return Math.max(LEAST_BYTES, Buffer.byteLength(value.outcome));
  let bytes = Buffer.byteLength(value.body);
  for (const name in value.fields) bytes += Buffer.byteLength(name) + Buffer.byteLength(value.fields[name] ?? '');
  return Math.max(LEAST_BYTES, bytes);
}
