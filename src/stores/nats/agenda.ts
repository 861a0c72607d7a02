/**
 * What is to be looked at, and when: sessions that expire, tombstones that are to be forgotten, parts that may have been
 * left behind. An entry is a message under the slot of its time; slots are narrow for what is near and wide for what is far,
 * so that few are in use at once, and nothing else is searched. An entry is a hint: what is true stands in the record.
 */
import { newerValue, unreadable } from './failures.ts';
import type { JetStream } from './jetstream.ts';
import type { Names } from './names.ts';

const VERSION = 1;

/** What is no further away than `within` stands in slots of `width`. */
const WHEELS = [
  { name: 's', width: 10_000, within: 1_800_000 },
  { name: 'm', width: 600_000, within: 86_400_000 },
  { name: 'd', width: 86_400_000, within: Infinity },
] as const;

export interface AgendaItem {
  readonly id: string;
  /** ms since 1970, the server's clock. */
  readonly at: number;
  /** Of a record that is too large for a message; the session itself where absent. */
  readonly parts?: { readonly name: string; readonly count: number };
}

export interface AgendaEntry extends AgendaItem {
  readonly seq: number;
}

export class Agenda {
  readonly #jetstream: JetStream;
  readonly #names: Names;
  readonly #now: (deadline: number) => Promise<number>;

  constructor(jetstream: JetStream, names: Names, now: (deadline: number) => Promise<number>) {
    this.#jetstream = jetstream;
    this.#names = names;
    this.#now = now;
  }

  async add(item: AgendaItem, deadline: number): Promise<number | undefined> {
    const ahead = item.at - (await this.#now(deadline));
    const wheel = WHEELS.find(({ within }) => ahead <= within) ?? WHEELS[0];
    const subject = this.#names.due(wheel.name, Math.floor(item.at / wheel.width));
    return this.#jetstream.publish(subject, Buffer.from(JSON.stringify({ v: VERSION, ...item })), deadline);
  }

  /** `false`: somebody else has done it. */
  remove({ seq }: AgendaEntry, deadline: number): Promise<boolean> {
    return this.#jetstream.remove('index', seq, deadline);
  }

  /** A new entry instead of one; with nothing that can be lost in between. */
  async move(entry: AgendaEntry, at: number, deadline: number): Promise<void> {
    const { seq: _before, ...item } = entry;
    const seq = await this.add({ ...item, at }, deadline);
    if (!(await this.remove(entry, deadline)) && seq !== undefined)
      await this.#jetstream.remove('index', seq, deadline);
  }

  /** What is due; entries that are nearer than their slot is wide are moved on the way. */
  async *due(deadline: () => number): AsyncGenerator<AgendaEntry> {
    const now = await this.#now(deadline());
    const slots = await this.#jetstream.subjects('index', this.#names.allIndex, deadline());
    for (const { name, width } of WHEELS) {
      const last = Math.floor(now / width);
      const due = [...slots.keys()].map((subject) => this.#slot(subject, name)).filter((slot) => slot <= last);
      for (const slot of due.sort((a, b) => a - b)) {
        for await (const entry of this.#entries(this.#names.due(name, slot), deadline)) {
          if (entry.at <= now) yield entry;
          else if (name !== 's') await this.move(entry, entry.at, deadline());
        }
      }
    }
  }

  /** Infinity: it is none of this wheel. */
  #slot(subject: string, wheel: string): number {
    const token = subject.slice(subject.lastIndexOf('.') + 1);
    return token.startsWith(wheel) && /^\d+$/.test(token.slice(1)) ? Number(token.slice(1)) : Infinity;
  }

  async *#entries(subject: string, deadline: () => number): AsyncGenerator<AgendaEntry> {
    for (let from = 1; ;) {
      const stored = await this.#jetstream.next('index', subject, from, deadline());
      if (stored === undefined) return;
      from = stored.seq + 1;
      yield { ...this.#item(stored.data), seq: stored.seq };
    }
  }

  #item(data: Buffer): AgendaItem {
    const { where } = this.#jetstream.link;
    let item: AgendaItem & { readonly v: number };
    try {
      item = JSON.parse(data.toString()) as typeof item;
    } catch (cause) {
      throw unreadable(where, 'an entry of the index', cause);
    }
    if (item.v > VERSION) throw newerValue(where, 'an entry of the index', item.v, VERSION);
    return item;
  }
}
