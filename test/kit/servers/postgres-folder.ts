/**
 * The data directory of a new PostgreSQL server. `initdb` takes 0.5 s of CPU and makes the same files each time. They
 * are kept below `node_modules/.cache`, and the next servers get a copy.
 */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = join(import.meta.dirname, '../../../node_modules/.cache/sojourn');
const ARGS = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-N'];

export interface PostgresUser {
  readonly uid: number;
  readonly gid: number;
}

/** Fills the empty `folder`. `user`: who owns it; PostgreSQL refuses to run as root. */
export async function fillPostgresFolder(
  folder: string,
  initdb: string,
  user: PostgresUser | undefined,
): Promise<void> {
  const kept = join(CACHE, `postgres-${keyOf(initdb, user)}`);
  if (existsSync(kept)) return copy(kept, folder);
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  await run(initdb, ['-D', folder, ...ARGS], { ...user, cwd: folder });
  await keep(folder, kept);
}

/** Another version, user or time zone, or other arguments make other files. */
function keyOf(initdb: string, user: PostgresUser | undefined): string {
  const path = realpathSync(initdb);
  const { mtimeMs, size } = statSync(path);
  const parts = [path, mtimeMs, size, user?.uid, user?.gid, process.env['TZ'], ...ARGS];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** Owners and rights are copied, too. */
async function copy(from: string, to: string): Promise<void> {
  await run('cp', ['-a', `${from}/.`, to]);
}

/**
 * Test files run side by side: each makes its own copy, and the first complete copy gets the name. A cache that cannot
 * be written only costs time.
 */
async function keep(folder: string, kept: string): Promise<void> {
  const own = `${kept}-${randomUUID()}`;
  try {
    mkdirSync(own, { recursive: true });
    await copy(folder, own);
    renameSync(own, kept);
  } catch {
    rmSync(own, { recursive: true, force: true });
  }
}
