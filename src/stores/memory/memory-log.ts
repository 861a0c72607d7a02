/** The log of one record in this process: entries in their order. Retention and the budget drop the oldest ones. */
import { type ListEntry, entryOf } from '../../base/entry-list.ts';
import type { EventRetention } from '../../base/types.ts';
import type { LogEntry } from '../kernel/backend.ts';
import { entriesBytes, entryBytes } from '../kernel/counted-bytes.ts';
import { mostEntries } from '../kernel/log-state.ts';
import type { BudgetedLog, EventBudget, LogShare } from './event-budget.ts';
import type { ShareBytes } from './share-bytes.ts';

/**
 * Charged to `eventLogBytes` besides the data, for each event and for each entry without events. Measured: 115 bytes of
 * heap for each event of a long log (half an entry, half a stream), and 990 for a log with a single event.
 */
export const EVENT_OVERHEAD_BYTES = 130;
export const LOG_OVERHEAD_BYTES = 950;

/** Where a log is kept while it is not empty, and whose share of which bytes it counts in. */
interface MemoryLogOptions {
  readonly logs: Map<string, MemoryLog>;
  readonly id: string;
  readonly budget: EventBudget;
  readonly kept: ShareBytes;
  /** `null`: all logs without one have one share of the budget. */
  readonly share: string | null;
}

export class MemoryLog implements BudgetedLog {
  readonly share: LogShare;
  readonly ofAll: ListEntry<BudgetedLog> = entryOf<BudgetedLog>(this);
  readonly ofShare: ListEntry<BudgetedLog> = entryOf<BudgetedLog>(this);
  readonly #logs: Map<string, MemoryLog>;
  readonly #id: string;
  readonly #budget: EventBudget;
  readonly #kept: ShareBytes;
  readonly #countedIn: string | null;
  #entries: LogEntry[] = [];
  #events = 0;
  #bytes = 0;

  constructor({ logs, id, budget, kept, share }: MemoryLogOptions) {
    this.#logs = logs;
    this.#id = id;
    this.#budget = budget;
    this.#kept = kept;
    this.#countedIn = share;
    this.share = budget.shareOf(share ?? '');
    logs.set(id, this);
    budget.count(this, LOG_OVERHEAD_BYTES);
  }

  /** No reader keeps it beyond its step. */
  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  get last(): LogEntry | undefined {
    return this.#entries.at(-1);
  }

  add(entry: LogEntry, retention: EventRetention | false): void {
    // Most logs have one entry, and a list that grows from none has room for 17.
    if (this.#entries.length === 0) this.#entries = [entry];
    else this.#entries.push(entry);
    this.#events += entry.head[1];
    this.#bytes += entry.head[2];
    this.#budget.wrote(this, chargeOf(entry));
    if (retention !== false) this.#retain(retention, entry.head[3]);
    this.#budget.enforce();
  }

  dropOldest(): void {
    const oldest = this.#entries.shift();
    if (oldest === undefined) return;
    this.#events -= oldest.head[1];
    this.#bytes -= oldest.head[2];
    this.#budget.count(this, -chargeOf(oldest));
    this.#kept.add(this.#countedIn, -entryBytes(oldest));
    if (this.#entries.length === 0) this.#release();
  }

  cut(upTo: number): void {
    while ((this.#entries[0]?.no ?? Infinity) <= upTo) this.dropOldest();
  }

  /** Drops all entries at once. */
  clear(): void {
    this.#kept.add(this.#countedIn, -entriesBytes(this.#entries));
    this.#budget.count(this, -this.#entries.reduce((sum, entry) => sum + chargeOf(entry), 0));
    this.#release();
  }

  /** An entry is dropped once none of its events is kept. */
  #retain({ maxAgeMs, events, bytes }: EventRetention, now: number): void {
    for (;;) {
      const head = this.#entries[0]?.head;
      if (head === undefined) return;
      const isKept =
        this.#events - head[1] < events &&
        this.#bytes - head[2] < bytes &&
        head[3] + maxAgeMs > now;
      if (isKept && this.#entries.length <= mostEntries(events)) return;
      this.dropOldest();
    }
  }

  #release(): void {
    this.#budget.remove(this);
    this.#budget.count(this, -LOG_OVERHEAD_BYTES);
    this.#logs.delete(this.#id);
  }
}

const chargeOf = ({ head }: LogEntry): number =>
  head[2] + (head[1] === 0 ? 1 : head[1]) * EVENT_OVERHEAD_BYTES;
