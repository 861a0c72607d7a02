/**
 * What the store keeps of one user, as one instance knows it. Bytes that this instance has made it keep are exact and
 * lie in slots: one for records that have not ended, and some for ends, by the time at which they are forgotten. What
 * others made it keep, and long results, were read from the store.
 */

/** Bytes that the store keeps until a time of the monotonic clock; `Infinity`: as long as their records live. */
export interface Slot {
  readonly endsAt: number;
  bytes: number;
  /** The record that tells other instances, what it says, and since when. */
  id: string | undefined;
  saved: number;
  savedAt: number;
}

/** A long result, of any instance. */
export interface KeptResult {
  readonly id: string;
  readonly bytes: number;
  /** ms since 1970, by the clock of the instance that stored it. */
  readonly at: number;
  readonly expiresAt: number;
}

/** Ends of the same keep time have at most so many slots, so bytes are given back late by a fraction of that time. */
const PARTS = 8;
const LEAST_MS = 1_000;

export class KeptShare {
  readonly key: string;
  readonly open: Slot = slotUntil(Infinity);
  readonly #ends = new Map<number, Slot>();
  /** In the order of their age, as they were last read. */
  results: KeptResult[] = [];
  #ofResults = 0;
  /** Bytes in slots of other instances. */
  others = 0;
  /** When both were read. */
  readAt = -Infinity;
  /** Bytes that were asked for here since then. */
  added = 0;

  constructor(key: string) {
    this.key = key;
  }

  /** Bytes in the slots of this instance. */
  own(now: number): number {
    let bytes = this.open.bytes;
    for (const slot of this.#ends.values()) {
      if (slot.endsAt <= now) this.#ends.delete(slot.endsAt);
      else bytes += slot.bytes;
    }
    return bytes;
  }

  /** All but the results, which may be forgotten. */
  lasting(now: number): number {
    return this.own(now) + this.others;
  }

  total(now: number): number {
    return this.lasting(now) + this.#ofResults;
  }

  slots(now: number): readonly Slot[] {
    this.own(now);
    return [this.open, ...this.#ends.values()];
  }

  /** The store keeps so many bytes for so long. Negative: not any more. */
  keep(bytes: number, ms: number, now: number): void {
    const grain = 2 ** Math.floor(Math.log2(Math.max(LEAST_MS, ms / PARTS)));
    const endsAt = Math.ceil((now + ms) / grain) * grain;
    const slot = this.#ends.get(endsAt) ?? slotUntil(endsAt);
    slot.bytes += bytes;
    this.#ends.set(endsAt, slot);
  }

  found(results: KeptResult[], others: number, now: number): void {
    this.results = results.sort((a, b) => a.at - b.at);
    this.#ofResults = results.reduce((sum, { bytes }) => sum + bytes, 0);
    this.others = others;
    this.readAt = now;
    this.added = 0;
  }

  addResult(result: KeptResult): void {
    this.results.push(result);
    this.#ofResults += result.bytes;
  }

  /** The oldest result is about to be forgotten. */
  takeOldest(): KeptResult | undefined {
    const oldest = this.results.shift();
    this.#ofResults -= oldest?.bytes ?? 0;
    return oldest;
  }
}

function slotUntil(endsAt: number): Slot {
  return { endsAt, bytes: 0, id: undefined, saved: 0, savedAt: -Infinity };
}
