/**
 * The resource URIs that the client of one session is subscribed to, in the order in which it subscribed. Their size is
 * counted with each change, so that a check of the limits does not walk through the list.
 */
import type { RecordPatch, SubscriptionChange } from '../stores/store.ts';

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

  /** `false`: the URI is in the list already and keeps its place. */
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

  /**
   * What a retry writes for changes that may not be stored: their present outcome. A later change may be stored
   * already, so every URI after the first of them is repeated, which keeps the order.
   */
  again(unsaved: readonly SubscriptionChange[]): SubscriptionChange[] {
    const changes: SubscriptionChange[] = [];
    const kept = new Set<string>();
    for (const [uri] of unsaved) {
      if (this.#uris.has(uri)) kept.add(uri);
      else changes.push([uri, false]);
    }
    let repeats = false;
    for (const uri of this.#uris) {
      repeats ||= kept.has(uri);
      if (repeats) changes.push([uri, true]);
    }
    return changes;
  }
}

/** One patch for both. */
export function mergedPatch(earlier: RecordPatch | undefined, later: RecordPatch | undefined): RecordPatch {
  const changes = new Map<string, boolean>();
  for (const [uri, subscribed] of [...(earlier?.subscriptions ?? []), ...(later?.subscriptions ?? [])]) {
    changes.delete(uri);
    changes.set(uri, subscribed);
  }
  return { ...earlier, ...later, ...(changes.size > 0 && { subscriptions: [...changes] }) };
}
