/** The gate itself: what it lets through and what it does not. */
import { describe, expect, it } from 'vitest';
import { type Check, type Leg, problems } from './suite.ts';

const leg: Leg = { name: 'a leg', args: [], scenarios: 1, reached: ['polling/resumed'] };
const check = (status: Check['status'], id = 'resumed'): Check => ({
  id,
  status,
  description: 'what is checked',
});
const found = (scenarios: Record<string, Check[]>) =>
  problems({ leg, scenarios: new Map(Object.entries(scenarios)), output: 'said the suite' });

describe('the gate', () => {
  it('lets a run through whose checks all passed', () => {
    expect(
      found({ polling: [check('SUCCESS'), check('INFO', 'note'), check('SKIPPED', 'other')] }),
    ).toEqual([]);
  });

  it.each(['FAILURE', 'WARNING'] as const)('stops at a %s', (status) => {
    expect(found({ polling: [check('SUCCESS'), check(status, 'primed')] })).toEqual([
      `polling/primed ${status}: what is checked`,
    ]);
  });

  it.each(['INFO', 'SKIPPED'] as const)(
    'stops when a check that has to pass is only %s',
    (status) => {
      expect(found({ polling: [check('SUCCESS', 'primed'), check(status)] })).toEqual([
        'polling/resumed: never passed',
      ]);
    },
  );

  it('stops at a scenario in which nothing was checked', () => {
    expect(found({ polling: [] })).toContain('polling: nothing was checked');
  });

  it('stops when scenarios are missing and shows what the suite said', () => {
    expect(found({})[0]).toBe('0 scenarios instead of 1\nsaid the suite');
  });
});
