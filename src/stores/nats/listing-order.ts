/**
 * The order of `list`. Each session has one message, created and removed with the session and never changed. The stream
 * has nothing else, so that it can be read in order whatever was removed.
 */
import { unreadable } from './failures.ts';
import type { JetStream } from './jetstream.ts';
import type { Names } from './names.ts';

export interface ListingEntry {
  readonly id: string;
  readonly place: number;
  /** ms since 1970, the server's clock. */
  readonly at: number;
}

const EVERYTHING = '>';

export class NatsListingOrder {
  readonly #jetstream: JetStream;
  readonly #names: Names;

  constructor(jetstream: JetStream, names: Names) {
    this.#jetstream = jetstream;
    this.#names = names;
  }

  async add(id: string, deadline: number): Promise<number> {
    const body = Buffer.from(JSON.stringify({ v: 1, id }));
    return (await this.#jetstream.publish(this.#names.listing, body, deadline)) ?? 0;
  }

  remove(place: number, deadline: number): Promise<boolean> {
    return this.#jetstream.remove('places', place, deadline);
  }

  /** The number of entries. */
  async count(deadline: number): Promise<number> {
    const { listing } = this.#names;
    return (await this.#jetstream.subjects('places', listing, deadline)).get(listing) ?? 0;
  }

  /** Entries after a place, in order, without those of other deployments. */
  async *after(place: number, deadline: () => number): AsyncGenerator<ListingEntry> {
    for await (const { own } of this.all(place, deadline)) if (own !== undefined) yield own;
  }

  /** The same including entries of other deployments, which have only a sequence. */
  async *all(
    place: number,
    deadline: () => number,
  ): AsyncGenerator<{ readonly seq: number; readonly own?: ListingEntry }> {
    for (let from = place + 1; ;) {
      const stored = await this.#jetstream.next('places', EVERYTHING, from, deadline());
      if (stored === undefined) return;
      const { seq, subject, data, at } = stored;
      from = seq + 1;
      yield subject === this.#names.listing ? { seq, own: { id: this.#id(data), place: seq, at } } : { seq };
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
