/**
 * Where everything stands: below the prefix and the endpoint's name. What belongs to one session, to one instance or to the
 * deployment as a whole has the same hash tag, and with it the same slot of a Cluster.
 */

const PLAIN = /^[\w.~-]+$/;

/** Any text as part of a key that no other text gives: what may mean something there is written as `%` and four digits. */
function part(text: string): string {
  if (PLAIN.test(text)) return text;
  if (text === '') return '%';
  return text.replace(/[^\w.~-]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** In the order in which scripts take them. */
export type SessionKeys = readonly [
  head: string,
  body: string,
  state: string,
  open: string,
  known: string,
  log: string,
];

/** Sessions whose keys are remembered; forgotten all at once when there are more. */
const REMEMBERED = 10_000;

export class Keys {
  readonly #sessions: string;
  readonly #deployment: string;
  readonly #remembered = new Map<string, SessionKeys>();
  /** Channels are the same in every database of a server. */
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
    if (this.#remembered.size >= REMEMBERED) this.#remembered.clear();
    this.#remembered.set(id, keys);
    return keys;
  }

  /** Every session, by its id. */
  get sessions(): string {
    return `${this.#deployment}sessions`;
  }

  /** The same by when to look at it. */
  get due(): string {
    return `${this.#deployment}due`;
  }

  /** Every instance, by when its entry may go. */
  get instances(): string {
    return `${this.#deployment}instances`;
  }

  secret(name: string): string {
    return `${this.#deployment}secret:${part(name)}`;
  }

  lease(instance: string): string {
    return `${this.#sessions}{${part(instance)}}:lease`;
  }

  /** That an id was taken once. */
  taken(instance: string): string {
    return `${this.#sessions}{${part(instance)}}:taken`;
  }

  mailbox(instance: string): string {
    return `${this.#sessions}{${part(instance)}}:mail${this.#channels}`;
  }

  /** A message that is too large for a channel. */
  letter(instance: string, no: string): string {
    return `${this.#sessions}{${part(instance)}}:letter:${no}`;
  }

  get bus(): string {
    return `${this.#deployment}bus${this.#channels}`;
  }
}
