/**
 * The SQLite store: sessions of one machine in one file. They survive restarts, crashes and upgrades of the process,
 * and any number of processes of the machine may share them.
 */
import { resolve } from 'node:path';
import { optionInvalid } from '../../base/errors.ts';
import { checkChoice, checkNames } from '../../base/options/checks.ts';
import type { Store } from '../store.ts';
import type { FileSettings } from './open-file.ts';
import { sqliteStore } from './sqlite-store.ts';

export interface SqliteOptions {
  /** The file, created if missing. A relative path is relative to the working directory. */
  readonly path: string;
  /**
   * `'normal'` (default): acknowledged writes survive a crash of the process, also `kill -9`; a power failure may lose
   * the last moments. `'full'`: they survive a power failure too, at the cost of one disk flush in every turn of the
   * event loop that writes.
   */
  readonly synchronous?: 'normal' | 'full' | undefined;
}

const OPTIONS = ['path', 'synchronous'] as const satisfies readonly (keyof SqliteOptions)[];
const TAKES = "the path of a file, e.g. './sessions.db'";
const URL_SCHEME = /^(?:sqlite3?|file|libsql):/i;
const SYNCHRONOUS = ['normal', 'full'] as const;

/**
 * A store in a file on a local disk. It needs the package `libsql`, which is loaded when the store is opened.
 * @throws TypeError naming the wrong option.
 */
export function sqlite(file: string | SqliteOptions): Store {
  return sqliteStore(settingsOf(file));
}

function settingsOf(file: unknown): FileSettings {
  const given = typeof file === 'string' ? { path: file } : checkNames('sqlite', file, OPTIONS, []);
  const { path, synchronous = 'normal' }: Record<string, unknown> = given;
  if (typeof path !== 'string' || path === '')
    throw optionInvalid('type', 'sqlite.path', path, TAKES);
  if (path.startsWith(':'))
    throw optionInvalid('range', 'sqlite.path', path, `${TAKES}; in memory it is memory()`);
  // The command line takes URLs. Here they would be a folder named `sqlite:`.
  if (URL_SCHEME.test(path))
    throw optionInvalid('range', 'sqlite.path', path, `${TAKES}, without a scheme`);
  return {
    path: resolve(path),
    synchronous: checkChoice('sqlite.synchronous', synchronous, SYNCHRONOUS),
  };
}
