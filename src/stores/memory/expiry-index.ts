/**
 * Which sessions are past their expiry, without walking all of them: sessions stand in slots of expiry times, and only the
 * slots that are due are looked at. Putting and taking are O(1).
 */
import type { HeldSession } from './held-session.ts';

/** Wide enough that two hours are 1,800 slots, narrow enough that a sweep finds few sessions of its slot not yet due. */
const SLOT_MS = 4_000;

export class ExpiryIndex {
  readonly #slots = new Map<number, HeldSession[]>();

  /** After `record.expiresAt` was set. */
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

  /** Before `record.expiresAt` is changed, of a session that was put. The last of the slot takes its place. */
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

  /** Every session that is past its expiry. */
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
