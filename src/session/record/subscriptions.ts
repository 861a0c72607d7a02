/** The resource URIs that the client of one session is subscribed to, charged to the memory budget until it leaves. */
import { type SojournError, subscriptionsTooLarge } from '../../base/errors.ts';
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

  constructor(memory: MemoryUse, share: string) {
    this.#memory = memory;
    this.#share = share;
  }

  /** What they take in memory. */
  get charged(): number {
    return sum(this.#uris, memoryOfUri);
  }

  /**
   * Why these cannot all be added. A full memory refuses the request that names them, so here only their number of
   * bytes counts.
   */
  refusal(uris: ReadonlySet<string>): SojournError | undefined {
    if ([...uris].every((uri) => this.#uris.has(uri))) return undefined;
    const bytes = sum(new Set([...this.#uris, ...uris]), countedBytes);
    return bytes > SUBSCRIPTION_BYTES ? subscriptionsTooLarge(SUBSCRIPTION_BYTES) : undefined;
  }

  /** The session leaves. */
  release(): void {
    this.#memory.give(this.charged, this.#share);
    this.#uris.clear();
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
    this.#memory.charge(memoryOfUri(uri), this.#share);
    return true;
  }

  /** `false`: the URI is not in the list. */
  delete(uri: string): boolean {
    if (!this.#uris.delete(uri)) return false;
    this.#memory.give(memoryOfUri(uri), this.#share);
    return true;
  }
}

const sum = (uris: Iterable<string>, of: (uri: string) => number): number =>
  [...uris].reduce((all, uri) => all + of(uri), 0);
