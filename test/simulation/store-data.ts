/**
 * The rows and logs of one kind of records in the store of a world, in memory and at once, with what the checker asks
 * about them: every claim, every end, every event ever written. What rows mean is the kernel's matter, and faults come
 * between an instance and this (`sim-store.ts`). Rows and entries never change, so what holds them is copied.
 */
import {
  type LogEntry,
  isRowWrite,
  type LogWrite,
  type Row,
  type RowWrite,
} from '../../src/stores/kernel/backend.ts';
import type { DuePlace, Write } from '../../src/stores/kernel/backend.ts';
import { entriesBytes, rowBytes } from '../../src/stores/kernel/counted-bytes.ts';
import { LogState } from '../../src/stores/kernel/log-state.ts';
import { livingOf, recordOf } from '../../src/stores/kernel/row-value.ts';
import { type EndedRecord, isEnded, type Mark, type StoredRecord } from '../../src/stores/store.ts';

interface Held {
  readonly row: Row;
  readonly log: readonly LogEntry[];
}

type Value = StoredRecord | EndedRecord;

/** A put that took effect. `at`: by the store's clock. */
export interface Change {
  readonly kind: 'create' | 'claim' | 'release' | 'add' | 'save' | 'end';
  readonly at: number;
  readonly id: string;
  readonly before: Value | undefined;
  readonly value: Value;
}

export interface StoredEvent {
  readonly data: string;
  readonly at: number;
}

export class StoreData {
  /** Without what is saved or added. */
  readonly happened: Change[] = [];
  onChange: (change: Change) => void = () => undefined;
  onLogged: (id: string, process: string) => void = () => undefined;
  /** Session → stream → offset → event, of everything that was ever stored. */
  readonly everStored = new Map<string, Map<string, Map<number, StoredEvent>>>();
  /** Streams of calls, and which processes opened them. `requests`: as it was stored. */
  readonly opened: Array<{
    readonly id: string;
    readonly requests: string;
    readonly process: string;
  }> = [];
  readonly replays: Array<{
    readonly at: number;
    readonly id: string;
    readonly stream: string;
    readonly after: number;
  }> = [];
  readonly now: () => number;
  /** When a record was last written to. */
  readonly #writtenAt = new Map<string, number>();
  #held = new Map<string, Held>();

  constructor(now: () => number) {
    this.now = now;
  }

  // ——— what a backend does ———

  write(write: Write, process: string): boolean {
    return isRowWrite(write) ? this.#replace(write) : this.#append(write, process);
  }

  row(id: string): Row | undefined {
    return this.#held.get(id)?.row;
  }

  log(id: string): readonly LogEntry[] {
    return this.#held.get(id)?.log ?? [];
  }

