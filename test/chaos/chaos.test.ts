/** A few seconds of `npm run chaos` on each store: what must not happen does not. Times are for the full run to tell. */
import { describe, expect, test } from 'vitest';
import { describeWhereInstalled, serverKinds } from '../kit/servers/index.ts';
import type { StoreKind } from './backing-store.ts';
import { runFaults } from './scenarios/faults.ts';
import { runOutage } from './scenarios/outage.ts';
import type { Servers } from './scenarios/stage.ts';

const PLAN = { kill: 1, freeze: 1, drain: 1, storeAway: 1, cut: 1 };
/** Each store runs with one way to make servers; `npm run chaos` has both for each. */
const SERVERS: Readonly<Record<StoreKind, Servers>> = {
  sqlite: 'definition',
  redis: 'factory',
  postgres: 'definition',
};
const WITHOUT_LINKS = { ...PLAN, cut: 0 };

function shortRun(kind: StoreKind, plan: typeof PLAN): void {
  const servers = SERVERS[kind];
  test(
    `three instances with a ${servers}, under a kill, a freeze, a drain and an outage`,
    { timeout: 240_000 },
    async () => {
      const report = await runFaults({ kind, servers, plan, seed: 1, kills: 0, stops: 0, leaseMs: 1_000, size: 0.5 });
      expect(report.found).toEqual([]);
      expect(report.calls).toBeGreaterThan(100);
      expect(Math.min(...Object.values(report.done.intrusions))).toBeGreaterThan(10);
    },
  );
}

describe('chaos on sqlite', () => shortRun('sqlite', WITHOUT_LINKS));
for (const kind of serverKinds) describeWhereInstalled(kind, `chaos on ${kind}`, () => shortRun(kind, PLAN));

/** Shorter than `waitMs`: no call of any client fails, and each runs once. */
const OUTAGES_MS = [300, 3_000];

for (const kind of serverKinds)
  describeWhereInstalled(kind, `${kind} restarted`, () => {
    test('no call of official or raw clients fails, none times out, each runs once', { timeout: 240_000 }, async () => {
      const outages = { instances: 1, awayMs: OUTAGES_MS, ways: ['stopped'] } as const;
      const report = await runOutage({ kind, servers: 'factory', seed: 1, leaseMs: 1_500, size: 0.5, ...outages });
      expect(report.found).toEqual([]);
      expect(report.calls).toBeGreaterThan(100);
    });
  });
