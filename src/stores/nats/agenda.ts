/**
 * What is to be looked at, and when: sessions that expire, tombstones that are to be forgotten, parts that may have been
 * left behind. An entry is a message under the slot of its time; slots are narrow for what is near and wide for what is far,
 * so that few are in use at once, and nothing else is searched. An entry is a hint: what is true stands in the record.
 * Instances look at the same entries, and add the same ones: the server takes each once.
 *
 * A slot is removed as a whole, once everything in it is done: servers of 2.9 lose sight of a message in the middle of a
 * subject when its neighbours are removed one by one.
 */
import type { Bounds } from './bounds.ts';
import { newerValue, unreadable } from './failures.ts';
import type { JetStream } from './jetstream.ts';
import { token, type Names } from './names.ts';

const VERSION = 1;

/** What is no further away than `within` stands in slots of `width`. */
const DAYS = { name: 'd', width: 86_400_000, within: Infinity } as const;
const MINUTES = { name: 'm', width: 600_000, within: 86_400_000 } as const;
const SECONDS = { name: 's', width: 10_000, within: 1_800_000 } as const;
const WHEELS = [SECONDS, MINUTES, DAYS];
type Wheel = (typeof WHEELS)[number];

/** After its end a slot may still get an entry of somebody who is slow. */
const SLOW_MS = 10_000;
const AT_ONCE = 16;

export interface AgendaEntry {
  readonly id: string;
  /** ms since 1970, the server's clock. */
  readonly at: number;
  /** Of a record that is too large for a message; the session itself where absent. */
  readonly parts?: { readonly name: string; readonly count: number };
}

/** What became of an entry: nothing more is to be done for it, or it is to be looked at again. */
export type Looked = 'done' | 'pending';

/** Entries kept in memory that are read and not done; with more, the agenda is read on when some of them are. */
const MOST_PENDING = 50_000;
/** Of the time of a pass: for reading entries. The rest is for looking at them. */
const READING_PART = 1 / 2;

interface Numbered {
  readonly seq: number;
  readonly entry: AgendaEntry;
}

interface SlotName {
  readonly subject: string;
  readonly ends: number;
}

/** How far this process has read a slot. */
interface Progress {
  /** The sequence to read on from. */
  next: number;
  /** Sequences of entries that are read and not done. */
  readonly open: Set<number>;
}

interface Pending extends Numbered {
  readonly subject: string;
}

/** The times of one pass, by the monotonic clock; `now` is the server's. */
interface Pass {
  readonly now: number;
  readonly readUntil: number;
  readonly until: number;
}

type Look = (entry: AgendaEntry) => Promise<Looked | 'enough'>;

export class Agenda {
  readonly #jetstream: JetStream;
  readonly #names: Names;
  readonly #bounds: Bounds;
  readonly #now: (deadline: number) => Promise<number>;
  /** By subject: slots that are still there. Each entry of them is read once. */
  readonly #progress = new Map<string, Progress>();
  /** Entries that are read and not done, the one that was not looked at for longest first. */
  readonly #pending = new Map<string, Pending>();

  constructor(jetstream: JetStream, names: Names, bounds: Bounds, now: (deadline: number) => Promise<number>) {
    this.#jetstream = jetstream;
    this.#names = names;
    this.#bounds = bounds;
    this.#now = now;
  }

