/**
 * The order of `list`. Each record has one message, created and removed with the record and never changed. The stream
 * has nothing else, so that it can be read in order whatever was removed. The listing of one group reads all messages
 * too: servers of 2.9 do not find each message of a subject once its neighbours were removed.
 */
import { groupOf } from '../shared/groups.ts';
import type { Kind } from '../store.ts';
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
  readonly #kind: Kind;

  constructor(jetstream: JetStream, names: KindNames, kind: Kind) {
    this.#jetstream = jetstream;
    this.#names = names;
    this.#kind = kind;
  }

  async add(id: string): Promise<number> {
    const place: StoredPlace = { v: VERSION, id };
    const body = Buffer.from(JSON.stringify(place));
    return (await this.#jetstream.publish(this.#names.listing(groupOf(this.#kind, id)), body)) ?? 0;
  }

  async remove(place: number): Promise<void> {
    if (place > 0) await this.#jetstream.remove('places', place);
  }

  /** How many messages there are; how many a group has. */
  count(group?: string): Promise<number> {
    const everyGroup = this.#kind.grouped === true && group === undefined;
    const subject = this.#names.listing(group);
    return this.#jetstream.count('places', everyGroup ? `${subject}.>` : subject);
  }

  /** Entries after a place, in order. Those of other deployments, kinds and groups have only a sequence. */
  async *after(place: number, group?: string): AsyncGenerator<{ readonly seq: number; readonly own?: ListingEntry }> {
    const wanted = group === undefined ? undefined : this.#names.listing(group);
    for (let from = place + 1; ;) {
      const stored = await this.#jetstream.next('places', EVERYTHING, from);
      if (stored === undefined) return;
      const { seq, subject, data, at } = stored;
      from = seq + 1;
      const isOwn = wanted === undefined ? this.#names.isListing(subject) : subject === wanted;
      yield isOwn ? { seq, own: { id: this.#id(data), place: seq, at } } : { seq };
    }
  }

  #id(data: Buffer): string {
    const { where } = this.#jetstream.link;
    return storedJson<StoredPlace>(where, 'a place in the list', data, VERSION).id;
  }
}
