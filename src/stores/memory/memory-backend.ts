/** Rows and logs in this process. Every method answers at once, so each is one step. */
import { BoundedMap } from '../../base/bounded-map.ts';
import { monotonicMs } from '../../base/system.ts';
import type { TimeProvider } from '../../base/types.ts';
import {
  type Backend,
  type DuePlace,
  type LogEntry,
  isRowWrite,
  type LogWrite,
  type Row,
  type RowWrite,
  type Write,
} from '../kernel/backend.ts';
import { byBytes, rowBytes } from '../kernel/counted-bytes.ts';
import type { Writes } from '../kernel/turn-writes.ts';
import type { KeptByAll, Kind } from '../store.ts';
import { EventBudget } from './event-budget.ts';
import { MemoryLog } from './memory-log.ts';
import { RowOrder, START } from './row-order.ts';
import { ShareBytes } from './share-bytes.ts';

interface Table {
  readonly rows: Map<string, Row>;
  /** Rows with a fence. */
  readonly byId: RowOrder;
  readonly byWake: RowOrder;
  /** Rows of a counted kind with a fence, by their share. */
  readonly byShare: Map<string, RowOrder>;
  /**
   * Ended rows, of which the oldest are forgotten. A kind that forgets nothing bounds neither:
   * `stores/quota/kept-limits.ts` takes no more for its users than there is room for.
   */
  readonly ended: BoundedMap<string, Row> | undefined;
  /** Those that are not empty. */
  readonly logs: Map<string, MemoryLog>;
  readonly budget: EventBudget;
  readonly kept: ShareBytes;
}

export interface MemoryBackendOptions {
  readonly time: TimeProvider;
  readonly budget: EventBudget;
  /** Ended records of each kind, and bytes of their outcomes. */
  readonly tombstones: number;
  readonly eventLogBytes: number;
}

/** Only longer outcomes count. */
const SHORT = 64;

const NO_ENTRIES: readonly LogEntry[] = Object.freeze([]);

export class MemoryBackend implements Backend {
  readonly where = 'the memory of this process';
  readonly #options: MemoryBackendOptions;
  readonly #tables = new Map<string, Table>();
  /** The difference between the two clocks when the store was opened. */
  readonly #origin: number;

  constructor(options: MemoryBackendOptions) {
    this.#options = options;
    this.#origin = options.time.now() - monotonicMs(options.time);
  }

  /** A date that is corrected while the process runs ends no record in use, and revives none. */
  now(): number {
    return this.#origin + monotonicMs(this.#options.time);
  }

  write(writes: readonly Write[]): readonly boolean[] {
    return writes.map((write) => this.#write(write));
  }

  /** Writes for a kernel that waits for nothing. */
  readonly atOnce: Writes = { write: (write) => this.#write(write), settled: () => undefined };

  #write(write: Write): boolean {
    return isRowWrite(write) ? this.#put(write) : this.#append(write);
  }

  read(kind: Kind, id: string): Row | undefined {
    return this.#table(kind).rows.get(id);
  }

  /** With all events. */
  log(kind: Kind, id: string): readonly LogEntry[] {
    return this.#table(kind).logs.get(id)?.entries ?? NO_ENTRIES;
  }

  list(kind: Kind, after: string, before: string, limit: number): readonly Row[] {
    return this.#table(kind).byId.page([0, after], ({ id }) => id < before, limit);
  }

  due(kind: Kind, after: DuePlace, until: number, limit: number): readonly Row[] {
    return this.#table(kind).byWake.page(
      after,
      ({ wakeAt }) => wakeAt !== null && wakeAt <= until,
      limit,
    );
  }

  count(kind: Kind, after: string, before: string): number {
    return this.#table(kind).byId.count([0, after], ({ id }) => id < before);
  }

  countOf(kind: Kind, share: string): number {
    return this.#table(kind).byShare.get(share)?.size ?? 0;
  }

  oldest(kind: Kind, share: string, most: number): readonly string[] {
    const rows = this.#table(kind)
      .byShare.get(share)
      ?.page(START, () => true, most);
    return rows?.map(({ id }) => id) ?? [];
  }

