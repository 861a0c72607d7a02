/**
 * The names of all keys: the prefix, the endpoint's name, then the purpose. All keys of one session have the same hash
 * tag, and so the same slot of a Cluster. The same is true for all keys of one instance, and of the deployment.
 */
import { BoundedMap } from '../../bounded-map.ts';

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
 * * `b` body (JSON)
 * * `s` state (a hash)
 * * `o` open streams and markers (a hash)
 * * `k` known streams (a hash)
 * * `l` log (a list)
 */
export type SessionKeys = readonly [
  head: string,
  body: string,
  state: string,
  open: string,
  known: string,
  log: string,
];

/** Sessions whose keys are cached. A full cache is cleared. */
const REMEMBERED = 10_000;

export class Keys {
  readonly #sessions: string;
  readonly #deployment: string;
  readonly #remembered = new BoundedMap<string, SessionKeys>(REMEMBERED);
  /** Channels are shared by all databases of a server, so the number of the database is part of their names. */
  readonly #channels: string;

  constructor(prefix: string, name: string, database: number) {
    this.#sessions = `${prefix}:${part(name)}:`;
    this.#deployment = `${prefix}:{${part(name)}}:`;
    this.#channels = database === 0 ? '' : `@${database}`;
  }

  session(id: string): SessionKeys {
    const known = this.#remembered.get(id);
    if (known !== undefined) return known;
    const base = `${this.#sessions}{${part(id)}}:`;
    const keys: SessionKeys = [`${base}r`, `${base}b`, `${base}s`, `${base}o`, `${base}k`, `${base}l`];
    this.#remembered.set(id, keys);
    return keys;
  }

  /** Every session, sorted by id. */
  get sessions(): string {
    return `${this.#deployment}sessions`;
  }

  /** Every session, sorted by the time of its next check. */
  get due(): string {
    return `${this.#deployment}due`;
  }

  /** Every instance, sorted by the time of the next check of its entry. */
  get instances(): string {
    return `${this.#deployment}instances`;
  }

  secret(name: string): string {
    return `${this.#deployment}secret:${part(name)}`;
  }

  lease(instance: string): string {
    return `${this.#sessions}{${part(instance)}}:lease`;
  }

  /** Records that an id was used. */
  taken(instance: string): string {
    return `${this.#sessions}{${part(instance)}}:taken`;
  }

  mailbox(instance: string): string {
    return `${this.#sessions}{${part(instance)}}:mail${this.#channels}`;
  }

  /** A message that is too large for a channel. */
  largeMessage(instance: string, no: string): string {
    return `${this.#sessions}{${part(instance)}}:letter:${no}`;
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
