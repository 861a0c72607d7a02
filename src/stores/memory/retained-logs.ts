/**
 * The logs of one deployment in the order of their last writes, and the bytes that all deployments of one store object
 * use. Above the limit, the log with the oldest last write drops its oldest events first. Every event costs O(1): an
 * append moves one log to the end of a linked list, and each event is dropped once.
 */
import type { EventRetention } from '../../types.ts';
import { EVENT_OVERHEAD_BYTES, LOG_OVERHEAD_BYTES, type RecordLog } from './record-log.ts';

/** Shared by the deployments of one store object. */
export class EventBudget {
  readonly limit: number;
  used = 0;
  /** Numbers the appends, to compare the logs of several deployments. */
  writes = 0;
  readonly deployments = new Set<RetainedLogs>();

  constructor(limit: number) {
    this.limit = limit;
  }

  enforce(): void {
    while (this.used > this.limit) {
      let victim: RecordLog | undefined;
      for (const { oldest } of this.deployments) {
        if (oldest !== undefined && (victim === undefined || oldest.written < victim.written)) victim = oldest;
      }
      if (victim === undefined) return;
      while (this.used > this.limit && victim.size > 0) victim.dropOldest();
    }
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

  added(bytes: number): void {
    this.#budget.used += bytes + EVENT_OVERHEAD_BYTES;
  }

  dropped(bytes: number, events = 1): void {
    this.#budget.used -= bytes + events * EVENT_OVERHEAD_BYTES;
  }

  /** Call it after each append. It makes the log the newest and applies the retention and the byte limit. */
  wrote(log: RecordLog, now: number): void {
    log.written = ++this.#budget.writes;
    log.writtenAt = now;
    this.#makeNewest(log);
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
    this.#budget.used -= LOG_OVERHEAD_BYTES;
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
    this.#budget.used += LOG_OVERHEAD_BYTES;
    log.older = this.#newest;
    if (this.#newest === undefined) this.oldest = log;
    else this.#newest.newer = log;
    this.#newest = log;
  }
}
