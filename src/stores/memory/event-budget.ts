/**
 * The bytes of all logs of one store object. Above the limit, the user with the most loses its oldest events if it holds
 * more than its part, so that the long answers of one user do not drop those of others; else the log with the oldest
 * last write drops its oldest events. Every event costs O(1): an append moves one log to the end of two linked lists,
 * and each event is dropped once.
 */
import { type ListEntry, EntryList } from '../../base/entry-list.ts';

/** The part of the limit above which a user loses its own events first. At most four users are above it. */
const PART = 1 / 4;

/** A log, as its budget sees it. */
export interface BudgetedLog {
  /** What the logs of its user use. */
  readonly share: LogShare;
  /** Its places in the order of last writes: among all logs, and among those of that user. */
  readonly ofAll: ListEntry<BudgetedLog>;
  readonly ofShare: ListEntry<BudgetedLog>;
  dropOldest(): void;
}

/** What the logs of one user use. */
export interface LogShare {
  readonly user: string;
  bytes: number;
  readonly logs: EntryList<BudgetedLog>;
}

export class EventBudget {
  readonly limit: number;
  readonly #logs = new EntryList<BudgetedLog>();
  readonly #shares = new Map<string, LogShare>();
  readonly #large = new Set<LogShare>();
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  shareOf(user: string): LogShare {
    let share = this.#shares.get(user);
    if (share === undefined)
      this.#shares.set(user, (share = { user, bytes: 0, logs: new EntryList() }));
    return share;
  }

  /** A log has grown or shrunk by so many bytes. */
  count({ share }: BudgetedLog, bytes: number): void {
    this.#used += bytes;
    share.bytes += bytes;
    if (share.bytes > this.limit * PART) this.#large.add(share);
    else if (this.#large.size > 0) this.#large.delete(share);
    if (share.bytes === 0) this.#shares.delete(share.user);
  }

  /** The log was written last, and has grown by so many bytes. */
  wrote(log: BudgetedLog, bytes: number): void {
    this.count(log, bytes);
    this.#logs.add(log.ofAll);
    log.share.logs.add(log.ofShare);
  }

  /** The log is empty. */
  remove(log: BudgetedLog): void {
    this.#logs.delete(log.ofAll);
    log.share.logs.delete(log.ofShare);
  }

  enforce(): void {
    while (this.#used > this.limit) {
      const victim = this.#largest()?.logs.oldest ?? this.#logs.oldest;
      if (victim === undefined) return;
      victim.dropOldest();
    }
  }

  #largest(): LogShare | undefined {
    let largest: LogShare | undefined;
    for (const share of this.#large)
      if (largest === undefined || share.bytes > largest.bytes) largest = share;
    return largest;
  }
}