  living(after: string, before: string): readonly Row[] {
    const rows = this.#rows.filter(({ id, fence }) => fence !== null && after < id && id < before);
    return rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  ofShare(share: string): readonly string[] {
    const records = this.living('', '~~').flatMap((row) => recordOf(row) ?? []);
    const own = records.filter((record) => record.share === share);
    return own.toSorted((a, b) => a.stamp - b.stamp).map(({ id }) => id);
  }

  endedOf(share: string): readonly string[] {
    const rows = Array.from(this.#held.values(), ({ row }) => row);
    return rows.filter((row) => row.fence === null && row.share === share).map(({ id }) => id);
  }

  /** What rows and logs count, by share. A store has these numbers without looking at all rows. */
  get kept(): ReadonlyMap<string, number> {
    const kept = new Map<string, number>();
    for (const { row, log } of this.#held.values())
      if (row.share !== null)
        kept.set(row.share, (kept.get(row.share) ?? 0) + rowBytes(row) + entriesBytes(log));
    return kept;
  }

  due(after: DuePlace, until: number): readonly Row[] {
    const place = ({ wakeAt, id }: Row): DuePlace => [wakeAt ?? Infinity, id];
    const rows = this.#rows.filter((row) => place(row)[0] <= until && isBefore(after, place(row)));
    return rows.toSorted((a, b) => (isBefore(place(a), place(b)) ? -1 : 1));
  }

  #replace({ id, was, row, clear }: RowWrite): boolean {
    const held = this.#held.get(id);
    if ((held?.row.version ?? 0) !== was) return false;
    if (row === null) this.#held.delete(id);
    else this.put(row, clear);
    return true;
  }

  #append({ id, fence, entries, cut }: LogWrite, process: string): boolean {
    const held = this.#held.get(id);
    if (held === undefined || held.row.fence !== fence) return false;
    const [first] = entries;
    if (first !== undefined && first.no <= (held.log.at(-1)?.no ?? 0)) return false;
    this.#held.set(id, { ...held, log: [...held.log, ...entries].filter(({ no }) => no > cut) });
    for (const entry of entries) this.#logged(id, entry, process);
    return true;
  }

  /** How many rows and entries there are. */
  get size(): number {
    return [...this.#held.values()].reduce((sum, { log }) => sum + 1 + log.length, 0);
  }

  // ——— what the store loses, and what an ablation does to it ———

  /** Remembers what there is; calling what it returns brings that back, and tells which records lost something. */
  snapshot(): () => string[] {
    const takenAt = this.now();
    const held = new Map(this.#held);
    return () => {
      this.#held = held;
      return [...this.#writtenAt].filter(([, at]) => at >= takenAt).map(([id]) => id);
    };
  }

  /** Loses everything about a record, as an eviction or FLUSHALL does. */
  vanish(id: string): void {
    this.#held.delete(id);
  }

  /** Whatever is stored. */
  put(row: Row, clear = false): void {
    const { id, value } = row;
    const held = this.#held.get(id);
    this.#held.set(id, { row, log: clear ? [] : (held?.log ?? []) });
    const at = this.now();
    this.#writtenAt.set(id, at);
    const before = held?.row.value;
    const change: Change = { kind: changeOf(before, value), at, id, before, value };
    if (change.kind !== 'save' && change.kind !== 'add') this.happened.push(change);
    this.onChange(change);
  }

  // ——— for the checker ———

  /** The records that are there, oldest first. */
  get ids(): string[] {
    return this.#rows.filter(({ fence }) => fence !== null).map(({ id }) => id);
  }

  get #rows(): Row[] {
    return [...this.#held.values()].map(({ row }) => row);
  }

  /** Of a record that has expired, the record. */
  record(id: string): Value | undefined {
    return this.row(id)?.value;
  }

  stored(id: string): StoredRecord | undefined {
    const value = this.record(id);
    return value === undefined || isEnded(value) ? undefined : value;
  }

  isLiving(id: string): boolean {
    return livingOf(this.row(id), this.now()) !== undefined;
  }

  markers(id: string): readonly Mark[] {
    return LogState.of(this.log(id)).marks;
  }

  #logged(
    id: string,
    { stream, head: [from, , , at, more], events }: LogEntry,
    process: string,
  ): void {
    this.#writtenAt.set(id, this.now());
    if (more?.note !== undefined) this.opened.push({ id, requests: more.note, process });
    const stored = inMap(
      inMap(this.everStored, id, newMap<string, Map<number, StoredEvent>>),
      stream,
      newMap,
    );
    for (const [n, data] of events.entries()) stored.set(from + n, { data, at });
    this.onLogged(id, process);
  }
}

const isBefore = ([time, id]: DuePlace, [otherTime, otherId]: DuePlace): boolean =>
  time < otherTime || (time === otherTime && id < otherId);

export function changeOf(before: Value | undefined, value: Value): Change['kind'] {
  if (isEnded(value)) return 'end';
  if (before === undefined || isEnded(before)) return 'create';
  if (value.epoch !== before.epoch) return 'claim';
  if (value.rung !== before.rung) return 'add';
  return value.owner === null && before.owner !== null ? 'release' : 'save';
}

const newMap = <K, V>(): Map<K, V> => new Map();

function inMap<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key) ?? make();
  map.set(key, known);
  return known;
}
