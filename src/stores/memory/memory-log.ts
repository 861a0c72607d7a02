/** The log of one record in this process: entries in their order. Retention and the budget drop the oldest ones. */
import { entryOf } from '../../base/entry-list.ts';
import type { EventRetention } from '../../types.ts';
import type { Entry } from '../kernel/backend.ts';
import type { EventBudget } from './event-budget.ts';

/**
 * Charged to `eventLogBytes` besides the data, for each event and for each entry without events. Measured: 115 bytes of
 * heap for each event of a long log (half an entry, half a stream), and 990 for a log with a single event.
 */
export const EVENT_OVERHEAD_BYTES = 130;
export const LOG_OVERHEAD_BYTES = 950;

/** Entries without events, such as marks, are not counted by retention. */
const mostEntries = (events: number): number => 4 * events + 256;

/** Never written. */
const NO_ENTRIES: Entry[] = [];

/** Refers to the log. An empty log removes this reference. */
interface LogHolder {
  log: MemoryLog | undefined;
}

export class MemoryLog {
  /** The user whose share of the bytes it counts in. */
  readonly share: string;
  /** Its places in the order of last writes: among all logs, and among those of that user. */
  readonly ofAll = entryOf<MemoryLog>(this);
  readonly ofShare = entryOf<MemoryLog>(this);
  #entries: Entry[] = NO_ENTRIES;
  readonly #holder: LogHolder;
  readonly #budget: EventBudget;
  #events = 0;
  #bytes = 0;

  constructor(holder: LogHolder, budget: EventBudget, share: string) {
    this.#holder = holder;
    this.#budget = budget;
    this.share = share;
    holder.log = this;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  add(entry: Entry, retention: EventRetention | false): void {
    if (this.entries.length > 0) this.#entries.push(entry);
    else {
      // Most logs have one entry, and an array that grows from none has room for 17.
      this.#entries = [entry];
      this.#budget.count(this, LOG_OVERHEAD_BYTES);
    }
    this.#events += entry.head[1];
    this.#bytes += entry.head[2];
    this.#budget.count(this, chargeOf(entry));
    this.#budget.wrote(this);
    if (retention !== false) this.#retain(retention, entry.head[3]);
    this.#budget.enforce();
  }

  dropOldest(): void {
    const oldest = this.#entries.shift();
    if (oldest === undefined) return;
    this.#events -= oldest.head[1];
    this.#bytes -= oldest.head[2];
    this.#budget.count(this, -chargeOf(oldest));
    if (this.entries.length === 0) this.#release();
  }

  cut(upTo: number): void {
    while ((this.entries[0]?.no ?? Infinity) <= upTo) this.dropOldest();
  }

  /** Drops all entries at once. */
  clear(): void {
    if (this.entries.length === 0) return;
    this.#budget.count(this, -this.entries.reduce((sum, entry) => sum + chargeOf(entry), 0));
    this.#entries = NO_ENTRIES;
    this.#release();
  }

  /** An entry is dropped once none of its events is kept. */
  #retain({ ttlMs, events, bytes }: EventRetention, now: number): void {
    const entries = this.#entries;
    for (;;) {
      const [oldest] = entries;
      if (oldest === undefined) return;
      const [, count, size, at] = oldest.head;
      const isKept = this.#events - count < events && this.#bytes - size < bytes && at + ttlMs > now;
      if (isKept && entries.length <= mostEntries(events)) return;
      this.dropOldest();
    }
  }

  #release(): void {
    this.#budget.remove(this);
    this.#budget.count(this, -LOG_OVERHEAD_BYTES);
    this.#holder.log = undefined;
  }
}

const chargeOf = ({ head: [, count, bytes] }: Entry): number => bytes + Math.max(1, count) * EVENT_OVERHEAD_BYTES;
