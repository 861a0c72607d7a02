/** What concerns all sessions: their list, how many there are, and what is due (`agenda.ts`). */
import type { SessionPage, SessionRecord } from '../store.ts';
import type { Agenda, Looked } from './agenda.ts';
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import type { Ledger } from './ledger.ts';
import type { Names } from './names.ts';
import type { Place, Places } from './places.ts';
import type { Purger } from './purger.ts';
import type { Reader } from './reader.ts';
import { isLiving, type LivingValue } from './record-value.ts';
import type { Registers } from './registers.ts';

/** An entry of the list without a session is removed when no creation can still be under way. */
const PLACE_LOST_MS = 600_000;
const AT_ONCE = 16;
/** Entries of the list that one sweep compares with their records. */
const PLACES_CHECKED = 256;

export interface SweeperOptions {
  readonly registers: Registers;
  readonly names: Names;
  readonly ledger: Ledger;
  readonly reader: Reader;
  readonly clock: ServerClock;
  readonly bounds: Bounds;
  readonly agenda: Agenda;
  readonly places: Places;
  readonly purger: Purger;
}

export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #deadline: () => number;
  /** Entries of the list up to here were compared with their records. */
  #placesChecked = 0;

  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#deadline = () => options.bounds.deadline();
  }

  async list(limit: number, after: number): Promise<SessionPage> {
    const records: SessionRecord[] = [];
    let last = after;
    // Only a session that is still to come makes a cursor: the last page has none.
    for await (const { record, place } of this.#living(after, limit + 1)) {
      if (records.length === limit) return { records, nextCursor: String(last) };
      records.push(record);
      last = place;
    }
    return { records };
  }

  async count(): Promise<number> {
    const places = await this.#options.places.count(this.#deadline());
    const expired = new Set<string>();
    await this.#workOff(async ({ record: { id } }) => {
      expired.add(id);
      return 'pending';
    });
    return Math.max(0, places - expired.size);
  }

  async expired(limit: number): Promise<readonly string[]> {
    const ids = new Set<string>();
    await this.#workOff(async ({ record: { id, owner } }) => {
      if (ids.size >= limit) return 'enough';
      // Several are looked at together.
      if ((await this.#options.ledger.ownerless(owner, this.#deadline())) && ids.size < limit) ids.add(id);
      return 'pending';
    });
    await this.#checkPlaces();
    return [...ids];
  }

  /** In the order of `list`; records are read some at a time. */
  async *#living(after: number, most: number): AsyncGenerator<{ record: SessionRecord; place: number }> {
    let group: Place[] = [];
    const size = Math.min(AT_ONCE, most);
    for await (const place of this.#options.places.after(after, this.#deadline)) {
      group.push(place);
      if (group.length < size) continue;
      yield* await this.#records(group);
      group = [];
    }
    yield* await this.#records(group);
  }

  async #records(places: readonly Place[]): Promise<{ record: SessionRecord; place: number }[]> {
    const { ledger } = this.#options;
    const standings = await Promise.all(places.map(({ id }) => ledger.look(id, this.#deadline())));
    const found: { record: SessionRecord; place: number }[] = [];
    for (const [n, place] of places.entries()) {
      const standing = standings[n];
      // Of a session that was made anew under its id the earlier entry counts no more.
      if (standing?.is === 'living' && standing.held.value.place === place.place)
        found.push({ record: standing.held.value.record, place: place.place });
      else if (standing?.is !== 'expired') await this.#forgetPlace(place);
    }
    return found;
  }

  /**
   * Removes entries of the list whose session was never stored or has ended: an instance crashed between the two writes. Each
   * process looks at each entry once, when no creation can still be under way, and at so many in a sweep that it costs little.
   */
  async #checkPlaces(): Promise<void> {
    const { places, clock } = this.#options;
    const oldest = (await clock.now(this.#deadline())) - PLACE_LOST_MS;
    const group: Place[] = [];
    let last = this.#placesChecked;
    let seen = 0;
    for await (const { seq, own } of places.all(last, this.#deadline)) {
      if ((own !== undefined && own.at >= oldest) || (seen += 1) > PLACES_CHECKED) break;
      last = seq;
      if (own !== undefined) group.push(own);
    }
    for (let n = 0; n < group.length; n += AT_ONCE) await this.#records(group.slice(n, n + AT_ONCE));
    this.#placesChecked = last;
  }

  async #forgetPlace({ place, at }: Place): Promise<void> {
    const { places, clock } = this.#options;
    const now = await clock.now(this.#deadline());
    if (at + PLACE_LOST_MS < now) await places.remove(place, this.#deadline());
  }

  /** Does what is due; what has expired and was not ended yet is told. */
  #workOff(expired: (value: LivingValue) => Promise<Looked | 'enough'>): Promise<void> {
    return this.#options.agenda.work(async (entry) => {
      if (entry.parts !== undefined) return this.#removeParts(entry.id, entry.parts);
      const { id, at } = entry;
      const standing = await this.#options.ledger.look(id, this.#deadline());
      switch (standing.is) {
        case 'expired':
          return expired(standing.held.value);
        case 'living':
          return this.#again(id, at, standing.held.value);
        case 'missing':
          return standing.spot.seq === 0 ? 'done' : this.#forget(id);
        case 'ended':
          // Its tombstone has an entry of its own.
          return standing.forgetAt === at ? 'pending' : 'done';
      }
    });
  }

  /** A session that lives on is looked at when it expires. Its record is its owner's: it is not written here. */
  async #again(id: string, at: number, { record: { expiresAt }, due }: LivingValue): Promise<Looked> {
    const { agenda, clock } = this.#options;
    const elsewhere = due !== null && due !== at && due > (await clock.now(this.#deadline()));
    if (expiresAt !== null && !elsewhere) await agenda.add({ id, at: expiresAt }, this.#deadline());
    return 'done';
  }

  /** A tombstone past its time, with whatever its end has left undone. */
  async #forget(id: string): Promise<Looked> {
    const { reader, registers, names, places, purger, clock } = this.#options;
    const read = await reader.value(id, this.#deadline());
    if (!('found' in read) || isLiving(read.found)) return 'done';
    const { value, spot } = read.found;
    if (value.forgetAt > (await clock.now(this.#deadline()))) return 'pending';
    await places.remove(value.place, this.#deadline());
    const end = await reader.end(id, this.#deadline());
    await registers.erase('sessions', names.session(id), spot, this.#deadline());
    if (end === undefined) return 'done';
    const { message, spot: last } = end;
    const single = message.previous.length === 0 && last.seq === last.end;
    if (single) await registers.jetstream.remove('log', last.seq, this.#deadline());
    else purger.purge(id, last.end + 1, last.seq);
    return 'done';
  }

  /** Parts of a record that was never stored, or is not the one any more. */
  async #removeParts(id: string, { name, count }: { name: string; count: number }): Promise<Looked> {
    const { registers, names, reader } = this.#options;
    const { jetstream } = registers;
    const read = await reader.value(id, this.#deadline());
    const used = 'found' in read ? read.parts : [];
    for (let n = 0; n < count; n++) {
      const stored = await jetstream.last('sessions', names.recordPart(id, name, n), this.#deadline());
      if (stored !== undefined && !used.includes(stored.seq))
        await jetstream.remove('sessions', stored.seq, this.#deadline());
    }
    return 'done';
  }
}
