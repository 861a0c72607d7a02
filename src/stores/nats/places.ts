/** The order of `list`: a message for each session, made with it and removed with it, and never changed. */
import { unreadable } from './failures.ts';
import type { JetStream } from './jetstream.ts';
import type { Names } from './names.ts';

export interface Place {
  readonly id: string;
  readonly place: number;
  /** ms since 1970, the server's clock. */
  readonly at: number;
}

export class Places {
  readonly #jetstream: JetStream;
  readonly #names: Names;

  constructor(jetstream: JetStream, names: Names) {
    this.#jetstream = jetstream;
    this.#names = names;
  }

  async add(id: string, deadline: number): Promise<number> {
    return (
      (await this.#jetstream.publish(this.#names.places, Buffer.from(JSON.stringify({ v: 1, id })), deadline)) ?? 0
    );
  }

  remove(place: number, deadline: number): Promise<boolean> {
    return this.#jetstream.remove('index', place, deadline);
  }

  /** How many there are. */
  async count(deadline: number): Promise<number> {
    return (await this.#jetstream.subjects('index', this.#names.places, deadline)).get(this.#names.places) ?? 0;
  }

  /** Those after a place, in order. */
  async *after(place: number, deadline: () => number): AsyncGenerator<Place> {
    for (let from = place + 1; ;) {
      const stored = await this.#jetstream.next('index', this.#names.places, from, deadline());
      if (stored === undefined) return;
      from = stored.seq + 1;
      yield { id: this.#id(stored.data), place: stored.seq, at: stored.at };
    }
  }

  #id(data: Buffer): string {
    try {
      return (JSON.parse(data.toString()) as { readonly id: string }).id;
    } catch (cause) {
      throw unreadable(this.#jetstream.link.where, 'an entry of the index', cause);
    }
  }
}
