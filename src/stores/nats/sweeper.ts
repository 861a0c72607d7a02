/** Work on all records of a kind: listing, and the entries of the cleanup schedule. */
import { wakeTime } from '../shared/record-change.ts';
import type { DueRecord, RecordPage, StoredRecord } from '../store.ts';
import type { CleanupSchedule, EntryOutcome, EntryPlace, PageOfWork } from './cleanup-schedule.ts';
import type { NatsRecordTable, RecordStatus } from './record-table.ts';
import type { NatsKind } from './kind.ts';
import type { ListingEntry, NatsListingOrder } from './listing-order.ts';
import type { Purger } from './purger.ts';
import type { NatsReader } from './reader.ts';
import type { LivingValue } from './record-value.ts';
import type { ValuePosition } from './keyed-values.ts';

type Held = Extract<RecordStatus, { readonly held: unknown }>;

/** After this time no creation can still be running, so an entry of the list without a record is removed. */
const PLACE_LOST_MS = 600_000;
const AT_ONCE = 16;
/** How many entries of the list one sweep compares with their records. */
const PLACES_CHECKED = 256;

export interface SweeperOptions extends NatsKind {
  readonly table: NatsRecordTable;
  readonly reader: NatsReader;
  readonly schedule: CleanupSchedule;
  readonly listing: NatsListingOrder;
  readonly purger: Purger;
}

