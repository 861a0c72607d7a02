/** When an edit is over: `sojourn dev` watches the folders of a project for changes of its code. */
import { existsSync, type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { basename, join, relative, resolve, sep } from 'node:path';
import { orUndefined } from '../base/or-undefined.ts';
import { codeOf, Failure } from './failure.ts';

/** Editors and `git checkout` write many files, in several steps. An edit is over after this time without a change. */
const SETTLED_MS = 60;
/** Even a program that writes without end must not keep an edit from being loaded. */
const LONGEST_EDIT_MS = 3_000;
/** The line that says what changed names this many files. */
const MOST_NAMES = 3;
/** Other files may be written by the server itself: a database, a log. */
const CODE = /\.[cm]?[jt]sx?$|^(?:package|tsconfig)\.json$|^\.env$/;

const isProject = (name: string): boolean => name !== 'node_modules' && !name.startsWith('.');

export interface Watching {
  readonly cwd: string;
  /** Folders of which every file counts. */
  readonly more: readonly string[];
  /** Called after each edit, with the files as the log names them. */
  changed(files: string): void;
  /** Called once if a folder cannot be watched. */
  unwatched(folder: string, error: unknown): void;
}

/** Watches for as long as the process lives. */
export function watchProject({ cwd, more: given, changed, unwatched }: Watching): void {
  const more = given.map((folder) => resolve(cwd, folder));
  const watchers = new Map<string, FSWatcher>();
  const edited = collectedEdits(cwd, changed);
  let isSaid = false;
  const note = (path: string): void => {
    if (CODE.test(basename(path)) || more.some((folder) => path.startsWith(folder + sep))) edited(path);
  };
  /** `isNew`: the files in it may have been written before it was watched. */
  const add = (folder: string, isNew: boolean): void => {
    if (watchers.has(folder)) return;
    const watcher = watch(folder, (event, name) => {
      if (name === null) return;
      const path = join(folder, name);
      const isFolder = orUndefined(() => statSync(path).isDirectory()) === true;
      if (!isFolder) return note(path);
      if (event !== 'rename' || !isProject(name)) return;
      close(watchers, path);
      tryToAdd(path, true);
    });
    // It was deleted. The folder above says when it is made again.
    watcher.on('error', () => {});
    watchers.set(folder, watcher);
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory() && isProject(entry.name)) tryToAdd(join(folder, entry.name), isNew);
      else if (isNew) note(join(folder, entry.name));
  };
  const tryToAdd = (folder: string, isNew: boolean): void => {
    try {
      add(folder, isNew);
    } catch (error) {
      // It was deleted again.
      if (isSaid || codeOf(error) === 'ENOENT') return;
      isSaid = true;
      unwatched(relative(cwd, folder), error);
    }
  };
  for (const folder of [cwd, ...more]) {
    if (!existsSync(folder)) throw new Failure(`--watch: there is no folder ${folder}`);
    add(folder, false);
  }
}

/** The watchers of a folder and of those in it. */
function close(watchers: Map<string, FSWatcher>, folder: string): void {
  for (const [path, watcher] of watchers) {
    if (path !== folder && !path.startsWith(folder + sep)) continue;
    watcher.close();
    watchers.delete(path);
  }
}

/** Returns a function that notes a changed file. */
function collectedEdits(cwd: string, changed: Watching['changed']): (path: string) => void {
  const edited = new Set<string>();
  let since = 0;
  let timer: NodeJS.Timeout | undefined;
  const over = (): void => {
    const names = [...edited].slice(0, MOST_NAMES).map((path) => relative(cwd, path));
    const others = edited.size - names.length;
    edited.clear();
    changed(`${names.join(', ')}${others > 0 ? ` and ${others} more` : ''}`);
  };
  return (path) => {
    if (edited.size === 0) since = performance.now();
    edited.add(path);
    clearTimeout(timer);
    timer = setTimeout(over, performance.now() - since > LONGEST_EDIT_MS ? 0 : SETTLED_MS);
  };
}
