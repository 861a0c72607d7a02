/** What a store says of the bytes that it keeps, and what it asks before it keeps more. */
import type { MaybePromise } from '../base/types.ts';

/** In bytes, of all that shares the room. */
export interface StoreRoom {
  /** Absent: the store does not count it, and the instances count what they make it keep. */
  readonly used?: number;
  /** `Infinity`: it has no limit. */
  readonly size: number;
}

/** Each write of a counted record has changed these numbers in the same step: they need no repair after a crash. */
export interface KeptBytes {
  /** Bytes by the names of the counted kinds. */
  of(share: string): MaybePromise<Readonly<Record<string, number>>>;
  /** The same, once the rows were counted again: a server may have evicted some, or a person deleted them. */
  recount(share: string): MaybePromise<Readonly<Record<string, number>>>;
  /** The shares that count most, and what all count together. */
  byAll(most: number): MaybePromise<KeptByAll>;
}

export interface KeptByAll {
  readonly bytes: number;
  /** The largest first. */
  readonly shares: ReadonlyArray<{ readonly share: string; readonly bytes: number }>;
}

/** What a user may make the store keep before anything is asked again. */
export interface BytesInHand {
  inHand: number;
}

/** Whether a user may make the store keep more. Absent: every user may. */
export interface Quota {
  /** A record or its log grows. Throws `STORE_FULL`. An end, a release, a claim and what does not grow are not asked for. */
  take(share: string, bytes: number): MaybePromise<void>;
  /**
   * A writer that takes less subtracts it and asks nothing. Else `take` or `takeForLog` finds out.
   */
  inHand(share: string): BytesInHand;
  /** A log grows that may lose its oldest events: never refused. Returns how much the log should lose for it. */
  takeForLog(share: string, bytes: number): MaybePromise<number>;
}
