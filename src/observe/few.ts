/** Values of labels that are few: what is not among them is `_OTHER`, as OpenTelemetry calls it. */
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
    if (this.#known.has(value)) return value;
    if (this.#known.size >= this.#most) return OTHER;
    this.#known.add(value);
    return value;
  }
}

/** More than this are no help on a dashboard. */
const MOST_TOOLS = 200;

/** The names of tools that the server has shown to have. A client that calls any other name adds nothing. */
export class ToolNames {
  readonly #names = new Set<string>();
  #hasMissed = true;

  /** Whether a call had a name that is not known, so that a list of tools is worth reading. */
  get wantsList(): boolean {
    return this.#hasMissed && this.#names.size < MOST_TOOLS;
  }

  add(name: string): void {
    if (this.#names.size < MOST_TOOLS) this.#names.add(name);
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
