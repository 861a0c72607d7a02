/**
 * A process beside the demo, with two duties. It locks the file of the store for a while, which takes the store away
 * from the instances. And when the demo is gone, however it ended, the keeper kills its processes, frozen ones
 * too, and removes its folder. It ignores the signals of a terminal.
 */
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { loadLibsql } from '../../stores/sqlite/libsql.ts';
import { killProcess, tellParent } from './with-parent.ts';

export interface KeeperOrder {
  /** A process that the demo started. */
  readonly started?: number;
  /** It has ended, so its id may belong to another process now. */
  readonly ended?: number;
  readonly lock?: { readonly file: string; readonly ms: number };
}

const [folder = ''] = process.argv.slice(2);
const pids = new Set<number>();
const REMOVE_TRIES = 50;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('message', ({ started, ended, lock }: KeeperOrder) => {
  if (started !== undefined) pids.add(started);
  if (ended !== undefined) pids.delete(ended);
  if (lock !== undefined) void lockFor(lock.file, lock.ms);
});
process.on('disconnect', () => void clean());

/** Reports when it has the lock and when it has given it back. */
async function lockFor(file: string, ms: number): Promise<void> {
  const Database = await loadLibsql();
  const database = new Database(file, { timeout: 1_000 });
  database.exec('BEGIN IMMEDIATE');
  tellParent({ locked: true });
  await delay(ms);
  database.exec('ROLLBACK');
  database.close();
  tellParent({ locked: false });
}

async function clean(): Promise<void> {
  for (const pid of pids) killProcess(pid);
  for (let tries = 0; tries < REMOVE_TRIES; tries++) {
    try {
      rmSync(folder, { recursive: true, force: true });
      break;
    } catch {
      // A process that is dying still writes.
      await delay(100);
    }
  }
  process.exit(0);
}
