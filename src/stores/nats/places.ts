/**
 * The order of `list`: a message for each session, made with it and removed with it, and never changed. They stand in a
 * stream that has nothing else, so that it is read in its order, whatever was removed from it.
 */
import { unreadable } from './failures.ts';
import type { JetStream } from './jetstream.ts';
import type { Names } from './names.ts';

export interface Place {
  readonly id: string;
  readonly place: number;
  /** ms since 1970, the server's clock. */
  readonly at: number;
}

const EVERYTHING = '>';

export class Places {
  readonly #jetstream: JetStream;
  readonly #names: Names;

  constructor(jetstream: JetStream, names: Names) {
    this.#jetstream = jetstream;
    this.#names = names;
  }

  async add(id: string, deadline: number): Promise<number> {
    const body = Buffer.from(JSON.stringify({ v: 1, id }));
    return (await this.#jetstream.publish(this.#names.places, body, deadline)) ?? 0;
  }

  remove(place: number, deadline: number): Promise<boolean> {
    return this.#jetstream.remove('places', place, deadline);
  }

  /** How many there are. */
  async count(deadline: number): Promise<number> {
    const { places } = this.#names;
    return (await this.#jetstream.subjects('places', places, deadline)).get(places) ?? 0;
  }

  /** Those after a place, in order. Those of other deployments are passed over. */
  async *after(place: number, deadline: () => number): AsyncGenerator<Place> {
    for await (const { own } of this.all(place, deadline)) if (own !== undefined) yield own;
  }

  /** The same with those of other deployments, of which only the sequence is told. */
  async *all(place: number, deadline: () => number): AsyncGenerator<{ readonly seq: number; readonly own?: Place }> {
    for (let from = place + 1; ;) {
      const stored = await this.#jetstream.next('places', EVERYTHING, from, deadline());
      if (stored === undefined) return;
      const { seq, subject, data, at } = stored;
      from = seq + 1;
      yield subject === this.#names.places ? { seq, own: { id: this.#id(data), place: seq, at } } : { seq };
    }
  }

  #id(data: Buffer): string {
    try {
      return (JSON.parse(data.toString()) as { readonly id: string }).id;
    } catch (cause) {
      throw unreadable(this.#jetstream.link.where, 'a place in the list', cause);
    }
  }
}
