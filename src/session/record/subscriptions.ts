/**
 * The resource URIs that the client of one session is subscribed to. Their size is counted with each change, so that a
 * check of the limits does not walk through the list.
 */
export class Subscriptions {
  readonly #uris = new Set<string>();
  #bytes = 0;
  #characters = 0;

  constructor(uris: Iterable<string> = []) {
    for (const uri of uris) this.add(uri);
  }

  get size(): number {
    return this.#uris.size;
  }

  /** UTF-8 bytes of all URIs. */
  get bytes(): number {
    return this.#bytes;
  }

  /** UTF-16 units of all URIs, as the heap holds them. */
  get characters(): number {
    return this.#characters;
  }

  has(uri: string): boolean {
    return this.#uris.has(uri);
  }

  list(): string[] {
    return [...this.#uris];
  }

  /** `false`: the URI is in the list already. */
  add(uri: string): boolean {
    if (this.#uris.has(uri)) return false;
    this.#uris.add(uri);
    this.#bytes += Buffer.byteLength(uri);
    this.#characters += uri.length;
    return true;
  }

  /** `false`: the URI is not in the list. */
  delete(uri: string): boolean {
    if (!this.#uris.delete(uri)) return false;
    this.#bytes -= Buffer.byteLength(uri);
    this.#characters -= uri.length;
    return true;
  }
}
