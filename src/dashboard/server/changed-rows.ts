/**
 * Which sessions of this instance changed, in order, while pages that list sessions are open. Each reader has a
 * position, and gets the rows that changed after it. The newest `MOST` sessions are kept: a reader that is behind
 * misses rows, which its next scan has.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { sessionHash } from '../../base/shown.ts';
import type { ChangedRow, LeftRow } from '../wire-pages.ts';
import type { Collector } from './collector.ts';
import type { SessionRows } from './session-rows.ts';

const MOST = 5_000;
/** Rows for one reader at one time. */
const ROWS_AT_ONCE = 1_000;

type Left = Omit<LeftRow, 'hash'>;

interface Change {
  readonly n: number;
  /** `undefined`: it is live here, unless it has left since. */
  readonly left: Left | undefined;
}

export class ChangedRows {
  readonly #collector: Collector;
  readonly #rows: SessionRows;
  readonly #changes = new BoundedMap<string, Change>(MOST);
  readonly #order: string[] = [];
  #now = 0;

  constructor(collector: Collector, rows: SessionRows) {
    this.#collector = collector;
    this.#rows = rows;
  }

  get now(): number {
    return this.#now;
  }

  /** Something reads them from now on. */
  use(): void {
    this.#collector.watchSessions(this);
  }

  rest(): void {
    this.#collector.watchSessions(undefined);
    this.#changes.clear();
    this.#order.length = 0;
  }

  changed(sessionId: string): void {
    this.#note(sessionId, undefined);
  }

  left(sessionId: string, status: Left['status'], leftAt: number): void {
    this.#note(sessionId, { status, leftAt });
  }

  since(position: number): { readonly now: number; readonly rows: readonly ChangedRow[] } {
    const rows: ChangedRow[] = [];
    const oldest = this.#now - this.#order.length;
    for (let at = Math.max(position, oldest) + 1; at <= this.#now; at++) {
      const id = this.#order[at - oldest - 1] ?? '';
      // It changed again later.
      if (this.#changes.get(id)?.n !== at) continue;
      const row = this.#row(id);
      if (row !== undefined) rows.push(row);
      if (rows.length === ROWS_AT_ONCE) return { now: at, rows };
    }
    return { now: this.#now, rows };
  }

  /** Rows of the sessions that are live here, each as it is when it is read. */
  *all(): Generator<ChangedRow> {
    for (const session of this.#rows.liveSessions()) yield this.#rows.liveRow(session);
  }

  #row(id: string): ChangedRow | undefined {
    const left = this.#changes.get(id)?.left;
    return left === undefined ? this.#rows.live(id) : { hash: sessionHash(id), ...left };
  }

  #note(id: string, left: Left | undefined): void {
    this.#now += 1;
    this.#changes.set(id, { n: this.#now, left });
    this.#order.push(id);
    if (this.#order.length > MOST * 2) this.#order.splice(0, MOST);
  }
}
