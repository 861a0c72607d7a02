/** Opens a file, makes it when there is none, and brings it to this build's schema. */
import { closeSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { storeAway } from '../../errors.ts';
import type { Logger } from '../../types.ts';
import type { StoreClock } from './clock.ts';
import { Database } from './database.ts';
import { noSuchDirectory, noWal, notAFile, storeFailure } from './failures.ts';
import { loadLibsql } from './libsql.ts';
import { migrate } from './migrate.ts';
import type { Patience } from './patience.ts';
import { StoreFile, retry } from './store-file.ts';

export interface FileSettings {
  /** Absolute. */
  readonly path: string;
  readonly synchronous: 'normal' | 'full';
  /** More pragmas, for tests. */
  readonly pragmas?: readonly string[];
}

/** Session ids and what they carry are secrets: the file is its owner's alone. */
const FILE_MODE = 0o600;

/** Pages of log (64 MiB) at which SQLite itself copies it, within a commit: where the checkpointer did not get to it. */
const CHECKPOINT_PAGES = 16_384;
/** The log is then cut back to this; twice of what the checkpointer copies. */
const LOG_BYTES = 33_554_432;

export async function openFile(
  settings: FileSettings,
  clock: StoreClock,
  patience: Patience,
  logger: Logger,
): Promise<StoreFile> {
  const Libsql = await loadLibsql();
  const { path } = settings;
  makeFile(path);
  // No waiting inside SQLite: it would hold up the event loop.
  const database = attempt(path, () => new Database(path, new Libsql(path, { timeout: 0 })));
  try {
    await retry(() => prepare(database, settings, clock), path, patience);
  } catch (error) {
    database.close();
    throw error;
  }
  return new StoreFile(database, patience, logger);
}

/**
 * An existing file is not touched: opening and closing it here would drop the locks that another connection of this process
 * holds on it.
 */
function makeFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) throw notAFile(path);
  if (found !== undefined) return;
  const directory = dirname(path);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) throw noSuchDirectory(path, directory);
  try {
    closeSync(openSync(path, 'wx', FILE_MODE));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw storeAway(`${path} cannot be made: ${message}`, cause);
  }
}

function prepare(database: Database, settings: FileSettings, clock: StoreClock): void {
  database.execute('PRAGMA journal_mode = WAL');
  const mode = database.one<[string]>('PRAGMA journal_mode')?.[0];
  if (mode !== 'wal') throw noWal(settings.path, mode);
  database.all(`PRAGMA synchronous = ${settings.synchronous}`);
  database.all(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  database.all(`PRAGMA journal_size_limit = ${LOG_BYTES}`);
  for (const pragma of settings.pragmas ?? []) database.all(`PRAGMA ${pragma}`);
  migrate(database, clock);
  // Says now, and not at the first session, that the file cannot be written.
  database.transaction(() => undefined);
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeFailure(path, error);
  }
}
