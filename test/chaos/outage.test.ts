// @module-tag matrix
/**
 * A short form of `npm run chaos -- --scenario outage` on each store: no call of any client fails, times out or runs
 * twice. `test/clients/outages.test.ts` has one instance on each server.
 */
import { describe, expect, test } from 'vitest';
import { describeWhereInstalled, serverKinds } from '../kit/servers/index.ts';
import { type Language, OtherPrograms } from './clients/languages.ts';
import { type OutageOptions, runOutage } from './scenarios/outage.ts';

async function shortRun(options: Pick<OutageOptions, 'kind' | 'instances' | 'languages' | 'ways'>): Promise<void> {
  const report = await runOutage({
    ...options,
    seed: 1,
    leaseMs: 3_000,
    awayMs: [1_000],
    size: 0.5,
    servers: 'factory',
  });
  expect(report.found).toEqual([]);
  expect(report.calls).toBeGreaterThan(50);
  // Some were under way during the outage.
  for (const { waited } of report.done.outages) expect(waited.count).toBeGreaterThan(0);
}

describe.each([1, 3])('sqlite locked for a moment, %i instances', (instances) => {
  test('no call fails', { timeout: 120_000 }, () => shortRun({ kind: 'sqlite', instances }));
});
for (const kind of serverKinds)
  describeWhereInstalled(kind, `${kind}, restarted`, () => {
    test('no call fails', { timeout: 120_000 }, () => shortRun({ kind, instances: 3, ways: ['stopped'] }));
  });

/** Their clients are built for `npm test`; the others take minutes. */
const LANGUAGES: readonly Language[] = ['python', 'go'];
const missing = await OtherPrograms.lackingFor(LANGUAGES);

describe.skipIf(missing.length > 0 && process.env['CI'] === undefined)(
  `clients in Python and Go besides, sqlite locked${missing.length > 0 ? ` (${missing.join('; ')})` : ''}`,
  () => {
    test('no call fails', { timeout: 120_000 }, () => shortRun({ kind: 'sqlite', instances: 1, languages: LANGUAGES }));
  },
);
