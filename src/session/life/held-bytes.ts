/**
 * Bytes that live sessions hold for their clients beyond a fixed size, charged to the memory budget of the endpoint.
 */
import type { MemoryUse } from '../../http/slow-readers.ts';
import type { LiveSession } from '../session.ts';

export class HeldBytes {
  readonly #memory: MemoryUse;
  readonly #bySession = new Map<LiveSession, number>();

  constructor(memory: MemoryUse) {
    this.#memory = memory;
  }

  /** `false`: there is no room for that many, and the session keeps what it had. */
  set(session: LiveSession, bytes: number): boolean {
    const before = this.#bySession.get(session) ?? 0;
    if (bytes > before && !this.#memory.take(bytes - before, bytes)) return false;
    if (bytes < before) this.#memory.give(before - bytes);
    this.#bySession.set(session, bytes);
    return true;
  }

  delete(session: LiveSession): void {
    this.#memory.give(this.#bySession.get(session) ?? 0);
    this.#bySession.delete(session);
  }
}
