/**
 * The names of streams and subjects. All have the prefix. Names of deployments, ids of records and the like become
 * tokens of a subject: characters with a meaning there (`.`, `*`, `>`, blanks) are written as `=` and their bytes in
 * hexadecimal digits.
 *
 * Streams, each with its subjects:
 *
 * - `KV_<prefix>_records`, `$KV.<prefix>_records.<name>.<kind>.<id>`: the record, or the tombstone
 * - `KV_<prefix>_instances`, `$KV.<prefix>_instances.leases.<name>.<id>`: leases; also `secrets.…` and `clock.…`
 * - `<prefix>_log`, `<prefix>.log.<name>.<kind>.<id>`: appends, marks, claims; `part.…` for what is large
 * - `<prefix>_places`, `<prefix>.place.<name>.<kind>`: the order of `list` (`listing-order.ts`); of a grouped kind
 *   with `.<group>`
 * - `<prefix>_agenda`, `<prefix>.due.<name>.<kind>.<slot>`: cleanup work and its time (`cleanup-schedule.ts`)
 *
 * Mailboxes are `<prefix>.mail.<name>.<id>`, and the bus is `<prefix>.bus.<name>`; no stream stores those.
 */
import { digestText } from '../../base/digest.ts';
import type { Kind } from '../store.ts';

/** Longer tokens are hashed, because servers accept control lines of 4 KiB. */
const TOKEN_LENGTH = 512;
const PLAIN = /^[A-Za-z0-9_-]+$/;

/** Different texts have different tokens. */
export function token(text: string): string {
  if (text.length <= TOKEN_LENGTH && PLAIN.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const character = String.fromCharCode(byte);
    encoded += PLAIN.test(character) ? character : `=${byte.toString(16).padStart(2, '0')}`;
  }
  // No text encodes to `=` or `==…`: in encoded text, two digits follow each `=`.
  if (encoded === '') return '=';
  return encoded.length <= TOKEN_LENGTH ? encoded : `==${digestText(text)}`;
}

export const STREAMS = ['records', 'instances', 'log', 'places', 'agenda'] as const;

export type StreamKey = (typeof STREAMS)[number];

/** The subjects of one kind of records. */
export class KindNames {
  readonly #prefix: string;
  readonly #kind: string;
  /** One message for each record, in the order of their creation; of a grouped kind under the name of its group. */
  readonly #listing: string;

  constructor(prefix: string, deployment: string, kind: string) {
    this.#prefix = prefix;
    this.#kind = `${token(deployment)}.${kind}`;
    this.#listing = `${prefix}.place.${this.#kind}`;
  }

  listing(group?: string): string {
    return group === undefined ? this.#listing : `${this.#listing}.${token(group)}`;
  }

  /** Whether a message of the listing is about a record of this kind, in any group. */
  isListing(subject: string): boolean {
    return subject === this.#listing || subject.startsWith(`${this.#listing}.`);
  }

  record(id: string): string {
    return `$KV.${this.#prefix}_records.${this.#kind}.${token(id)}`;
  }

  /** Part `n` of a record that is too large for a message. Each write of the record has another `write`. */
  recordPart(id: string, write: string, n: number): string {
    return `${this.record(id)}.${write}.${n}`;
  }

  log(id: string): string {
    return `${this.#prefix}.log.${this.#kind}.${token(id)}`;
  }

  logPart(id: string): string {
    return `${this.#prefix}.part.${this.#kind}.${token(id)}`;
  }

  /** Entries of the cleanup schedule. */
  due(slot: string): string {
    return `${this.#prefix}.due.${this.#kind}.${slot}`;
  }

  get allDue(): string {
    return this.due('*');
  }
}

/** The subjects of a deployment and of its instances. */
export class Names {
  readonly #prefix: string;
  readonly #deployment: string;
  readonly #instances: string;
  readonly bus: string;

  constructor(prefix: string, deployment: string) {
    this.#prefix = prefix;
    this.#deployment = token(deployment);
    this.#instances = `$KV.${prefix}_instances`;
    this.bus = `${prefix}.bus.${this.#deployment}`;
  }

  /** The key of a record of a vital kind, by its token; `*`: of all. */
  vital({ name }: Kind, key: string): string {
    return `${this.#instances}.${name}.${this.#deployment}.${key}`;
  }

  get clock(): string {
    return `${this.#instances}.clock.${this.#deployment}`;
  }

  mailbox(instance: string): string {
    return `${this.#prefix}.mail.${this.#deployment}.${token(instance)}`;
  }
}

export function streamName(prefix: string, key: StreamKey): string {
  return key === 'records' || key === 'instances' ? `KV_${prefix}_${key}` : `${prefix}_${key}`;
}

export function streamSubjects(prefix: string, key: StreamKey): readonly string[] {
  switch (key) {
    case 'records':
    case 'instances':
      return [`$KV.${prefix}_${key}.>`];
    case 'log':
      return [`${prefix}.log.>`, `${prefix}.part.>`];
    case 'places':
      return [`${prefix}.place.>`];
    case 'agenda':
      return [`${prefix}.due.>`];
  }
}
