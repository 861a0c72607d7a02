/**
 * The logs of one deployment in the order of their last writes, and the bytes that all deployments of one store object
 * hold together. Past the limit the log that was written longest ago gives its oldest events first. Everything is O(1)
 * per event: an append links one log to the end of a list, and each event is dropped once.
 */
import type { EventRetention } from '../../types.ts';
import { EVENT_OVERHEAD_BYTES, LOG_OVERHEAD_BYTES, type SessionLog } from './session-log.ts';

/** Shared by the deployments of one store object. */
export class EventBudget {
  readonly limit: number;
  used = 0;
  /** Numbers the appends, so that the logs of several deployments can be compared. */
  writes = 0;
  readonly logbooks = new Set<Logbook>();

  constructor(limit: number) {
    this.limit = limit;
  }

  enforce(): void {
    while (this.used > this.limit) {
      let victim: SessionLog | undefined;
      for (const { oldest } of this.logbooks) {
        if (oldest !== undefined && (victim === undefined || oldest.written < victim.written)) victim = oldest;
      }
      if (victim === undefined) return;
      while (this.used > this.limit && victim.size > 0) victim.dropOldest();
    }
  }
}

export class Logbook {
  readonly retention: EventRetention;
  readonly #budget: EventBudget;
  /** Only logs that hold events are linked. */
  oldest: SessionLog | undefined = undefined;
  #newest: SessionLog | undefined = undefined;

  constructor(retention: EventRetention, budget: EventBudget) {
    this.retention = retention;
    this.#budget = budget;
    budget.logbooks.add(this);
  }

  added(bytes: number): void {
    this.#budget.used += bytes + EVENT_OVERHEAD_BYTES;
  }

  dropped(bytes: number, events = 1): void {
    this.#budget.used -= bytes + events * EVENT_OVERHEAD_BYTES;
  }

  /** After an append: the log is the newest, and retention holds again. */
  wrote(log: SessionLog, now: number): void {
    log.written = ++this.#budget.writes;
    log.writtenAt = now;
    this.#makeNewest(log);
    this.retain(log, now);
    if (this.#budget.used > this.#budget.limit) this.#budget.enforce();
  }

  /** Drops what is too old or too much in one log. */
  retain(log: SessionLog, now: number): void {
    const { ttlMs, events, bytes } = this.retention;
    while (log.size > events || log.bytes > bytes || log.oldestAt() + ttlMs <= now) log.dropOldest();
  }

  /**
   * Drops logs whose newest event is too old. A log written since keeps its older events until its next append, or until
   * its newest is too old as well: at most twice `ttlMs`, and a replay never shows them.
   */
  trim(now: number): void {
    for (;;) {
      const log = this.oldest;
      if (log === undefined || log.writtenAt + this.retention.ttlMs > now) return;
      this.retain(log, now);
    }
  }

  unlink(log: SessionLog): void {
    if (log.older === undefined && this.oldest !== log) return;
    this.#budget.used -= LOG_OVERHEAD_BYTES;
    if (log.older === undefined) this.oldest = log.newer;
    else log.older.newer = log.newer;
    if (log.newer === undefined) this.#newest = log.older;
    else log.newer.older = log.older;
    log.older = undefined;
    log.newer = undefined;
  }

  #makeNewest(log: SessionLog): void {
    if (this.#newest === log || log.size === 0) return;
    this.unlink(log);
    this.#budget.used += LOG_OVERHEAD_BYTES;
    log.older = this.#newest;
    if (this.#newest === undefined) this.oldest = log;
    else this.#newest.newer = log;
    this.#newest = log;
  }
}
