/**
 * The schedule of work: records that expire or are due, tombstones to forget, and parts that may be orphaned. An
 * entry is a message under the slot of its time, a minute. Only due slots are read. An entry that is further ahead than
 * a day waits in the slot a day ahead and then moves on, so that few slots are in use. An entry is a hint; the record
 * decides. All instances read the same entries and add the same entries, and the server stores each entry once.
 *
 * A slot is removed as a whole, when all its entries are done. Servers of 2.9 lose a message in the middle of a subject
 * when its neighbours are removed one by one. A crash leaves entries, which other instances read.
 */
import { wakeTime } from '../shared/record-change.ts';
import type { StoredRecord } from '../store.ts';
import type { NatsKind } from './kind.ts';
import { token } from './names.ts';
import { storedJson } from './stored-json.ts';

/** A pass may already be looking at an entry that is due sooner than this, with the old times. */
export const DUE_SLACK_MS = 60_000;
const VERSION = 1;

const SLOT_MS = 60_000;
/** An entry is at most this far ahead. */
const MOST_AHEAD_MS = 86_400_000;
/** A slow instance may still add entries to a slot for this long after the end of the slot. */
const SLOW_MS = 10_000;
const AT_ONCE = 16;

export interface ScheduleEntry {
  readonly id: string;
  /** ms since 1970, the server's clock. */
  readonly at: number;
  /** Parts of a record that is too large for one message. Absent: the entry is about the record itself. */
  readonly parts?: { readonly name: string; readonly count: number };
}

interface StoredEntry extends ScheduleEntry {
  readonly v: number;
}

/** `done`: the entry needs no more work. `pending`: look at it again later. */
export type EntryOutcome = 'done' | 'pending';

/** Limit of entries in memory that are read and not done. Reading continues when some of them are done. */
const MOST_PENDING = 50_000;
/** The share of a pass for reading entries. The rest is for working on them. */
const READING_PART = 1 / 2;

/** The place of an entry: its time, and its number among all entries. */
export type EntryPlace = readonly [at: number, seq: number];

/** A part of the entries that are not done: after a place, and while `room` allows for as many more. */
export interface PageOfWork {
  readonly after: EntryPlace | undefined;
  room(): number;
}

const EVERYTHING: PageOfWork = { after: undefined, room: () => Infinity };

interface Slot {
  readonly subject: string;
  readonly begins: number;
}

/** How far this process has read a slot. */
interface Progress {
  /** The sequence to continue from. */
  next: number;
  /** Entries that are read and not done, by their sequence. */
  readonly open: Map<number, ScheduleEntry>;
}

/** The times of one pass, on the monotonic clock; `now` is the server's. */
interface Pass {
  readonly now: number;
  readonly readUntil: number;
  readonly until: number;
}

type EntryHandler = (entry: ScheduleEntry) => Promise<EntryOutcome>;

export class CleanupSchedule {
  readonly #kind: NatsKind;
  /** Existing slots by subject. Each of their entries is read once. */
  readonly #slots = new Map<string, Progress>();

  constructor(kind: NatsKind) {
    this.#kind = kind;
  }

  /** `anew`: also if the server has had the same entry before, which a pass may have removed. */
  async add(entry: ScheduleEntry, anew = false): Promise<void> {
    await this.#add(entry, await this.#kind.clock.now(), anew);
  }

