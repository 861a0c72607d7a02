/** Values of labels that are few: what is not among them is `_OTHER`, as OpenTelemetry calls it. */
import { isObject } from '../protocol/jsonrpc.ts';

export const OTHER = '_OTHER';

/** Values that this library or the server chose. Past `most` further ones are `_OTHER`, so that no label grows. */
export class Few {
  readonly #most: number;
  readonly #known = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Adds it if there is room. */
  of(value: string): string {
    return this.#known.has(value) || this.adds(value) ? value : OTHER;
  }

  /** `false`: it is there already, or there is no room. */
  adds(value: string): boolean {
    if (this.#known.has(value) || this.#known.size >= this.#most) return false;
    this.#known.add(value);
    return true;
  }
}

/** More than this are no help on a dashboard. */
const MOST_NAMES = 200;

/** The tools, prompts or methods that the server has shown to have. A client that calls another name adds nothing. */
export class KnownNames {
  readonly #names = new Set<string>();
  #hasMissed = true;

  /** Whether a call had a name that is not known, so that a list is worth reading. */
  get wantsList(): boolean {
    return this.#hasMissed && this.#names.size < MOST_NAMES;
  }

  add(name: string): void {
    if (this.#names.size < MOST_NAMES) this.#names.add(name);
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
}

/** Adds the names in the `listed` of a result. */
export function addListed(listed: unknown, names: KnownNames, textOf: (name: string) => string): void {
  if (!Array.isArray(listed)) return;
  for (const one of listed as unknown[]) {
    if (isObject(one) && typeof one['name'] === 'string') names.add(textOf(one['name']));
  }
  names.learned();
}
