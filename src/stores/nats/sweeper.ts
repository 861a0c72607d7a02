/** What concerns all sessions: their list, how many there are, and what is due (`agenda.ts`). */
import type { SessionPage, SessionRecord } from '../store.ts';
import type { Agenda, AgendaEntry } from './agenda.ts';
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import type { Held } from './copies.ts';
import type { JetStream } from './jetstream.ts';
import type { Ledger } from './ledger.ts';
import type { Names } from './names.ts';
import type { Place, Places } from './places.ts';
import type { Purger } from './purger.ts';
import type { Reader } from './reader.ts';
import { isLiving, type LivingValue } from './record-value.ts';

/** An entry of the list without a session is removed when no creation can still be under way. */
const PLACE_LOST_MS = 600_000;
const AT_ONCE = 16;

export interface SweeperOptions {
  readonly jetstream: JetStream;
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
    let expired = 0;
    for await (const _ of this.#expired()) expired++;
    return Math.max(0, places - expired);
  }

  async expired(limit: number): Promise<readonly string[]> {
    const ids: string[] = [];
    if (limit <= 0) return ids;
    for await (const { id, held } of this.#expired()) {
      if (!(await this.#options.ledger.ownerless(held.value.record.owner, this.#deadline()))) continue;
      ids.push(id);
      if (ids.length >= limit) break;
    }
    return ids;
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

  async #forgetPlace({ place, at }: Place): Promise<void> {
    const { places, clock } = this.#options;
    const now = await clock.now(this.#deadline());
    if (at + PLACE_LOST_MS < now) await places.remove(place, this.#deadline());
  }

  /** Each session that is past its expiry and has not been ended; everything else that is due is done on the way. */
  async *#expired(): AsyncGenerator<{ id: string; held: Held }> {
    const seen = new Set<string>();
    for await (const entry of this.#options.agenda.due(this.#deadline)) {
      if (entry.parts !== undefined) await this.#removeParts(entry, entry.parts);
      else if (!seen.has(entry.id)) {
        const held = await this.#lookAt(entry);
        if (held === undefined) continue;
        seen.add(entry.id);
        yield { id: entry.id, held };
      }
    }
  }

  /** The session, if it has expired. */
  async #lookAt(entry: AgendaEntry): Promise<Held | undefined> {
    const { ledger, agenda } = this.#options;
    const { id } = entry;
    const standing = await ledger.look(id, this.#deadline());
    switch (standing.is) {
      case 'expired':
        return standing.held;
      case 'living':
        await this.#again(entry, standing.held.value);
        return undefined;
      case 'missing':
        if (standing.rev === 0 || (await this.#forget(id))) await agenda.remove(entry, this.#deadline());
        return undefined;
      case 'ended':
        // Its tombstone has an entry of its own.
        if (standing.forgetAt !== entry.at) await agenda.remove(entry, this.#deadline());
        return undefined;
    }
  }

  /** A session that lives on is looked at when it expires; once, however many entries it has. */
  async #again(entry: AgendaEntry, { record, due }: LivingValue): Promise<void> {
    const { agenda, clock } = this.#options;
    const { expiresAt } = record;
    const now = await clock.now(this.#deadline());
    const covered = due !== null && due !== entry.at && due > now;
    if (expiresAt === null || covered) await agenda.remove(entry, this.#deadline());
    else await agenda.move(entry, expiresAt, this.#deadline());
  }

  /** A tombstone past its time, with whatever its end has left undone. `false`: it is not yet time. */
  async #forget(id: string): Promise<boolean> {
    const { reader, jetstream, places, purger, clock } = this.#options;
    const read = await reader.value(id, this.#deadline());
    if (!('found' in read) || isLiving(read.found)) return true;
    const { value, rev } = read.found;
    if (value.forgetAt > (await clock.now(this.#deadline()))) return false;
    await places.remove(value.place, this.#deadline());
    const message = await reader.lastMessage(id, this.#deadline());
    // By its sequence: not what has been made under the id meanwhile.
    await jetstream.remove('sessions', rev, this.#deadline());
    if (message === undefined) return true;
    if (message.previous.length > 0) purger.purge(id, message.seq + 1);
    else await jetstream.remove('log', message.seq, this.#deadline());
    return true;
  }

  /** Parts of a record that was never stored, or is not the one any more. */
  async #removeParts(entry: AgendaEntry, { name, count }: { name: string; count: number }): Promise<void> {
    const { jetstream, names, reader, agenda } = this.#options;
    const read = await reader.value(entry.id, this.#deadline());
    const used = 'found' in read ? read.parts : [];
    for (let n = 0; n < count; n++) {
      const stored = await jetstream.last('sessions', names.recordPart(entry.id, name, n), this.#deadline());
      if (stored !== undefined && !used.includes(stored.seq))
        await jetstream.remove('sessions', stored.seq, this.#deadline());
    }
    await agenda.remove(entry, this.#deadline());
  }
}
