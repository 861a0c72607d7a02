/**
 * The SQLite store: sessions of one machine, in one file. They survive restarts, crashes and upgrades of the process, and
 * any number of processes of the machine may share them.
 */
import { resolve } from 'node:path';
import { optionInvalid } from '../../errors.ts';
import { checkChoice, checkNames } from '../../options/checks.ts';
import type { Store } from '../store.ts';
import type { FileSettings } from './open-file.ts';
import { SqliteStore } from './sqlite-store.ts';

export interface SqliteOptions {
  /** The file; it is made when there is none. Relative to the working directory. */
  readonly path: string;
  /**
   * `'normal'` (default): what is acknowledged survives the process, also `kill -9`; a power failure may take the last
   * moments. `'full'`: it survives that too, for one flush of the disk in every event-loop turn that writes.
   */
  readonly synchronous?: 'normal' | 'full' | undefined;
}

const OPTIONS = ['path', 'synchronous'] as const satisfies readonly (keyof SqliteOptions)[];
const TAKES = "the path of a file, e.g. './sessions.db'";
const SYNCHRONOUS = ['normal', 'full'] as const;

/**
 * A store in a file on a local disk, by the package `libsql`, which is loaded when the store is opened.
 * @throws TypeError naming the option that is wrong.
 */
export function sqlite(file: string | SqliteOptions): Store {
  return new SqliteStore(settingsOf(file));
}

function settingsOf(file: unknown): FileSettings {
  const given = typeof file === 'string' ? { path: file } : checkNames('sqlite', file, OPTIONS, []);
  const path: unknown = given['path'];
  if (typeof path !== 'string' || path === '') throw optionInvalid('type', 'sqlite.path', path, TAKES);
  if (path.startsWith(':')) throw optionInvalid('range', 'sqlite.path', path, `${TAKES}; in memory it is memory()`);
  return {
    path: resolve(path),
    synchronous: checkChoice('sqlite.synchronous', given['synchronous'], 'normal', SYNCHRONOUS),
  };
}
