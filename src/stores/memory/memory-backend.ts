/** Rows and logs in this process. Every method answers at once, so each is one step. */
import { BoundedMap } from '../../base/bounded-map.ts';
import { monotonicMs } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';
import {
  type Backend,
  type DuePlace,
  type Entry,
  isRowWrite,
  type LogWrite,
  type Row,
  type RowWrite,
  type Write,
} from '../kernel/backend.ts';
import type { Writes } from '../kernel/turn-writes.ts';
import type { Kind } from '../store.ts';
import { EventBudget } from './event-budget.ts';
import { HeldRow } from './held-row.ts';
import { MemoryLog } from './memory-log.ts';
import { RowOrder } from './row-order.ts';

interface Table {
  readonly rows: Map<string, HeldRow>;
  /** Rows with a fence. */
  readonly byId: RowOrder;
  readonly byWake: RowOrder;
  /**
   * Ended rows, of which the oldest are forgotten. A kind that forgets nothing bounds neither: `src/kept/` takes no more
   * for its users than there is room for.
   */
  readonly ended: BoundedMap<string, HeldRow> | undefined;
  readonly logs: EventBudget;
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

const NO_ENTRIES: readonly Entry[] = Object.freeze([]);

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
  log(kind: Kind, id: string): readonly Entry[] {
    return this.#table(kind).rows.get(id)?.log?.entries ?? NO_ENTRIES;
  }

  list(kind: Kind, after: string, before: string, limit: number): readonly Row[] {
    return this.#table(kind).byId.page([0, after], ({ id }) => id < before, limit);
  }

  due(kind: Kind, after: DuePlace, until: number, limit: number): readonly Row[] {
    return this.#table(kind).byWake.page(after, ({ wakeAt }) => wakeAt !== null && wakeAt <= until, limit);
  }

  count(kind: Kind, after: string, before: string): number {
    return this.list(kind, after, before, Infinity).length;
  }

  #put({ kind, id, was, row, clear }: RowWrite): boolean {
    const table = this.#table(kind);
    const held = table.rows.get(id);
    if ((held?.version ?? 0) !== was) return false;
    if (clear || row === null) held?.log?.clear();
    if (row !== null) this.#set(table, held ?? this.#added(table, row), row);
    else if (held !== undefined) this.#delete(table, held);
    return true;
  }

  #added({ rows }: Table, row: Row): HeldRow {
    const held = new HeldRow(row);
    rows.set(row.id, held);
    return held;
  }

  #set(table: Table, held: HeldRow, row: Row): void {
    const { wakeAt, fence } = held;
    if (fence === null) table.ended?.delete(held.id);
    const moves = wakeAt !== row.wakeAt;
    if (moves && wakeAt !== null) table.byWake.delete(held);
    if (fence !== null && row.fence === null) table.byId.delete(held);
    held.set(row);
    if (moves && row.wakeAt !== null) table.byWake.add(held);
    if (fence === null && row.fence !== null) table.byId.add(held);
    if (row.fence === null) table.ended?.set(held.id, held);
  }

  #delete(table: Table, held: HeldRow): void {
    held.log?.clear();
    table.rows.delete(held.id);
    if (held.fence !== null) table.byId.delete(held);
    else table.ended?.delete(held.id);
    if (held.wakeAt !== null) table.byWake.delete(held);
  }

  #append({ kind, id, fence, entries, cut, share = '' }: LogWrite): boolean {
    const { rows, logs } = this.#table(kind);
    const held = rows.get(id);
    if (held === undefined || held.fence !== fence) return false;
    const [first] = entries;
    if (first !== undefined && first.no <= (held.log?.last?.no ?? 0)) return false;
    for (const entry of entries) (held.log ?? new MemoryLog(held, logs, share)).add(entry, kind.log);
    if (cut > 0) held.log?.cut(cut);
    return true;
  }

  #table(kind: Kind): Table {
    const known = this.#tables.get(kind.name);
    if (known !== undefined) return known;
    const { tombstones, eventLogBytes } = this.#options;
    const isLasting = kind.evicts === false;
    const logs = isLasting ? new EventBudget(Infinity) : this.#options.budget;
    const bytes = { most: eventLogBytes, of: outcomeBytes };
    const ended = isLasting
      ? undefined
      : new BoundedMap<string, HeldRow>(tombstones, bytes, (oldest) => this.#delete(made, oldest));
    const made: Table = { rows: new Map(), byId: new RowOrder('id'), byWake: new RowOrder('wake'), ended, logs };
    this.#tables.set(kind.name, made);
    return made;
  }
}

function outcomeBytes({ value }: HeldRow): number {
  const length = 'outcome' in value ? value.outcome.length : 0;
  return length > SHORT ? length : 0;
}
