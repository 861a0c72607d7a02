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

interface Numbered {
  readonly seq: number;
  readonly entry: AgendaEntry;
}

interface Slot {
  readonly subject: string;
  readonly ends: number;
}

export class Agenda {
  readonly #jetstream: JetStream;
  readonly #names: Names;
  readonly #now: (deadline: number) => Promise<number>;
  /** Sequences of entries that are done, in slots that are still there. */
  readonly #done = new Map<string, Set<number>>();

  constructor(jetstream: JetStream, names: Names, now: (deadline: number) => Promise<number>) {
    this.#jetstream = jetstream;
    this.#names = names;
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
   * Looks at everything that is due, until that takes too long or `look` says that it is enough; the next time goes on from
   * there.
   */
  async work(look: (entry: AgendaEntry) => Promise<Looked | 'enough'>, bounds: Bounds): Promise<void> {
    const deadline = (): number => bounds.deadline();
    const until = deadline();
    const inTime = async (entry: AgendaEntry): Promise<Looked | 'enough'> =>
      bounds.now() < until ? look(entry) : 'enough';
    const now = await this.#now(deadline());
    let slots = await this.#slots(deadline());
    for (const wheel of [DAYS, MINUTES]) {
      const due = dueSlots(slots, wheel, now);
      for (const slot of due) await this.#spread(slot, deadline);
      if (due.length > 0) slots = await this.#slots(deadline());
    }
    for (const slot of dueSlots(slots, SECONDS, now)) {
      if (!(await this.#workOff(slot, now, inTime, deadline))) return;
    }
  }

  async #slots(deadline: number): Promise<readonly string[]> {
    return [...(await this.#jetstream.subjects('agenda', this.#names.allDue, deadline)).keys()];
  }

  /** The entries of a wide slot go to narrower ones. */
  async #spread({ subject }: Slot, deadline: () => number): Promise<void> {
    let last = 0;
    for await (const { seq, entry } of this.#entries(subject, deadline)) {
      await this.add(entry, deadline());
      last = seq;
    }
    if (last > 0) await this.#jetstream.purge('agenda', subject, last + 1, deadline());
  }

  /** `false`: it is enough. */
  async #workOff(
    { subject, ends }: Slot,
    now: number,
    look: (entry: AgendaEntry) => Promise<Looked | 'enough'>,
    deadline: () => number,
  ): Promise<boolean> {
    const done = this.#done.get(subject) ?? new Set<number>();
    this.#done.set(subject, done);
    let [last, over] = [0, true];
    let group: Numbered[] = [];
    const lookAtGroup = async (): Promise<boolean> => {
      const looked = await Promise.all(group.map(({ entry }) => look(entry)));
      for (const [n, { seq }] of group.entries()) {
        if (looked[n] === 'done') done.add(seq);
        else over = false;
      }
      group = [];
      return !looked.includes('enough');
    };
    for await (const numbered of this.#entries(subject, deadline)) {
      last = numbered.seq;
      if (done.has(last)) continue;
      if (numbered.entry.at > now) over = false;
      else group.push(numbered);
      if (group.length === AT_ONCE && !(await lookAtGroup())) return false;
    }
    if (!(await lookAtGroup())) return false;
    if (!over || ends + SLOW_MS > now) return true;
    this.#done.delete(subject);
    if (last > 0) await this.#jetstream.purge('agenda', subject, last + 1, deadline());
    return true;
  }

  async *#entries(subject: string, deadline: () => number): AsyncGenerator<Numbered> {
    for (let from = 1; ;) {
      const stored = await this.#jetstream.next('agenda', subject, from, deadline());
      if (stored === undefined) return;
      from = stored.seq + 1;
      yield { seq: stored.seq, entry: this.#read(stored.data) };
    }
  }

  #read(data: Buffer): AgendaEntry {
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
function dueSlots(subjects: readonly string[], { name, width }: Wheel, now: number): readonly Slot[] {
  const slots: Slot[] = [];
  for (const subject of subjects) {
    const token = subject.slice(subject.lastIndexOf('.') + 1);
    const begins = token.startsWith(name) ? Number(token.slice(1)) * width : Infinity;
    if (begins <= now) slots.push({ subject, ends: begins + width });
  }
  return slots.sort((a, b) => a.ends - b.ends);
}
