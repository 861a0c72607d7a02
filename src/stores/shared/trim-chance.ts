/**
 * Decides after which appends a session's log is trimmed. A trim reads the whole log of its session. So each append
 * trims with a probability: its share of what retention keeps, at most `MAX_PROBABILITY`. On average a trim comes once
 * in as many events as are kept, so its cost per event is a small constant for any retention. Until then the store
 * holds more than retention keeps, on average up to twice as much.
 */
import type { EventRetention } from '../../types.ts';

const MAX_PROBABILITY = 1 / 16;

export class TrimChance {
  #appends = 0;

  isDue(events: number, bytes: number, retention: EventRetention): boolean {
    const share = Math.max(Math.min(events / retention.events, MAX_PROBABILITY), bytes / retention.bytes);
    return spread(++this.#appends) < share;
  }
}

/** Maps consecutive numbers evenly to 0..1. Sessions that append in turns all get their trim. */
const spread = (no: number): number => (Math.imul(no, 0x9e3779b1) >>> 0) / 2 ** 32;
