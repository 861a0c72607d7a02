// @module-tag matrix
/**
 * A short form of `npm run chaos -- --scenario patience` on each store: what users of official clients see of an
 * outage. `test/clients/outages.test.ts` has one instance on each server.
 */
import { describe, expect, test } from 'vitest';
import { describeWhereInstalled, serverKinds } from '../kit/servers/index.ts';
import type { StoreKind } from './backing-store.ts';
import { type Language, OtherPrograms } from './clients/other-actor.ts';
import { type Blow, runOthers, runPatience } from './scenarios/patience.ts';

/** No outage here is as long, and no pause of a process on a busy machine. */
const LEASE_MS = 9_000;

function shortRun(kind: StoreKind, blows: readonly Blow[], shapes: readonly (1 | 3)[]): void {
  test('no call of an official client fails, times out or runs twice', { timeout: 120_000 }, async () => {
    const times = { leaseMs: LEASE_MS, awayMs: [300], pace: { name: 'steady', pauseMs: 100 } } as const;
    const { rows, found } = await runPatience({ kind, seed: 1, ...times, blows, shapes, more: false });
    expect(found).toEqual([]);
    expect(rows.map(({ instances }) => instances)).toEqual(blows.flatMap(() => shapes));
    for (const { calls, waited } of rows) {
      expect(calls).toBeGreaterThan(20);
      // Some were under way during the outage.
      expect(waited.count).toBeGreaterThan(0);
    }
  });
}

describe('sqlite, locked for a moment; the process frozen', () => shortRun('sqlite', ['frozen', 'process'], [1, 3]));
for (const kind of serverKinds)
  describeWhereInstalled(kind, `${kind}, restarted`, () => shortRun(kind, ['stopped'], [3]));

/** Their clients are built for `npm test`; the others take minutes. */
const LANGUAGES: readonly Language[] = ['python', 'go'];
const missing = await OtherPrograms.lackingFor(LANGUAGES);

describe.skipIf(missing.length > 0 && process.env['CI'] === undefined)(
  `clients in Python and Go, sqlite locked${missing.length > 0 ? ` (${missing.join('; ')})` : ''}`,
  () => {
    test('no call fails, times out or runs twice', { timeout: 120_000 }, async () => {
      const times = { leaseMs: LEASE_MS, awayMs: [1_000], pace: { name: 'steady', pauseMs: 100 } } as const;
      const { rows, found } = await runOthers({ kind: 'sqlite', seed: 1, ...times, languages: LANGUAGES });
      expect(found).toEqual([]);
      const seen = rows.flatMap(({ byClient = {} }) => Object.entries(byClient));
      expect(seen.map(([title]) => title.replace(/ .*,/, ''))).toEqual([
        'Python 2025',
        'Python 2025',
        'Python 2026',
        'go-sdk 2025',
        'go-sdk 2026',
        'mcp-go 2025',
        'mcp-go 2026',
      ]);
      for (const [, { calls }] of seen) expect(calls).toBeGreaterThan(5);
    });
  },
);
