/** A store on SQLite that is away: another process, this one, holds the lock of its file. */
import { setTimeout as delay } from 'node:timers/promises';
import { loadLibsql } from '../../stores/sqlite/libsql.ts';
import { until } from '../../testing/until.ts';

const LOCK_MS = 30_000;

/** No other process can write to the file for so long. The lock ends with this process, too. */
export async function lockFile(path: string, ms: number): Promise<void> {
  const database = new (await loadLibsql())(path, { timeout: 0 });
  const begin = (): true => {
    database.exec('BEGIN IMMEDIATE');
    return true;
  };
  await until(begin, { pollMs: 1, timeoutMs: LOCK_MS, what: `the lock of ${path}` });
  await delay(ms);
  database.exec('ROLLBACK');
  database.close();
}
