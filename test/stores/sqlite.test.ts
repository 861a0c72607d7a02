import Libsql from 'libsql';
import { describe, onTestFinished } from 'vitest';
import { systemRandom, systemTime } from '../../src/base/system.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { openFile } from '../../src/stores/sqlite/open-file.ts';
import { SqliteBackend } from '../../src/stores/sqlite/sqlite-backend.ts';
import { createLog } from '../kit/log.ts';
import { isMatrix } from '../kit/matrix.ts';
import { type BackendUnderTest, KINDS, REFUSED } from './contract/backend/backend-contract.ts';
import { backendTests, contractTests, storeContract } from './contract.ts';
import { modelTests, movedTime } from './model-runs.ts';
import { newPath } from './sqlite-views.ts';

/** Connections to one new file. */
function backends(): BackendUnderTest {
  const path = newPath();
  const spaces = new Map(KINDS.map((kind, n) => [kind, n + 1]));
  return {
    async connect() {
      const file = await openFile(
        { path, synchronous: 'normal' },
        { time: systemTime, random: systemRandom },
        createLog(),
      );
      onTestFinished(() => file.close());
      return new SqliteBackend(file, spaces, Date.now);
    },
    refuseEntries: () =>
      new Libsql(path)
        .exec(`CREATE TRIGGER refuses BEFORE INSERT ON log WHEN new.data = '${REFUSED}'
        BEGIN SELECT RAISE(ABORT, 'for the test'); END`),
  };
}

describe('a backend on a SQLite file', () => backendTests(backends, { refuses: true }));

describe('the SQLite store keeps the contract, with a separate connection for each view', () => {
  contractTests(storeContract, () => {
    const path = newPath();
    return { connect: () => sqlite(path) };
  });
});

describe('the SQLite store', () => {
  modelTests(isMatrix ? 100 : 20, () => {
    const path = newPath();
    return { ...movedTime(), connect: () => sqlite(path) };
  });
});
