/**
 * Finds expired sessions without a walk over all of them. Each session is in a slot of its expiry time, and `due` looks
 * at slots whose time has come. `put` and `take` are O(1).
 */
import type { HeldSession } from './held-session.ts';

/** Two hours are 1,800 slots. A wider slot would make a sweep look at more sessions that are not due yet. */
const SLOT_MS = 4_000;

export class ExpiryIndex {
  readonly #slots = new Map<number, HeldSession[]>();

  /** Call it after `expiresAt` of the record is set. */
  put(session: HeldSession): void {
    const { expiresAt } = session;
    if (expiresAt === null) return;
    const slot = slotOf(expiresAt);
    const sessions = this.#slots.get(slot);
    if (sessions === undefined) {
      session.slotIndex = 0;
      this.#slots.set(slot, [session]);
    } else session.slotIndex = sessions.push(session) - 1;
  }

  /**
   * Call it before `expiresAt` of a session in the index changes. The last session of the slot moves into the free
   * index.
   */
  take(session: HeldSession): void {
    const { expiresAt } = session;
    if (expiresAt === null) return;
    const slot = slotOf(expiresAt);
    const sessions = this.#slots.get(slot);
    const last = sessions?.pop();
    if (sessions !== undefined && last !== undefined && last !== session) {
      sessions[session.slotIndex] = last;
      last.slotIndex = session.slotIndex;
    }
    if (sessions?.length === 0) this.#slots.delete(slot);
  }

  /** Every expired session. */
  *due(now: number): Generator<HeldSession> {
    const current = slotOf(now);
    for (const [slot, sessions] of this.#slots) {
      if (slot > current) continue;
      for (const session of sessions) {
        if (session.expired(now)) yield session;
      }
    }
  }
}

const slotOf = (at: number): number => Math.floor(at / SLOT_MS);
