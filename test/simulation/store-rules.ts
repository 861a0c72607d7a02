/** Rules of the store that an ablation takes away; all stand otherwise. */
export interface StoreRules {
  /** Markers are kept. */
  markers: boolean;
  /**
   * An instance without a mailbox counts as dead only when its lease is recorded as dead, in the state that was read.
   */
  burial: boolean;
  /** What is dead stays dead. */
  finalDeath: boolean;
  /** Writes name the owner too, not the epoch alone. */
  ownerFence: boolean;
  /** Ends are values; otherwise the record is simply gone. */
  endedAsValue: boolean;
  /** A record that is there is not created again. */
  createsOnce: boolean;
  /** A claim names the epoch and the owner that its caller read. */
  comparedClaims: boolean;
  /** What has ended is not ended again. */
  finalEnds: boolean;
  /** A field that is there is not added again. */
  addsOnce: boolean;
  /** A due time is set only by a caller that has read every `add`. */
  comparedRings: boolean;
}

export const ALL_RULES: StoreRules = {
  markers: true,
  burial: true,
  finalDeath: true,
  ownerFence: true,
  endedAsValue: true,
  createsOnce: true,
  comparedClaims: true,
  finalEnds: true,
  addsOnce: true,
  comparedRings: true,
};
