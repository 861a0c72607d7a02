/** Bytes of the subscriptions of live sessions, charged to the memory budget of the endpoint. */
import { overMemory, type SojournError, subscriptionsTooLarge, uriTooLarge } from '../../errors.ts';
import type { MemoryUse } from '../../http/slow-readers.ts';
import type { SessionLimits } from '../../types.ts';
import type { Subscriptions } from '../record/subscriptions.ts';

/** A URI in a set, and its part of the record. */
const ENTRY_BYTES = 64;

/** A session. */
export interface Subscriber {
  readonly record: { readonly subscriptions: Pick<Subscriptions, 'bytes' | 'characters' | 'has' | 'size'> | undefined };
}

export class HeldBytes {
  readonly #memory: MemoryUse;
  readonly #bySession = new Map<Subscriber, number>();

  constructor(memory: MemoryUse) {
    this.#memory = memory;
  }

  /** Charges a URI to which the session subscribes. An error: it is above a limit, and nothing is charged. */
  subscribe(session: Subscriber, uri: string, limits: Readonly<SessionLimits>): SojournError | undefined {
    if (Buffer.byteLength(uri) > limits.uriBytes) return uriTooLarge(limits.uriBytes);
    const uris = session.record.subscriptions;
    if (uris?.has(uri) === true) return undefined;
    const { size = 0, bytes = 0, characters = 0 } = uris ?? {};
    const all = bytes + Buffer.byteLength(uri);
    if (all > limits.subscriptionBytes) return subscriptionsTooLarge(limits.subscriptionBytes);
    return this.#set(session, characters + uri.length + (size + 1) * ENTRY_BYTES) ? undefined : overMemory();
  }

  /** `false`: there is no room for that many, and the session keeps what it had. */
  #set(session: Subscriber, bytes: number): boolean {
    const before = this.#bySession.get(session) ?? 0;
    if (bytes > before && !this.#memory.take(bytes - before, bytes)) return false;
    if (bytes < before) this.#memory.give(before - bytes);
    this.#bySession.set(session, bytes);
    return true;
  }

  delete(session: Subscriber): void {
    this.#memory.give(this.#bySession.get(session) ?? 0);
    this.#bySession.delete(session);
  }
}
