/**
 * A few seconds of `npm run chaos`: what must not happen does not. Instances die on one store, and another store is
 * restarted; `npm run chaos` does both on each. Times are for the full run to tell.
 */
import { expect, test } from 'vitest';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { runFaults, runOutage } from './scenarios.ts';

// Instances on a file have no links that could be cut.
const PLAN = { kill: 1, freeze: 1, drain: 1, storeUnavailable: 1, cut: 0 };
const RUN = { seed: 1, kills: 0, stops: 0, leaseMs: 1_000, size: 0.5 };
const timeout = 240_000;

test(
  'three instances on sqlite, under a kill, a freeze, a drain and an outage',
  { timeout },
  async () => {
    const report = await runFaults({ ...RUN, kind: 'sqlite', servers: 'definition', plan: PLAN });
    expect(report.found).toEqual([]);
    expect(report.calls).toBeGreaterThan(100);
    expect(report.trespasses).toBeGreaterThan(10);
  },
);

/** Shorter than `maxWaitMs`: no call of any client fails, and each runs once. */
const OUTAGES_MS = [300, 3_000];

describeWhereInstalled('postgres', 'postgres restarted', () => {
  test(
    'no call of official or raw clients fails, none times out, each runs once',
    { timeout },
    async () => {
      const outages = { awayMs: OUTAGES_MS, ways: ['stopped'] } as const;
      const run = {
        ...RUN,
        kind: 'postgres',
        servers: 'factory',
        leaseMs: 1_500,
        ...outages,
      } as const;
      const report = await runOutage(run);
      expect(report.found).toEqual([]);
      expect(report.calls).toBeGreaterThan(100);
    },
  );
});
