import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Libsql from 'libsql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { casesFor, contractTests, idsBut, ROOM } from './contract.ts';
import { settableClock } from './settable-clock.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sojourn-sqlite-'));
  path = join(folder, 'sessions.db');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The rows of all tables. */
async function entries(): Promise<number> {
  const file = new Libsql(path);
  try {
    const tables = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").raw(true).all([]) as [string][];
    return tables.reduce((sum, [name]) => {
      const [count] = file.prepare(`SELECT count(*) FROM ${name}`).raw(true).get([]) as [number];
      return sum + count;
    }, 0);
  } finally {
    file.close();
  }
}

const applies = casesFor('lease-expiry', 'clock-set-back', 'entries');
/** Cases about leases and expiry, which need the clock of the machine and not a clock that tests move. */
const byTheClock = applies
  .filter(({ needs }) => needs !== 'clock-set-back')
  .filter(({ id, needs }) => needs === 'lease-expiry' || id.startsWith('expiry/'));

describe('the SQLite store keeps the contract, with a separate connection for each view', () => {
  contractTests(applies, () => {
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    return { connect: () => sqlite(path), time, pass, entries };
  });

  describe('by the clock of the machine,', () => {
    contractTests(byTheClock, () => ({ connect: () => sqlite(path), pass: (ms) => sleep(ms) }));
  });

  test('except for data that only a process holds, and what only a server has', () => {
    const left = ['tombstone/limit', ...ROOM, 'retention/process', 'clock/process', 'outage/bounded', 'outage/order'];
    expect(idsBut(...applies)).toEqual(left);
  });
});
