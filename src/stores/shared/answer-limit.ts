/** The share of a lease within which a store answers: a third of the lease is left for a renewal. */
const LEASE_SHARE = 2 / 3;

/** How long an answer may take, in ms. An instance that cannot write must learn it before its lease expires. */
export const answerLimitMs = (leaseMs: number): number => leaseMs * LEASE_SHARE;
