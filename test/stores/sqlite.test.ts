import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createStoreKit, storeContract } from '../../src/testing/index.ts';
import { settableClock } from './settable-clock.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sojourn-sqlite-'));
  path = join(folder, 'sessions.db');
});
afterEach(() => rmSync(folder, { recursive: true }));

const applies = storeContract.filter(({ needs }) => needs !== 'process-limits');
/** Cases about leases and expiry, which need the clock of the machine and not a clock that tests move. */
const byTheClock = applies
  .filter(({ needs }) => needs !== 'clock-set-back')
  .filter(({ id, needs }) => needs === 'lease-expiry' || id.startsWith('expiry/'));

describe('the SQLite store keeps the contract, with a separate connection for each view', () => {
  test.each(applies)('$id: $title', async ({ run }) => {
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    const kit = createStoreKit({ connect: () => sqlite(path), time, pass });
    try {
      await run(kit);
    } finally {
      await kit.close();
    }
  });

  test.each(byTheClock)('$id, by the clock of the machine: $title', async ({ run }) => {
    const kit = createStoreKit({ connect: () => sqlite(path), pass: (ms) => sleep(ms) });
    try {
      await run(kit);
    } finally {
      await kit.close();
    }
  });

  test('except for data that only a process holds: here the file holds it', () => {
    const left = storeContract.filter((one) => !applies.includes(one)).map(({ id }) => id);
    expect(left).toEqual(['tombstone/limit', 'retention/process']);
  });
});