  /** Adds it to the slot of its time, or to the last slot that is a day after `now`. */
  async #add(entry: ScheduleEntry, now: number, anew = false): Promise<void> {
    const { names, jetstream } = this.#kind;
    const subject = names.due(String(Math.floor(Math.min(entry.at, now + MOST_AHEAD_MS) / SLOT_MS)));
    const body = JSON.stringify({ v: VERSION, ...entry });
    const id = `${subject} ${token(body)}`;
    await jetstream.publish(subject, Buffer.from(body), anew ? {} : { id });
  }

  /**
   * The entry of a record comes before its write. But a pass that looks at it before the write finds nothing due. So
   * the entry of a record that is due at once comes after the write, and a later one before it, for a crash in between.
   */
  async addBefore(record: StoredRecord): Promise<void> {
    const at = wakeTime(record);
    if (at === null) return;
    const soon = (await this.#kind.clock.now()) + DUE_SLACK_MS;
    await this.add({ id: record.id, at: at === record.dueAt ? Math.max(at, soon) : at });
  }

  async addAfter({ id, dueAt }: StoredRecord): Promise<void> {
    if (dueAt !== null && dueAt <= (await this.#kind.clock.now()) + DUE_SLACK_MS)
      await this.add({ id, at: dueAt }, true);
  }

  /**
   * One pass. It reads due entries that it has not read before. Then it looks at the entries that are not done, in the
   * order of their places, until the time is over or there is no room. Resolves with the last place that it looked at,
   * if entries after it are left.
   */
  async work(handle: EntryHandler, page = EVERYTHING): Promise<EntryPlace | undefined> {
    const { limitMs } = this.#kind.deadlines;
    const began = this.#kind.deadlines.now();
    const now = await this.#kind.clock.now();
    const pass: Pass = { now, readUntil: began + limitMs * READING_PART, until: began + limitMs };
    const due = await this.#read(pass);
    const last = await this.#handlePending(handle, pass, page);
    await this.#removeDone(due, pass);
    return last;
  }

  /** The due slots that were read to their end. */
  async #read(pass: Pass): Promise<readonly Slot[]> {
    const { jetstream, names, deadlines } = this.#kind;
    const subjects = await jetstream.subjects('agenda', names.allDue);
    // Another instance removed the other slots, because all their entries were done.
    for (const subject of this.#slots.keys()) if (!subjects.has(subject)) this.#slots.delete(subject);
    let room = MOST_PENDING;
    for (const { open } of this.#slots.values()) room -= open.size;
    const read: Slot[] = [];
    for (const slot of dueSlots(subjects, pass.now)) {
      const { subject, begins } = slot;
      const progress = this.#slots.get(subject) ?? { next: 1, open: new Map<number, ScheduleEntry>() };
      this.#slots.set(subject, progress);
      for await (const [seq, entry] of this.#unread(subject, progress, pass)) {
        // Every instance moves the entry to the same slot.
        if (entry.at >= begins + SLOT_MS && entry.at > pass.now) {
          await this.#add(entry, Math.max(begins, pass.now - MOST_AHEAD_MS));
          continue;
        }
        progress.open.set(seq, entry);
        if ((room -= 1) <= 0) return read;
      }
      if (deadlines.now() >= pass.readUntil) return read;
      read.push(slot);
    }
    return read;
  }

  async #handlePending(
    handle: EntryHandler,
    { now, until }: Pass,
    { after, room }: PageOfWork,
  ): Promise<EntryPlace | undefined> {
    const due = [...this.#slots.values()]
      .flatMap(({ open }) => Array.from(open, ([seq, entry]) => ({ open, seq, entry })))
      .filter(({ seq, entry }) => entry.at <= now && isAfter([entry.at, seq], after))
      .sort((a, b) => a.entry.at - b.entry.at || a.seq - b.seq);
    let last = after;
    for (let n = 0; n < due.length;) {
      const group = due.slice(n, n + Math.min(AT_ONCE, room()));
      if (group.length === 0 || this.#kind.deadlines.now() >= until) return last;
      const looked = await Promise.all(group.map(({ entry }) => handle(entry)));
      for (const [m, { open, seq, entry }] of group.entries()) {
        last = [entry.at, seq];
        if (looked[m] === 'done') open.delete(seq);
      }
      n += group.length;
    }
    return undefined;
  }

  /** Removes the entries that were read. Newer entries of the slot stay. */
  async #removeDone(read: readonly Slot[], { now }: Pass): Promise<void> {
    for (const { subject, begins } of read) {
      const progress = this.#slots.get(subject);
      if (begins + SLOT_MS + SLOW_MS > now || progress?.open.size !== 0) continue;
      this.#slots.delete(subject);
      if (progress.next > 1) await this.#kind.jetstream.purge('agenda', subject, progress.next);
    }
  }

  /**
   * Entries that this process has not read, with their sequences, until the pass has no time left for reading. An entry
   * counts as read when the caller asks for the next one.
   */
  async *#unread(
    subject: string,
    progress: Progress,
    { readUntil }: Pass,
  ): AsyncGenerator<readonly [seq: number, entry: ScheduleEntry]> {
    const { where, jetstream, deadlines } = this.#kind;
    while (deadlines.now() < readUntil) {
      const stored = await jetstream.next('agenda', subject, progress.next);
      if (stored === undefined) return;
      const { v: _version, ...entry } = storedJson<StoredEntry>(
        where,
        'an entry of the cleanup schedule',
        stored.data,
        VERSION,
      );
      yield [stored.seq, entry];
      progress.next = Math.max(progress.next, stored.seq + 1);
    }
  }
}

const isAfter = ([at, seq]: EntryPlace, place: EntryPlace | undefined): boolean =>
  place === undefined || at > place[0] || (at === place[0] && seq > place[1]);

/** Earliest first. */
function dueSlots(subjects: Iterable<string>, now: number): readonly Slot[] {
  const slots = Array.from(subjects, (subject) => {
    return { subject, begins: Number(subject.slice(subject.lastIndexOf('.') + 1)) * SLOT_MS };
  });
  return slots.filter(({ begins }) => begins <= now).sort((a, b) => a.begins - b.begins);
}