  /** Looks at each row: only a user who is forgotten is asked about. */
  endedOf(kind: Kind, share: string): readonly string[] {
    const rows = [...this.#table(kind).rows.values()];
    return rows.filter((row) => row.fence === null && row.share === share).map(({ id }) => id);
  }

  kept(kinds: readonly Kind[], share: string): readonly number[] {
    return kinds.map((kind) => this.#table(kind).kept.of(share));
  }

  /** What all shares count together. */
  keptBytes(kinds: readonly Kind[]): number {
    return kinds.reduce((sum, kind) => sum + this.#table(kind).kept.sum, 0);
  }

  keptByAll(kinds: readonly Kind[], most: number): KeptByAll {
    const all = new ShareBytes();
    for (const kind of kinds)
      for (const [share, bytes] of this.#table(kind).kept) all.add(share, bytes);
    const shares = Array.from(all, ([share, bytes]) => ({ share, bytes })).sort(byBytes);
    return { bytes: all.sum, shares: shares.slice(0, most) };
  }

  #put({ kind, id, was, row, clear, share, more }: RowWrite): boolean {
    const table = this.#table(kind);
    const held = table.rows.get(id);
    if ((held?.version ?? 0) !== was) return false;
    if (clear) table.logs.get(id)?.clear();
    if (held !== undefined) this.#takeOut(table, held);
    if (row !== null) this.#putIn(table, row);
    else table.rows.delete(id);
    if (share !== null) this.#count(table.byShare, share, held, row);
    table.kept.add(share, more);
    return true;
  }

  #count(byShare: Table['byShare'], share: string, held: Row | undefined, row: Row | null): void {
    const rows = byShare.get(share) ?? new RowOrder('stamp');
    if (isCounted(held)) rows.delete(held);
    if (isCounted(row)) rows.add(row);
    if (rows.size > 0) byShare.set(share, rows);
    else byShare.delete(share);
  }

  #putIn({ rows, ended, byId, byWake }: Table, row: Row): void {
    rows.set(row.id, row);
    if (row.wakeAt !== null) byWake.add(row);
    if (row.fence !== null) byId.add(row);
    else ended?.set(row.id, row);
  }

  #takeOut({ ended, byId, byWake }: Table, row: Row): void {
    if (row.wakeAt !== null) byWake.delete(row);
    if (row.fence !== null) byId.delete(row);
    else ended?.delete(row.id);
  }

  #append({ kind, id, fence, entries, cut, share, bytes }: LogWrite): boolean {
    const { rows, logs, budget, kept } = this.#table(kind);
    if (rows.get(id)?.fence !== fence) return false;
    const [first] = entries;
    if (first !== undefined && first.no <= (logs.get(id)?.last?.no ?? 0)) return false;
    const place = { logs, id, budget, kept, share };
    kept.add(share, bytes);
    for (const entry of entries) (logs.get(id) ?? new MemoryLog(place)).add(entry, kind.log);
    if (cut > 0) logs.get(id)?.cut(cut);
    return true;
  }

  #table(kind: Kind): Table {
    const known = this.#tables.get(kind.name);
    if (known !== undefined) return known;
    const { tombstones, eventLogBytes } = this.#options;
    const isLasting = kind.evicts === false;
    const budget = isLasting ? new EventBudget(Infinity) : this.#options.budget;
    const bytes = { most: eventLogBytes, of: outcomeBytes };
    const ended = isLasting
      ? undefined
      : new BoundedMap<string, Row>(tombstones, bytes, (oldest) => {
          orders.byWake.delete(oldest);
          rows.delete(oldest.id);
          if (kind.counted === true) kept.add(oldest.share, -rowBytes(oldest));
        });
    const rows = new Map<string, Row>();
    const kept = new ShareBytes();
    const orders = { byId: new RowOrder('id'), byWake: new RowOrder('wake') };
    const made: Table = {
      rows,
      ...orders,
      byShare: new Map(),
      ended,
      logs: new Map(),
      budget,
      kept,
    };
    this.#tables.set(kind.name, made);
    return made;
  }
}

const isCounted = (row: Row | null | undefined): row is Row =>
  typeof row?.fence === 'string' && row.share !== null;

function outcomeBytes({ value }: Row): number {
  const length = 'outcome' in value ? value.outcome.length : 0;
  return length > SHORT ? length : 0;
}
