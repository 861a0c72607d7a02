/** What goes wrong in a world: rates that its scenario sets, and its healing takes away. */

/** Low and high, in ms. */
export type Range = readonly [low: number, high: number];

export interface Faults {
  /** One way, to the store and back. */
  store: Range;
  /** Back only, where it differs: `[0, 0]` halves the events of a run. */
  storeReply: Range;
  /** A call that never had an effect. */
  storeFails: number;
  /** A call that had its effect, and whose reply is lost. */
  storeReplyLost: number;
  /** Writes that arrive once more, later. */
  storeTwice: number;
  /**
   * The way to the store is blocked for a while; what waits longer than `storeTimeout` has failed, and happens later.
   */
  storeStalls: number;
  storeStall: Range;
  storeTimeout: Range;
  /** Between two mailboxes. */
  mail: Range;
  mailLost: number;
  mailDoubled: number;
  /** Late enough that others overtake it. */
  mailDelayed: number;
  mailDelay: Range;
  /** Between a client and an instance. */
  http: Range;
  /** Of each piece of a response: the connection is cut instead. */
  httpCut: number;
}

export const NO_FAULTS: Faults = {
  store: [0.1, 0.4],
  storeReply: [0, 0],
  storeFails: 0,
  storeReplyLost: 0,
  storeTwice: 0,
  storeStalls: 0,
  storeStall: [50, 400],
  storeTimeout: [100, 300],
  mail: [0.1, 0.4],
  mailLost: 0,
  mailDoubled: 0,
  mailDelayed: 0,
  mailDelay: [5, 150],
  http: [0.2, 1],
  httpCut: 0,
};
