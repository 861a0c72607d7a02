/**
 * The logs of one deployment in the order of their last writes, and the bytes that all deployments of one store object
 * use. Above the limit, the user with the most loses its oldest events if it holds more than its part, so that the long
 * answers of one user do not drop those of others; else the log with the oldest last write drops its oldest events.
 * Every event costs O(1): an append moves one log to the end of two linked lists, and each event is dropped once.
 */
import { EntryList } from '../../base/entry-list.ts';
import type { EventRetention } from '../../types.ts';
import { EVENT_OVERHEAD_BYTES, LOG_OVERHEAD_BYTES, type RecordLog } from './record-log.ts';

/** The part of the limit above which a user loses its own events first. At most four users are above it. */
const PART = 1 / 4;

/** What the logs of one user use. */
interface LogShare {
  bytes: number;
  /** Those with events, in the order of their last writes. */
  readonly logs: EntryList<RecordLog>;
}

/** Shared by the deployments of one store object. */
export class EventBudget {
  readonly limit: number;
  /** Numbers the appends, to compare the logs of several deployments. */
  writes = 0;
  readonly deployments = new Set<RetainedLogs>();
  readonly #shares = new Map<string, LogShare>();
  readonly #large = new Set<LogShare>();
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** A log has grown or shrunk by so many bytes. */
  count({ share: user }: RecordLog, bytes: number): void {
    this.#used += bytes;
    const share = this.#shareOf(user);
    share.bytes += bytes;
    if (share.bytes > this.limit * PART) this.#large.add(share);
    else this.#large.delete(share);
    if (share.bytes === 0) this.#shares.delete(user);
  }

  /** The log was written last. */
  makeNewest(log: RecordLog): void {
    this.#shareOf(log.share).logs.add(log.ofShare);
  }

  unlink(log: RecordLog): void {
    this.#shareOf(log.share).logs.delete(log.ofShare);
  }

  #shareOf(user: string): LogShare {
    let share = this.#shares.get(user);
    if (share === undefined) this.#shares.set(user, (share = { bytes: 0, logs: new EntryList() }));
    return share;
  }

  enforce(): void {
    while (this.#used > this.limit) {
      const victim = this.#largest()?.logs.oldest ?? this.#oldest();
      if (victim === undefined) return;
      victim.dropOldest();
    }
  }

  #largest(): LogShare | undefined {
    let largest: LogShare | undefined;
    for (const share of this.#large) if (largest === undefined || share.bytes > largest.bytes) largest = share;
    return largest;
  }

  #oldest(): RecordLog | undefined {
    let victim: RecordLog | undefined;
    for (const { oldest } of this.deployments)
      if (oldest !== undefined && (victim === undefined || oldest.written < victim.written)) victim = oldest;
    return victim;
  }
}

export class RetainedLogs {
  readonly retention: EventRetention;
  readonly #budget: EventBudget;
  /** Only logs with events are in the list. */
  oldest: RecordLog | undefined = undefined;
  #newest: RecordLog | undefined = undefined;

  constructor(retention: EventRetention, budget: EventBudget) {
    this.retention = retention;
    this.#budget = budget;
    budget.deployments.add(this);
  }

  added(log: RecordLog, bytes: number): void {
    this.#budget.count(log, bytes + EVENT_OVERHEAD_BYTES);
  }

  dropped(log: RecordLog, bytes: number, events = 1): void {
    this.#budget.count(log, -bytes - events * EVENT_OVERHEAD_BYTES);
  }

  /** Call it after each append. It makes the log the newest and applies the retention and the byte limit. */
  wrote(log: RecordLog, now: number): void {
    log.written = ++this.#budget.writes;
    log.writtenAt = now;
    this.#makeNewest(log);
    if (log.size > 0) this.#budget.makeNewest(log);
    this.retain(log, now);
    if (this.#budget.used > this.#budget.limit) this.#budget.enforce();
  }

  /** Drops the events of one log that are too old or too many. */
  retain(log: RecordLog, now: number): void {
    const { ttlMs, events, bytes } = this.retention;
    while (log.size > events || log.laterBytes >= bytes || log.oldestAt() + ttlMs <= now) log.dropOldest();
  }

  /**
   * Drops logs whose newest event is too old. A log with newer events keeps its old ones until its next append, or
   * until its newest event is too old: at most twice `ttlMs`. A replay never returns old events.
   */
  trim(now: number): void {
    for (;;) {
      const log = this.oldest;
      if (log === undefined || log.writtenAt + this.retention.ttlMs > now) return;
      this.retain(log, now);
    }
  }

  unlink(log: RecordLog): void {
    if (log.older === undefined && this.oldest !== log) return;
    this.#budget.unlink(log);
    this.#budget.count(log, -LOG_OVERHEAD_BYTES);
    if (log.older === undefined) this.oldest = log.newer;
    else log.older.newer = log.newer;
    if (log.newer === undefined) this.#newest = log.older;
    else log.newer.older = log.older;
    log.older = undefined;
    log.newer = undefined;
  }

  #makeNewest(log: RecordLog): void {
    if (this.#newest === log || log.size === 0) return;
    this.unlink(log);
    this.#budget.count(log, LOG_OVERHEAD_BYTES);
    log.older = this.#newest;
    if (this.#newest === undefined) this.oldest = log;
    else this.#newest.newer = log;
    this.#newest = log;
  }
}