export class Sweeper {
  readonly #options: SweeperOptions;
  /** Entries of the list up to this one were compared with their records. */
  #placesChecked = 0;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  async list(limit: number, after: number, group?: string): Promise<RecordPage> {
    const records: StoredRecord[] = [];
    let last = after;
    // There is a cursor only if another record follows, so the last page has none.
    for await (const { record, place } of this.#living(after, limit + 1, group)) {
      if (records.length === limit) return { records, nextCursor: String(last) };
      records.push(record);
      last = place;
    }
    return { records };
  }

  async due(limit: number, after: EntryPlace | undefined): Promise<RecordPage<DueRecord>> {
    const due = new Map<string, DueRecord>();
    const last = await this.#workOff(
      async ({ is, held }) => {
        const { id, epoch, owner } = held.value.record;
        due.set(id, { id, epoch, owner, expired: is === 'expired' });
        return 'pending';
      },
      { after, room: () => limit - due.size },
    );
    if (after === undefined) await this.#checkPlaces();
    const records = [...due.values()];
    return last === undefined ? { records } : { records, nextCursor: last.join(' ') };
  }

  /** Removes expired records that show no more, and old tombstones, where no record is listed. */
  async forgetExpired(): Promise<void> {
    await this.#workOff(async (status) => {
      if (status.is === 'living' || status.remembered) return 'pending';
      const { value, position, parts } = status.held;
      await this.#erase(value.record.id, value.place, position, parts);
      return 'done';
    });
  }

  /** In the order of `list`. Several records are read at once. */
  async *#living(
    after: number,
    most: number,
    group: string | undefined,
  ): AsyncGenerator<{ record: StoredRecord; place: number }> {
    let entries: ListingEntry[] = [];
    const size = Math.min(AT_ONCE, most);
    for await (const { own } of this.#options.listing.after(after, group)) {
      if (own !== undefined) entries.push(own);
      if (entries.length < size) continue;
      yield* await this.#records(entries);
      entries = [];
    }
    yield* await this.#records(entries);
  }

  async #records(listing: readonly ListingEntry[]): Promise<{ record: StoredRecord; place: number }[]> {
    const { table } = this.#options;
    const statuses = await Promise.all(listing.map(({ id }) => table.look(id)));
    const found: { record: StoredRecord; place: number }[] = [];
    for (const [n, place] of listing.entries()) {
      const status = statuses[n];
      // A record that was created again under its id has a new entry; the earlier one does not count.
      if (status?.is === 'living' && status.held.value.place === place.place)
        found.push({ record: status.held.value.record, place: place.place });
      else if (status?.is !== 'expired') await this.#forgetPlace(place);
    }
    return found;
  }

  /**
   * Removes entries of the list whose record was never stored or has ended, because an instance crashed between the
   * two writes. Each process checks each entry once, after no creation can still be running, and a limited number per
   * sweep.
   */
  async #checkPlaces(): Promise<void> {
    const { listing, clock } = this.#options;
    const oldest = (await clock.now()) - PLACE_LOST_MS;
    const group: ListingEntry[] = [];
    let last = this.#placesChecked;
    let seen = 0;
    for await (const { seq, own } of listing.after(last)) {
      if ((own !== undefined && own.at >= oldest) || (seen += 1) > PLACES_CHECKED) break;
      last = seq;
      if (own !== undefined) group.push(own);
    }
    for (let n = 0; n < group.length; n += AT_ONCE) await this.#records(group.slice(n, n + AT_ONCE));
    this.#placesChecked = last;
  }

  async #forgetPlace({ place, at }: ListingEntry): Promise<void> {
    const { listing, clock } = this.#options;
    const now = await clock.now();
    if (at + PLACE_LOST_MS < now) await listing.remove(place);
  }

  /** Does the due work. Calls `due` for records that have expired and are not ended yet, or whose due time has come. */
  #workOff(due: (status: Held) => Promise<EntryOutcome>, page?: PageOfWork): Promise<EntryPlace | undefined> {
    return this.#options.schedule.work(async (entry) => {
      if (entry.parts !== undefined) return this.#removeParts(entry.id, entry.parts);
      const { id, at } = entry;
      const status = await this.#options.table.look(id);
      switch (status.is) {
        case 'expired':
          return due(status);
        case 'living': {
          const { dueAt } = status.held.value.record;
          const isDue = dueAt !== null && dueAt <= (await this.#options.clock.now());
          return isDue ? due(status) : this.#again(id, at, status.held.value);
        }
        case 'missing':
          return status.position.seq === 0 ? 'done' : this.#forget(id);
        case 'ended':
          // The tombstone has another entry.
          return status.forgetAt === at ? 'pending' : 'done';
      }
    }, page);
  }

  /** A living record is looked at again when it expires or is due. Its `due` shows the newest entry. */
  async #again(id: string, at: number, { record, due }: LivingValue): Promise<EntryOutcome> {
    const { schedule, clock } = this.#options;
    const next = wakeTime(record);
    const elsewhere = due !== null && due !== at && due > (await clock.now());
    if (next !== null && !elsewhere) await schedule.add({ id, at: next });
    return 'done';
  }

  /** Removes a tombstone that is too old, and anything that its end left behind. */
  async #forget(id: string): Promise<EntryOutcome> {
    const { reader, clock } = this.#options;
    const { value, position, parts } = await reader.value(id);
    if (value === undefined || 'record' in value) return 'done';
    if (value.forgetAt > (await clock.now())) return 'pending';
    await this.#erase(id, value.place, position, parts);
    return 'done';
  }

  async #erase(id: string, place: number, position: ValuePosition, parts: readonly number[]): Promise<void> {
    const { reader, values, jetstream, names, table, listing, purger } = this.#options;
    await listing.remove(place);
    const end = await reader.end(id);
    await values.erase('records', names.record(id), position);
    table.removeParts(parts);
    if (end === undefined) return;
    const { message, position: last } = end;
    const single = message.previous.length === 0 && last.seq === last.end;
    if (single) await jetstream.remove('log', last.seq);
    else purger.purge(names, id, last.end + 1, last.seq);
  }

  /** Removes parts of a record that was never stored or was replaced. */
  async #removeParts(id: string, { name, count }: { name: string; count: number }): Promise<EntryOutcome> {
    const { jetstream, names, reader } = this.#options;
    const { parts: used } = await reader.value(id);
    for (let n = 0; n < count; n++) {
      const stored = await jetstream.last('records', names.recordPart(id, name, n));
      if (stored !== undefined && !used.includes(stored.seq)) await jetstream.remove('records', stored.seq);
    }
    return 'done';
  }
}
