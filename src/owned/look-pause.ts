/** How often a call looks at what another instance runs. */

const FIRST_LOOK_MS = 20;
const LONGEST_LOOK_MS = 1_000;
const LOOK_PART = 8;

/** The pause before the next look, in ms: an eighth of what the call waited, or of what its task has taken. */
export const lookPauseMs = (pastMs: number): number =>
  Math.min(LONGEST_LOOK_MS, Math.max(FIRST_LOOK_MS, pastMs / LOOK_PART));
