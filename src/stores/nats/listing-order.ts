/**
 * The order of `list`. Each record has one message, created and removed with the record and never changed. The stream
 * has nothing else, so that it can be read in order whatever was removed.
 */
import type { JetStream } from './jetstream.ts';
import type { KindNames } from './names.ts';
import { storedJson } from './stored-json.ts';

export interface ListingEntry {
  readonly id: string;
  readonly place: number;
  /** ms since 1970, the server's clock. */
  readonly at: number;
}

interface StoredPlace {
  readonly v: number;
  readonly id: string;
}

const VERSION = 1;
const EVERYTHING = '>';

export class NatsListingOrder {
  readonly #jetstream: JetStream;
  readonly #names: KindNames;

  constructor(jetstream: JetStream, names: KindNames) {
    this.#jetstream = jetstream;
    this.#names = names;
  }

  async add(id: string): Promise<number> {
    const place: StoredPlace = { v: VERSION, id };
    const body = Buffer.from(JSON.stringify(place));
    return (await this.#jetstream.publish(this.#names.listing, body)) ?? 0;
  }

  async remove(place: number): Promise<void> {
    if (place > 0) await this.#jetstream.remove('places', place);
  }

  /** Entries after a place, in order. Those of other deployments and kinds have only a sequence. */
  async *after(place: number): AsyncGenerator<{ readonly seq: number; readonly own?: ListingEntry }> {
    for (let from = place + 1; ;) {
      const stored = await this.#jetstream.next('places', EVERYTHING, from);
      if (stored === undefined) return;
      const { seq, subject, data, at } = stored;
      from = seq + 1;
      yield subject === this.#names.listing ? { seq, own: { id: this.#id(data), place: seq, at } } : { seq };
    }
  }

  #id(data: Buffer): string {
    const { where } = this.#jetstream.link;
    return storedJson<StoredPlace>(where, 'a place in the list', data, VERSION).id;
  }
}
