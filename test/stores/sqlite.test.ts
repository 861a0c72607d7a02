import Libsql from 'libsql';
import { describe } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { isMatrix } from '../kit/matrix.ts';
import { storeContract } from '../store-contract/store-contract.ts';
import { contractTests } from './contract.ts';
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

describe('the SQLite store keeps the contract, with a separate connection for each view', () => {
  contractTests(storeContract, () => {
    const path = newPath();
    const { time, pass } = settableClock(Date.UTC(2026, 10, 1));
    return { connect: () => sqlite(path), time, pass, entries: async () => entries(path) };
  });
});

describe('the SQLite store', () => {
  modelTests(isMatrix ? 100 : 20, () => {
    const path = newPath();
    return { ...movedTime(), connect: () => sqlite(path) };
  });
});
