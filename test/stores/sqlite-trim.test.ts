/** How the write-ahead log shrinks when it cannot be copied. */
import { setTimeout as sleep } from 'node:timers/promises';
import Libsql from 'libsql';
import { expect, test } from 'vitest';
import { systemTime } from '../../src/base/system.ts';
import { Checkpointer } from '../../src/stores/sqlite/checkpointer.ts';
import { createLog } from '../kit/log.ts';
import { newPath } from './sqlite-views.ts';

test('a reader that stays in a transaction delays few writes, and one line logs the size of the log', async () => {
  const [path, log] = [newPath(), createLog()];
  const writer = new Libsql(path, { timeout: 2_000 });
  writer.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE rows (data TEXT)');
  const reader = new Libsql(path);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM rows').get([]);
  let held = 0;
  const file = { path, hold: () => void (held += 1), copyInCommits: () => undefined };
  const checkpointer = new Checkpointer(file, systemTime, log);
  const began = performance.now();
  const insert = writer.prepare('INSERT INTO rows VALUES (?)');
  const told = (): number => log.matching(/-wal has \d+ MiB and grows/, 'warn').length;
  for (let n = 0; n < 1_000 && told() === 0; n++) {
    insert.run(['x'.repeat(400_000)]);
    // The checkpointer looks at the log once in 64 commits.
    for (let commit = 0; commit < 64; commit++) checkpointer.committed();
    await sleep(20);
  }
  for (let commit = 0; commit < 64; commit++) checkpointer.committed();
  await checkpointer.close();
  const seconds = (performance.now() - began) / 1_000;
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThanOrEqual(2 + Math.log2(1 + seconds));
  expect(told()).toBe(1);
  reader.exec('COMMIT');
  for (const one of [reader, writer]) one.close();
});
