import { setTimeout as sleep } from 'node:timers/promises';
import Libsql from 'libsql';
import { describe, expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { isMatrix } from '../kit/matrix.ts';
import { casesFor, contractTests, idsBut } from './contract.ts';
import { modelTests, movedTime } from './model-runs.ts';
import { settableClock } from './settable-clock.ts';
import { newPath } from './sqlite-views.ts';

/** The rows of all tables. */
function entries(path: string): number {
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
    const path = newPath();
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    return { connect: () => sqlite(path), time, pass, entries: async () => entries(path) };
  });

  describe('by the clock of the machine,', () => {
    contractTests(byTheClock, () => {
      const path = newPath();
      return { connect: () => sqlite(path), pass: (ms) => sleep(ms) };
    });
  });

  test('except for what only a server has', () => {
    expect(idsBut(...applies)).toEqual(['outage/bounded', 'outage/order']);
  });
});

describe('the SQLite store', () => {
  modelTests(isMatrix ? 100 : 20, () => {
    const path = newPath();
    return { ...movedTime(), connect: () => sqlite(path) };
  });
});
