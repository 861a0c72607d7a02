/**
 * A claim of one record. Its outcome is the row of `claimed`, read after the claim; `undefined`: there is no record.
 *
 * The claims of one turn are written together: an instance that has lost its lease claims thousands of records.
 */
import type { Ownership } from '../store.ts';
import { textArray } from './text-array.ts';
import type { Statement, Step } from './pg.ts';

export interface Claim {
  readonly kind: 'claim';
  readonly id: string;
  readonly from: Ownership;
  /** The owner after the claim. */
  readonly me: string;
  readonly keepMs: number;
}

/** For one record, and for several whose rows are locked. */
export interface ClaimStatements {
  readonly claim: Statement;
  readonly claimed: Statement;
  readonly claimAll: Statement;
  readonly claimedAll: Statement;
}

/** The update and the read. The rows of several records must be locked by an earlier statement of the transaction. */
export function claimSteps(space: string, claims: readonly Claim[], statements: ClaimStatements): Step[] {
  const [first] = claims;
  if (first !== undefined && claims.length === 1) {
    const { id, from, me, keepMs } = first;
    return [
      [statements.claim, [space, id, from.epoch, from.owner, me]],
      [statements.claimed, [space, id, keepMs]],
    ];
  }
  const ids = textArray(claims.map(({ id }) => id));
  const epochs = claims.map(({ from }) => from.epoch);
  const owners = textArray(claims.map(({ from }) => from.owner));
  const keepTimes = claims.map(({ keepMs }) => String(keepMs));
  return [
    [statements.claimAll, [space, ids, epochs, owners, textArray(claims.map(({ me }) => me))]],
    [statements.claimedAll, [space, ids, keepTimes]],
  ];
}
