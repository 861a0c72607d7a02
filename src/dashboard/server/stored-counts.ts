/**
 * While a page is open: how many tasks have not ended, and how many sessions are in the store and live at no instance.
 * The store counts its records without reading them, and each instance knows how many sessions it has live. Only when
 * the difference changes, and once a minute, are the records read, to tell hibernated, released and orphaned ones
 * apart.
 */
import { summary } from '../../session/record/session-summary.ts';
import type { StoreCounts } from '../wire.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import type { SessionRows } from './session-rows.ts';

const COUNT_MS = 5_000;
const SCAN_MS = 60_000;

export class StoredCounts {
  readonly #parts: DashboardParts;
  readonly #rows: SessionRows;
  #counts: StoreCounts | undefined;
  #tasks: number | undefined;
  #dueAt = -Infinity;
  #scanAt = -Infinity;
  #isCounting = false;

  constructor(parts: DashboardParts, rows: SessionRows) {
    this.#parts = parts;
    this.#rows = rows;
  }

  get counts(): StoreCounts | undefined {
    return this.#counts;
  }

  /** Tasks that have not ended. */
  get tasks(): number | undefined {
    return this.#tasks;
  }

  /** Counts, if it is time. `live`: sessions that are live at all instances; `undefined`: one does not say. */
  look(live: number | undefined): void {
    const { options, health } = this.#parts;
    if (this.#isCounting || options.timeProvider.monotonic() < this.#dueAt || health().store === 'away') return;
    this.#isCounting = true;
    this.#count(live)
      .catch((err: unknown) => {
        options.logger.debug({ err }, 'The dashboard cannot count the sessions in the store');
      })
      .finally(() => {
        this.#isCounting = false;
        this.#dueAt = options.timeProvider.monotonic() + COUNT_MS;
      });
  }

  clear(): void {
    this.#counts = this.#tasks = undefined;
    this.#dueAt = this.#scanAt = -Infinity;
  }

  async #count(live: number | undefined): Promise<void> {
    const { store, options, tasks } = this.#parts;
    this.#tasks = tasks && (await store.tasks.count());
    const stored = live === undefined ? undefined : Math.max(0, (await store.sessions.count()) - live);
    const now = options.timeProvider.monotonic();
    if (stored === 0) this.#counts = { at: options.timeProvider.now(), ...NONE };
    else if (stored === undefined || stored !== this.#counts?.stored || now >= this.#scanAt) {
      this.#scanAt = now + SCAN_MS;
      this.#counts = await this.#scanned(stored);
    }
  }

  async #scanned(stored: number | undefined): Promise<StoreCounts | undefined> {
    const at = this.#parts.options.timeProvider.now();
    const counted = { live: 0, hibernated: 0, released: 0, orphaned: 0 };
    const alive = await this.#parts.instance.living();
    const isAll = await this.#rows.scan((records) => {
      for (const record of records) counted[summary(record, alive).status] += 1;
    });
    const { live: _, ...counts } = counted;
    if (isAll) return { at, stored: stored ?? counts.hibernated + counts.released + counts.orphaned, ...counts };
    // There are too many to read.
    return stored === undefined ? undefined : { at, stored };
  }
}

const NONE = { stored: 0, hibernated: 0, released: 0, orphaned: 0 };
