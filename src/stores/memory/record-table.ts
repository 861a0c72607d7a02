/**
 * The records of one kind and their states:
 *
 * - *held*: there is a record;
 * - *expired*: there is a record and its expiry has passed. Every reader sees an ended record, until `end` replaces
 *   it by a tombstone;
 * - *ended*: there is a tombstone;
 * - *missing*: there is neither.
 */
import type { EndedRecord, Fence, Kind, StoredRecord } from '../store.ts';
import { monotonicMs } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';
import { expiredRecord } from '../shared/expired-record.ts';
import { checkedGroup, groupOf } from '../shared/groups.ts';
import { checkDroppable } from '../shared/kinds.ts';
import { wakeTime } from '../shared/record-change.ts';
import { DueIndex, type DuePlace } from './due-index.ts';
import type { HeldRecord } from './held-record.ts';
import { LastingTombstones } from './lasting-tombstones.ts';
import { MemoryListingOrder } from './listing-order.ts';
import type { Tombstones } from './tombstones.ts';

export class MemoryRecordTable {
  readonly #kind: Kind;
  readonly #held = new Map<string, HeldRecord>();
  readonly #order = new MemoryListingOrder();
  /** The records of each group, in the same order. */
  readonly #groups = new Map<string, MemoryListingOrder>();
  readonly #due = new DueIndex();
  readonly #tombstones: Tombstones | LastingTombstones;
  readonly #time: TimeProvider;
  /** The difference between the two clocks when the table was made. */
  readonly #origin: number;

  constructor(kind: Kind, time: TimeProvider, tombstones: Tombstones | LastingTombstones) {
    this.#kind = kind;
    this.#time = time;
    this.#origin = time.now() - monotonicMs(time);
    this.#tombstones = tombstones;
  }

  /** ms since 1970. A date that is corrected while the process runs ends no record in use, and revives none. */
  now(): number {
    return this.#origin + monotonicMs(this.#time);
  }

  /** Held, expired or not. */
  held(id: string): HeldRecord | undefined {
    return this.#held.get(id);
  }

  /** Held and not expired. */
  living(id: string): HeldRecord | undefined {
    const held = this.#held.get(id);
    return held === undefined || held.expired(this.now()) ? undefined : held;
  }

  /** A living record, if the fence matches. */
  writable(id: string, fence: Fence, now: number): HeldRecord | undefined {
    const held = this.#held.get(id);
    return held === undefined || !held.ownedBy(fence) || held.expired(now) ? undefined : held;
  }

  /** The ended value of an id that is not living. */
  ended(id: string): EndedRecord | undefined {
    const now = this.now();
    const held = this.#held.get(id);
    if (held === undefined) return this.#tombstones.find(id, now);
    held.reportedExpired = true;
    const ended = expiredValue(held);
    return ended !== undefined && ended.at + this.#kind.keepMs > now ? ended : undefined;
  }

  /** Throws and changes nothing if the id has no group, or the record finds no room. */
  add(record: StoredRecord): void {
    const group = groupOf(this.#kind, record.id);
    const before = this.#lasting?.enter(record, this.now());
    const forgotten = this.#held.get(record.id);
    if (forgotten !== undefined) {
      this.#drop(forgotten);
      this.#lasting?.replaced(before);
    }
    const held = this.#order.append(record);
    this.#held.set(record.id, held);
    this.#due.put(held);
    if (group === undefined) return;
    const order = this.#groups.get(group) ?? new MemoryListingOrder();
    this.#groups.set(group, order);
    order.add(held);
  }

  /** Every change of a record goes through this method. Throws and changes nothing if the record finds no room. */
  write(held: HeldRecord, record: StoredRecord): void {
    this.#lasting?.change(held.record, record);
    const moved = wakeTime(record) !== held.wakesAt;
    if (moved) this.#due.take(held);
    held.record = record;
    if (moved) this.#due.put(held);
  }

  /** A record that had expired before ended at its expiry, without an outcome. */
  end(held: HeldRecord, outcome: string, keepMs = this.#kind.keepMs): void {
    const now = this.now();
    const expired = held.expired(now) ? expiredValue(held) : undefined;
    const ended = Object.freeze(expired ?? { id: held.id, outcome, at: now });
    const forgetAt = ended.at + (expired === undefined ? keepMs : this.#kind.keepMs);
    this.#tombstones.add(ended, forgetAt, now);
    this.#drop(held);
  }

  /** `false`: it has no tombstone of this time. */
  dropEnded(id: string, endedAt: number): boolean {
    checkDroppable(this.#kind);
    if (this.#tombstones.find(id, this.now())?.at !== endedAt) return false;
    this.#tombstones.drop(id);
    return true;
  }

  /** It leaves no tombstone. */
  remove(held: HeldRecord): void {
    this.#drop(held);
    this.#lasting?.leave(held.id);
  }

  #drop(held: HeldRecord): void {
    held.log?.drop();
    this.#held.delete(held.id);
    this.#due.take(held);
    this.#order.remove(held);
    const group = groupOf(this.#kind, held.id);
    if (group === undefined) return;
    const order = this.#groups.get(group);
    order?.remove(held);
    if (order?.size === 0) this.#groups.delete(group);
  }

  get #lasting(): LastingTombstones | undefined {
    return this.#tombstones instanceof LastingTombstones ? this.#tombstones : undefined;
  }

  /** Held records that have expired or are due, after a place of `DueIndex`. */
  due(after?: DuePlace): Iterable<readonly [HeldRecord, DuePlace]> {
    return this.#due.due(this.now(), after);
  }

  /** Living records with a higher place, in the order of their creation. */
  *after(place: number, group: string | undefined): Generator<HeldRecord> {
    const now = this.now();
    const order = group === undefined ? this.#order : this.#groups.get(checkedGroup(this.#kind, group));
    for (const held of order?.after(place) ?? []) {
      if (!held.expired(now)) yield held;
    }
  }

  /** Held records; those of a group. */
  count(group: string | undefined): number {
    if (group === undefined) return this.#order.size;
    return this.#groups.get(checkedGroup(this.#kind, group))?.size ?? 0;
  }

  /** Drops what no reader sees any more: tombstones, and expired records that no caller looks for. */
  sweep(): void {
    const now = this.now();
    this.#tombstones.forget(now);
    if (this.#kind.listed) return;
    const due = [...this.due()];
    for (const [held] of due) if ((held.expiresAt ?? Infinity) + this.#kind.keepMs <= now) this.remove(held);
  }
}

function expiredValue({ id, expiresAt }: HeldRecord): EndedRecord | undefined {
  return expiresAt === null ? undefined : expiredRecord(id, expiresAt);
}
