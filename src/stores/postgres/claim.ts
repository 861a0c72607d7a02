/**
 * A claim of one session. Its outcome is the row of `claimed`, read after the claim; `undefined`: there is no session.
 *
 * The claims of one turn are written together: an instance that has lost its lease claims thousands of sessions.
 */
import type { Ownership } from '../store.ts';
import { bigintArray, textArray } from './binary-arrays.ts';
import type { Statement, Step } from './pg.ts';

export interface Claim {
  readonly kind: 'claim';
  readonly session: string;
  readonly from: Ownership;
  /** The owner after the claim. */
  readonly me: string;
  readonly tombstoneMs: number;
}

/** For one session, and for several whose rows are locked. */
export interface ClaimStatements {
  readonly claim: Statement;
  readonly claimed: Statement;
  readonly claimAll: Statement;
  readonly claimedAll: Statement;
}

/** The update and the read. The rows of several sessions must be locked by an earlier statement of the transaction. */
export function claimSteps(deployment: string, claims: readonly Claim[], statements: ClaimStatements): Step[] {
  const [first] = claims;
  if (first !== undefined && claims.length === 1) {
    const { session, from, me, tombstoneMs } = first;
    return [
      [statements.claim, [deployment, session, from.epoch, from.owner, me]],
      [statements.claimed, [deployment, session, tombstoneMs]],
    ];
  }
  const ids = textArray(claims.map(({ session }) => session));
  const epochs = bigintArray(claims.map(({ from }) => from.epoch));
  const owners = textArray(claims.map(({ from }) => from.owner));
  const tombstones = claims.map(({ tombstoneMs }) => String(tombstoneMs));
  return [
    [statements.claimAll, [deployment, ids, epochs, owners, textArray(claims.map(({ me }) => me))]],
    [statements.claimedAll, [deployment, ids, tombstones]],
  ];
}
