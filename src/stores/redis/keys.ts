/**
 * The names of all keys: the prefix, the endpoint's name, the kind of records, then the purpose. All keys of one record
 * have the same hash tag, and so the same slot of a Cluster. The same is true for all keys of one instance, and of the
 * deployment.
 */
import { BoundedMap } from '../../base/bounded-map.ts';

const PLAIN = /^[\w.~-]+$/;
const LARGE_MESSAGE_NAME = /^[\w-]{1,64}$/;

/** Encodes any text as part of a key, without collisions: special characters become `%` and four hex digits. */
function part(text: string): string {
  if (PLAIN.test(text)) return text;
  if (text === '') return '%';
  return text.replace(/[^\w.~-]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * In the order in which scripts take them. The letters after the hash tag are the stored names:
 * * `r` head (a hash)
 * * `b` body
 * * `s` fields (a hash)
 * * `o` open streams and marks (a hash)
 * * `k` known streams (a hash)
 * * `l` log (a list)
 */
export type RecordKeys = readonly [
  head: string,
  body: string,
  fields: string,
  open: string,
  known: string,
  log: string,
];

/** Records whose keys are cached. */
const REMEMBERED = 10_000;

/** The keys of one kind of records. */
export class KindKeys {
  readonly #records: string;
  /** Every record, sorted by id. */
  readonly all: string;
  /** Every record, sorted by the time of its next check. */
  readonly due: string;
  readonly #remembered = new BoundedMap<string, RecordKeys>(REMEMBERED);

  constructor(prefix: string, name: string, kind: string) {
    this.#records = `${prefix}:${part(name)}:${kind}:`;
    this.all = `${prefix}:{${part(name)}}:${kind}:all`;
    this.due = `${prefix}:{${part(name)}}:${kind}:due`;
  }

  record(id: string): RecordKeys {
    const known = this.#remembered.get(id);
    if (known !== undefined) return known;
    const base = `${this.#records}{${part(id)}}:`;
    const keys: RecordKeys = [`${base}r`, `${base}b`, `${base}s`, `${base}o`, `${base}k`, `${base}l`];
    this.#remembered.set(id, keys);
    return keys;
  }
}

/** The keys of a deployment and of its instances. */
export class Keys {
  readonly #instances: string;
  readonly #deployment: string;
  /** Channels are shared by all databases of a server, so the number of the database is part of their names. */
  readonly #channels: string;

  constructor(prefix: string, name: string, database: number) {
    this.#instances = `${prefix}:${part(name)}:`;
    this.#deployment = `${prefix}:{${part(name)}}:`;
    this.#channels = database === 0 ? '' : `@${database}`;
  }

  mailbox(instance: string): string {
    return `${this.#instances}{${part(instance)}}:mail${this.#channels}`;
  }

  /** A message that is too large for a channel. */
  largeMessage(instance: string, no: string): string {
    return `${this.#instances}{${part(instance)}}:letter:${no}`;
  }

  /** Whether a key is that of a large message to this instance. */
  isLargeMessage(instance: string, key: string): boolean {
    const start = this.largeMessage(instance, '');
    return key.startsWith(start) && LARGE_MESSAGE_NAME.test(key.slice(start.length));
  }

  get bus(): string {
    return `${this.#deployment}bus${this.#channels}`;
  }
}
