/**
 * A `Headers` over an exchange's own lookup. `get` and `has` copy nothing; every other method creates a real `Headers`
 * once. The SDK looks up half a dozen fields of each modern request, and most handlers look up none.
 */
export interface HeaderSource {
  header(name: string): string | undefined;
  /** All fields, by lower-case name. */
  headerFields(): Readonly<Record<string, string | readonly string[] | undefined>>;
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

class HeaderView {
  readonly #source: HeaderSource;
  readonly #overrides: ReadonlyMap<string, string>;
  #real: Headers | undefined;

  constructor(source: HeaderSource, overrides: ReadonlyMap<string, string>) {
    this.#source = source;
    this.#overrides = overrides;
  }
  #copy(): Headers {
    if (this.#real === undefined) {
      this.#real = new Headers();
      for (const [name, value] of Object.entries(this.#source.headerFields())) {
        // HTTP/2 has fields such as `:path`.
        if (name.startsWith(':')) continue;
        for (const one of typeof value === 'string' ? [value] : (value ?? [])) this.#real.append(name, one);
      }
      for (const [name, value] of this.#overrides) this.#real.set(name, value);
    }
    return this.#real;
  }
  get(name: string): string | null {
    if (this.#real !== undefined) return this.#real.get(name);
    const key = name.toLowerCase();
    return this.#overrides.get(key) ?? this.#source.header(key) ?? null;
  }
  has(name: string): boolean {
    return this.get(name) !== null;
  }
  append(name: string, value: string): void {
    this.#copy().append(name, value);
  }
  delete(name: string): void {
    this.#copy().delete(name);
  }
  set(name: string, value: string): void {
    this.#copy().set(name, value);
  }
  getSetCookie(): string[] {
    return this.#copy().getSetCookie();
  }
  forEach(fn: (value: string, key: string, parent: Headers) => void): void {
    this.#copy().forEach(fn);
  }
  entries(): HeadersIterator<[string, string]> {
    return this.#copy().entries();
  }
  keys(): HeadersIterator<string> {
    return this.#copy().keys();
  }
  values(): HeadersIterator<string> {
    return this.#copy().values();
  }
  [Symbol.iterator](): HeadersIterator<[string, string]> {
    return this.#copy().entries();
  }
  /** The inherited inspector reads private fields, so `console.log(request)` would throw. */
  [INSPECT](_depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    return inspect(this.#copy(), options);
  }
}

type HeadersIterator<T> = IterableIterator<T>;

Object.setPrototypeOf(HeaderView.prototype, Headers.prototype);

export function createHeaderView(source: HeaderSource, overrides: ReadonlyMap<string, string>): Headers {
  return new HeaderView(source, overrides);
}
