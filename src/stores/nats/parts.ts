/**
 * Splits what is larger than a message. The parts are stored first, then the message that names them. Readers look only
 * for that message, so the whole is there or not at all.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { JetStream, Stored } from './jetstream.ts';
import type { Part } from './link.ts';
import type { StreamKey } from './names.ts';
import { storedJson } from './stored-json.ts';

/** Servers accept 1 MiB by default (`max_payload`), including headers. */
const PART_BYTES = 900 * 1_024;
const HEADER_BYTES = 4_096;
/** The first byte of a message that names parts. An unsplit message begins with a brace. */
const MARK = 1;
const VERSION = 1;
const AT_ONCE = 8;

interface Index {
  readonly v: number;
  readonly parts: readonly number[];
  readonly bytes: number;
}

export class Parts {
  readonly #jetstream: JetStream;

  constructor(jetstream: JetStream) {
    this.#jetstream = jetstream;
  }

  get limit(): number {
    return partBytes(this.#jetstream.link.info?.max_payload);
  }

  /** The number of parts of a body; 0: it fits into one message. */
  count(body: Uint8Array): number {
    return body.length <= this.limit ? 0 : Math.ceil(body.length / this.limit);
  }

  /** Stores the parts. Returns the message that names them, and their sequences. */
  async store(
    body: Buffer,
    subjectOf: (n: number) => string,
  ): Promise<{ readonly body: Buffer; readonly parts: readonly number[] }> {
    const { limit } = this;
    const parts: number[] = [];
    for (let from = 0; from < body.length; from += limit) {
      const seq = await this.#jetstream.publish(subjectOf(parts.length), body.subarray(from, from + limit));
      // A message without an expected sequence is never refused.
      if (seq !== undefined) parts.push(seq);
    }
    const index: Index = { v: VERSION, parts, bytes: body.length };
    return { body: Buffer.concat([Buffer.of(MARK), Buffer.from(JSON.stringify(index))]), parts };
  }

  /** The sequences of the parts that a message names. */
  named({ data }: Stored): readonly number[] {
    return data[0] === MARK ? this.#index(data).parts : [];
  }

  /** The whole body; `undefined`: a part was removed. */
  async whole(stream: StreamKey, { data }: Stored): Promise<Buffer | undefined> {
    if (data[0] !== MARK) return data;
    const { parts, bytes } = this.#index(data);
    const bodies = await this.bodies(stream, parts);
    const whole = bodies && Buffer.concat(bodies);
    return whole?.length === bytes ? whole : undefined;
  }

  /** The bodies of these messages; `undefined`: one was removed. */
  async bodies(stream: StreamKey, seqs: readonly number[]): Promise<Buffer[] | undefined> {
    const bodies: Buffer[] = [];
    for (let n = 0; n < seqs.length; n += AT_ONCE) {
      const some = seqs.slice(n, n + AT_ONCE);
      for (const part of await Promise.all(some.map((seq) => this.#jetstream.at(stream, seq)))) {
        if (part === undefined) return undefined;
        bodies.push(part.data);
      }
    }
    return bodies;
  }

  #index(data: Buffer): Index {
    return storedJson<Index>(this.#jetstream.link.where, 'a message in parts', data.subarray(1), VERSION);
  }
}

export const partBytes = (maxPayload = PART_BYTES): number => Math.min(PART_BYTES, maxPayload - HEADER_BYTES);

const PART = 'Sojourn-Part';

/** For mailboxes: the header of each part has its number and the number of parts. */
export function cut(body: Buffer, limit: number, name: string): readonly Part[] {
  if (body.length <= limit) return [{ body }];
  const count = Math.ceil(body.length / limit);
  return Array.from({ length: count }, (_, n) => ({
    body: body.subarray(n * limit, (n + 1) * limit),
    headers: { [PART]: `${name} ${n} ${count}` },
  }));
}

/** `cut` makes headers of some 30 characters. */
const HEADER_LENGTH = 128;
/**
 * What the incomplete messages of a mailbox may hold together. Parts are kept before the signature of their message can
 * be checked. Links send at most 8 MiB without an acknowledgement, or one larger item.
 */
export const INCOMPLETE_BYTES = 67_108_864;
/** What a part holds besides its bytes. */
const KEPT_PART_BYTES = 512;

interface Incomplete {
  readonly name: string;
  readonly parts: Uint8Array[];
  readonly count: number;
  bytes: number;
}

/** Senders repeat a message that was dropped. */
const BOUND = { most: INCOMPLETE_BYTES, of: ({ bytes }: Incomplete) => bytes };

/**
 * Incomplete messages by sender, the longest without a new part first. The parts of a sender come in order, so its next
 * message drops an incomplete one.
 */
export class Joiner {
  readonly #incomplete = new BoundedMap<string, Incomplete>(Infinity, BOUND);

  /** The body, when it is complete. */
  add(part: string | undefined, body: Uint8Array): Uint8Array | undefined {
    if (part === undefined || part === '') return body;
    if (part.length > HEADER_LENGTH) return undefined;
    const [name = '', n, count] = part.split(' ');
    const [sender = ''] = name.split('/');
    const before = this.#incomplete.get(sender);
    this.#incomplete.delete(sender);
    const message = n === '0' ? { name, parts: [], count: Number(count), bytes: 0 } : before;
    // An earlier part was lost, so the message cannot become complete.
    if (message === undefined || message.name !== name || message.parts.length !== Number(n)) return undefined;
    // A copy, because a small body may be a view of a large buffer.
    message.parts.push(new Uint8Array(body));
    if (message.parts.length >= message.count) return Buffer.concat(message.parts);
    message.bytes += body.length + KEPT_PART_BYTES;
    this.#incomplete.set(sender, message);
    return undefined;
  }
}

export { PART as PART_HEADER };
