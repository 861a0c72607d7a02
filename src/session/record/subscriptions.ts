/**
 * The resource URIs that the client of one session is subscribed to. Their size is counted with each change, and charged
 * to the memory budget of the endpoint until the session leaves.
 */
import { overMemory, type SojournError, subscriptionsTooLarge } from '../../errors.ts';
import type { MemoryUse } from '../../base/budget.ts';
import { memoryOfUri } from './memory.ts';

/** Bytes of all resource URIs that one session is subscribed to. */
export const SUBSCRIPTION_BYTES = 65_536;
/** What a URI counts at least. */
const ENTRY_BYTES = 64;

/** What a URI counts in `SUBSCRIPTION_BYTES`: a short one counts as its entry, so their number is bounded too. */
export const countedBytes = (uri: unknown): number =>
  typeof uri === 'string' ? Math.max(ENTRY_BYTES, Buffer.byteLength(uri)) : ENTRY_BYTES;

export class Subscriptions {
  readonly #memory: MemoryUse;
  /** Whose share they count in. */
  readonly #share: string;
  readonly #uris = new Set<string>();
  /** What all URIs count. */
  #bytes = 0;
  #charged = 0;

  constructor(memory: MemoryUse, share: string) {
    this.#memory = memory;
    this.#share = share;
  }

  /** What they take in memory. */
  get charged(): number {
    return this.#charged;
  }

  /** Why these cannot all be added; `undefined`: there is room, which is charged when their server has taken each. */
  refusal(uris: ReadonlySet<string>): SojournError | undefined {
    let bytes = this.#bytes;
    let more = 0;
    for (const uri of uris) {
      if (this.#uris.has(uri)) continue;
      bytes += countedBytes(uri);
      more += memoryOfUri(uri);
    }
    if (more === 0) return undefined;
    if (bytes > SUBSCRIPTION_BYTES) return subscriptionsTooLarge(SUBSCRIPTION_BYTES);
    if (!this.#memory.take(more, this.#charged, this.#share)) return overMemory();
    this.#memory.give(more, this.#share);
    return undefined;
  }

  /** The session leaves. */
  release(): void {
    this.#memory.give(this.#charged, this.#share);
    this.#charged = 0;
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
    this.#count(uri, 1);
    return true;
  }

  /** `false`: the URI is not in the list. */
  delete(uri: string): boolean {
    if (!this.#uris.delete(uri)) return false;
    this.#count(uri, -1);
    return true;
  }

  #count(uri: string, by: 1 | -1): void {
    const bytes = by * memoryOfUri(uri);
    this.#bytes += by * countedBytes(uri);
    this.#charged += bytes;
    this.#memory.charge(bytes, this.#share);
  }
}
