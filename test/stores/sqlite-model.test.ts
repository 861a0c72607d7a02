/** Random operations on a file. No timer runs in the store, so moving its clock needs no turn of the event loop. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { modelTests, takingTurns, type ModelStores } from './model-runs.ts';

async function connect(): Promise<ModelStores> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-model-'));
  const path = join(folder, 'sessions.db');
  const time = createFakeTime();
  let moved = 0;
  const now = (): number => time.now() + moved;
  const pass = async (ms: number): Promise<void> => void (moved += ms);
  return {
    connect: takingTurns([sqlite(path), sqlite(path)]),
    time: { ...time, now },
    pass,
    close: async () => rmSync(folder, { recursive: true }),
  };
}

describe('the SQLite store has the same answers as a plain model', () => modelTests(100, connect));