  async add(entry: AgendaEntry, deadline: number): Promise<void> {
    const ahead = entry.at - (await this.#now(deadline));
    const wheel = WHEELS.find(({ within }) => ahead <= within) ?? SECONDS;
    const subject = this.#names.due(`${wheel.name}${Math.floor(entry.at / wheel.width)}`);
    const body = JSON.stringify({ v: VERSION, ...entry });
    await this.#jetstream.publish(subject, Buffer.from(body), deadline, { id: `${subject} ${token(body)}` });
  }

  /**
   * One pass: reads entries that are due and were not read before, then looks at those that are not done, until the time of
   * the pass is over or `look` says that it is enough. The next pass continues with the entries that this one did not reach.
   */
  async work(look: Look): Promise<void> {
    const { ms } = this.#bounds;
    const began = this.#bounds.now();
    const now = await this.#now(this.#bounds.deadline());
    const pass: Pass = { now, readUntil: began + ms * READING_PART, until: began + ms };
    const due = await this.#read(pass);
    await this.#lookAtPending(look, pass);
    await this.#removeDone(due, pass);
  }

  /** Slots of seconds that are due and were read to their end. */
  async #read(pass: Pass): Promise<readonly SlotName[]> {
    let subjects = await this.#slots();
    for (const wheel of [DAYS, MINUTES]) {
      const due = dueSlots(subjects, wheel, pass.now);
      for (const slot of due) if (!(await this.#spread(slot, pass))) return [];
      if (due.length > 0) subjects = await this.#slots();
    }
    this.#forgetOthers(new Set(subjects));
    const read: SlotName[] = [];
    for (const slot of dueSlots(subjects, SECONDS, pass.now)) {
      const { subject } = slot;
      const progress = this.#progressOf(subject);
      for await (const { seq, entry } of this.#unread(subject, pass)) {
        progress.open.add(seq);
        this.#pending.set(`${subject} ${seq}`, { subject, seq, entry });
        if (this.#pending.size >= MOST_PENDING) return read;
      }
      if (this.#bounds.now() >= pass.readUntil) return read;
      read.push(slot);
    }
    return read;
  }

  async #slots(): Promise<readonly string[]> {
    return [...(await this.#jetstream.subjects('agenda', this.#names.allDue, this.#bounds.deadline())).keys()];
  }

  /** Another instance has removed these slots: everything in them was done. */
  #forgetOthers(there: ReadonlySet<string>): void {
    for (const subject of this.#progress.keys()) if (!there.has(subject)) this.#forget(subject);
  }

  #forget(subject: string): void {
    for (const seq of this.#progress.get(subject)?.open ?? []) this.#pending.delete(`${subject} ${seq}`);
    this.#progress.delete(subject);
  }

  #progressOf(subject: string): Progress {
    let progress = this.#progress.get(subject);
    if (progress === undefined) {
      progress = { next: 1, open: new Set() };
      this.#progress.set(subject, progress);
    }
    return progress;
  }

  /** The entries of a wide slot go to narrower ones. `false`: there was no time for all of them. */
  async #spread({ subject }: SlotName, pass: Pass): Promise<boolean> {
    for await (const { entry } of this.#unread(subject, pass)) await this.add(entry, this.#bounds.deadline());
    if (this.#bounds.now() >= pass.readUntil) return false;
    await this.#remove(subject);
    return true;
  }

  async #lookAtPending(look: Look, { now, until }: Pass): Promise<void> {
    const due = [...this.#pending].filter(([, { entry }]) => entry.at <= now);
    for (let n = 0; n < due.length && this.#bounds.now() < until; n += AT_ONCE) {
      const group = due.slice(n, n + AT_ONCE);
      const looked = await Promise.all(group.map(([, { entry }]) => look(entry)));
      for (const [m, [key, pending]] of group.entries()) {
        if (looked[m] === 'enough') continue;
        this.#pending.delete(key);
        if (looked[m] === 'pending') this.#pending.set(key, pending);
        else this.#progress.get(pending.subject)?.open.delete(pending.seq);
      }
      if (looked.includes('enough')) return;
    }
  }

  async #removeDone(read: readonly SlotName[], { now }: Pass): Promise<void> {
    for (const { subject, ends } of read) {
      if (ends + SLOW_MS <= now && this.#progress.get(subject)?.open.size === 0) await this.#remove(subject);
    }
  }

  /** What was read of a slot. An entry that came since stays. */
  async #remove(subject: string): Promise<void> {
    const next = this.#progress.get(subject)?.next ?? 1;
    this.#forget(subject);
    if (next > 1) await this.#jetstream.purge('agenda', subject, next, this.#bounds.deadline());
  }

  /** Entries that this process has not read, while the pass has time for that. An entry counts as read once its caller is done. */
  async *#unread(subject: string, { readUntil }: Pass): AsyncGenerator<Numbered> {
    const progress = this.#progressOf(subject);
    while (this.#bounds.now() < readUntil) {
      const stored = await this.#jetstream.next('agenda', subject, progress.next, this.#bounds.deadline());
      if (stored === undefined) return;
      yield { seq: stored.seq, entry: this.#decode(stored.data) };
      progress.next = Math.max(progress.next, stored.seq + 1);
    }
  }

  #decode(data: Buffer): AgendaEntry {
    const { where } = this.#jetstream.link;
    let read: AgendaEntry & { readonly v: number };
    try {
      read = JSON.parse(data.toString()) as typeof read;
    } catch (cause) {
      throw unreadable(where, 'an entry of the agenda', cause);
    }
    const { v, ...entry } = read;
    if (v > VERSION) throw newerValue(where, 'an entry of the agenda', v, VERSION);
    return entry;
  }
}

/** The earliest first. */
function dueSlots(subjects: readonly string[], { name, width }: Wheel, now: number): readonly SlotName[] {
  const slots: SlotName[] = [];
  for (const subject of subjects) {
    const token = subject.slice(subject.lastIndexOf('.') + 1);
    const begins = token.startsWith(name) ? Number(token.slice(1)) * width : Infinity;
    if (begins <= now) slots.push({ subject, ends: begins + width });
  }
  return slots.sort((a, b) => a.ends - b.ends);
}
