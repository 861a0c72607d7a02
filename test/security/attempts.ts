/**
 * Counts attacks by class. With `SOJOURN_ATTACKS` set to a file, each test file adds its counts there when it is done,
 * and `npm run attacks` prints the sums. `scripts/attacks.mjs` has the classes and how many attempts each must have.
 */
import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, expect } from 'vitest';

export type AttackClass =
  | 'scopes and rights'
  | 'users'
  | 'tokens'
  | 'bodies, headers, targets'
  | 'messages and stores'
  | 'floods'
  | 'memory'
  | 'pipelined'
  | 'shapes'
  | 'aborted requests'
  | 'waiting room'
  | 'notifications'
  | 'slow issuers'
  | 'resumes'
  | 'slots'
  | 'URIs'
  | 'names'
  | 'files'
  | 'longest inputs';

/** The whole matrix runs (`npm run attacks`, each night), and not the part of it that `npm test` runs. */
export const isWhole = process.env['SOJOURN_ATTACKS'] !== undefined;

export interface Attempts {
  /** Attempts that were made, and how many of them had an effect. */
  made(attempts: number, letIn?: number): void;
}

/** Call it once in a test file, outside of tests. */
export function countAttempts(attackClass: AttackClass): Attempts {
  const sums = { attempts: 0, letIn: 0 };
  afterAll(() => {
    const target = process.env['SOJOURN_ATTACKS'];
    const file = basename(expect.getState().testPath ?? '');
    if (target !== undefined) appendFileSync(target, `${JSON.stringify({ file, attackClass, ...sums })}\n`);
  });
  return {
    made(attempts, letIn = 0) {
      sums.attempts += attempts;
      sums.letIn += letIn;
    },
  };
}
