/** Values of labels that are few: what is not among them is `_OTHER`, as OpenTelemetry calls it. */
import { isObject } from '../protocol/jsonrpc.ts';

export const OTHER = '_OTHER';

/** More than this are no help on a dashboard. */
const MOST_NAMES = 200;

/** Values that this library or the server chose. A client that sends another one adds nothing. */
export class KnownNames {
  readonly #most: number;
  readonly #names = new Set<string>();
  #hasMissed = true;

  constructor(most = MOST_NAMES) {
    this.#most = most;
  }

  get hasRoom(): boolean {
    return this.#names.size < this.#most;
  }

  /** Whether a call had a name that is not known, so that a list is worth reading. */
  get wantsList(): boolean {
    return this.#hasMissed && this.hasRoom;
  }

  /** `false`: it is there already, or there is no room. */
  add(name: string): boolean {
    if (this.#names.has(name) || this.#names.size >= this.#most) return false;
    this.#names.add(name);
    return true;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  learned(): void {
    this.#hasMissed = false;
  }

  of(name: string): string {
    if (this.#names.has(name)) return name;
    this.#hasMissed = true;
    return OTHER;
  }

  /** Adds it if there is room. */
  withRoom(name: string): string {
    this.add(name);
    return this.of(name);
  }
}

/** Adds the names in the `listed` of a result. */
export function addListed(
  listed: unknown,
  names: KnownNames,
  textOf: (name: string) => string,
): void {
  if (!Array.isArray(listed)) return;
  for (const one of listed as unknown[]) {
    if (isObject(one) && typeof one['name'] === 'string') names.add(textOf(one['name']));
  }
  names.learned();
}
