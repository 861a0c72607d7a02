/** Opens a file, creates it if it is missing, and makes its tables. */
import { closeSync, existsSync, lstatSync, openSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { storeRefused } from '../../base/errors.ts';
import type { Logger } from '../../base/types.ts';
import { SqliteDatabase } from './database.ts';
import { storeFailure, unsafeFile } from './failures.ts';
import { loadLibsql } from './libsql.ts';
import { makeTables } from './schema.ts';
import { closeToOthers, fileDanger, folderDanger, processUser } from './file-owners.ts';
import { retry, type Waits } from './retry.ts';
import { StoreFile } from './store-file.ts';
import { LOG_BYTES } from './write-ahead-log.ts';

export interface FileSettings {
  /** Absolute. */
  readonly path: string;
  readonly synchronous: 'normal' | 'full';
  /** Further pragmas, for tests. */
  readonly pragmas?: readonly string[];
}

/** Session ids and session data are secrets, so only the owner may read the file. */
const FILE_MODE = 0o600;
/** What SQLite has open besides the database. */
const OPENED = ['-wal', '-shm'];
/** SQLite also reads a journal that it finds beside a database. */
const SUFFIXES = ['', ...OPENED, '-journal'];

export async function openFile(
  settings: FileSettings,
  waits: Waits,
  logger: Logger,
): Promise<StoreFile> {
  const Libsql = await loadLibsql();
  const { path } = settings;
  makeFile(path);
  const user = processUser();
  if (user !== undefined) checkFiles(path, user);
  let database: SqliteDatabase | undefined;
  try {
    // SQLite follows a link to the database, and keeps the other files beside its target.
    const target = lstatSync(path).isSymbolicLink() ? realpathSync(path) : path;
    // Waiting inside SQLite would block the event loop.
    const opened = new SqliteDatabase(target, new Libsql(target, { timeout: 0 }));
    database = opened;
    await retry(() => prepare(opened, settings), path, waits);
    if (user !== undefined) makePrivate(path, user, logger);
    return new StoreFile(opened, path, waits, logger);
  } catch (error) {
    database?.close();
    throw storeFailure(path, error);
  }
}

/**
 * Does not open an existing file: closing it again would drop the locks that another connection of this process holds.
 */
function makeFile(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true)
    throw storeRefused(
      `${path} is not a file; name the file that the sessions are to be kept in, e.g. ${path}/sessions.db`,
    );
  if (found !== undefined) return;
  try {
    closeSync(openSync(path, 'wx', FILE_MODE));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    // Another process was faster.
    if (code === 'EEXIST') return;
    const what = `create its directory, let this process write there, or name another file (${message})`;
    throw storeRefused(`${path} cannot be made; ${what}`, cause);
  }
}

/**
 * Refuses files that another user planted or can change. Called before SQLite uses them, and again when it has opened
 * or made them: nothing of a session is written by then. Returns the files.
 */
function checkFiles(path: string, user: number): readonly string[] {
  check(path, user);
  // SQLite follows a link, and keeps the other files beside its target.
  const target = realpathSync(path);
  const files = SUFFIXES.map((suffix) => target + suffix);
  for (const file of files) check(file, user);
  return files;
}

function check(file: string, user: number): void {
  const danger = fileDanger(file, user);
  if (danger !== undefined) throw unsafeFile(file, danger);
}

/** The opened files are those of this store. Takes the rights of other users on them away. */
function makePrivate(path: string, user: number, logger: Logger): void {
  const files = checkFiles(path, user);
  const [database = path, ...logs] = files;
  for (const log of logs.slice(0, OPENED.length))
    if (!existsSync(log)) throw unsafeFile(log, 'it was removed while it was opened');
  if (!files.map(closeToOthers).every(Boolean))
    logger.warn({ path }, 'Every user of this machine can read the sessions in this file');
  const folder = dirname(database);
  const danger = folderDanger(statSync(folder), user);
  if (danger !== undefined)
    logger.warn(
      { folder },
      `Other users can replace ${path} and the files beside it, and with them the sessions: the folder is open to them, ` +
        `as ${danger}. Where they are not trusted, keep the file in a folder of this process alone (chmod 700)`,
    );
}

function prepare(database: SqliteDatabase, settings: FileSettings): void {
  database.execute('PRAGMA journal_mode = WAL');
  const mode = database.one<[string]>('PRAGMA journal_mode')?.[0];
  if (mode !== 'wal')
    throw storeRefused(
      `${settings.path}: its file system cannot share memory between processes (journal_mode stays ${String(mode)} ` +
        'instead of wal); put it on a local disk of this machine',
    );
  database.all(`PRAGMA synchronous = ${settings.synchronous}`);
  // `WriteAheadLog` copies the log.
  database.all('PRAGMA wal_autocheckpoint = 0');
  database.all(`PRAGMA journal_size_limit = ${LOG_BYTES}`);
  for (const pragma of settings.pragmas ?? []) database.all(`PRAGMA ${pragma}`);
  makeTables(database);
  // Reports a file that cannot be written now, instead of at the first session.
  database.transaction(() => undefined);
}
