/** When an edit is over: `sojourn dev` watches the folders of a project for changes of its code. */
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { orUndefined } from '../base/or-undefined.ts';
import { codeOf } from './failure.ts';

/** Editors and `git checkout` write many files, in several steps. An edit is over after this time without a change. */
const SETTLED_MS = 60;
/** The line that says what changed names this many files. */
const MOST_NAMES = 3;
/** Other files may be written by the server itself: a database, a log. */
const CODE = /\.[cm]?[jt]sx?$|^(?:package|tsconfig)\.json$|^\.env$/;

const isProject = (name: string): boolean => name !== 'node_modules' && !name.startsWith('.');

export interface Watching {
  readonly cwd: string;
  /** Called after each edit, with the files as the log names them. */
  changed(files: string): void;
  /** Called once if a folder cannot be watched. */
  unwatched(folder: string, error: unknown): void;
}

/**
 * Watches for as long as the process lives. Not with `recursive: true`: in `node_modules` of 50,000 files that takes
 * Node.js 20 four seconds, 130 MB and a watch of the kernel for each file.
 */
export function watchProject({ cwd, changed, unwatched }: Watching): void {
  const watchers = new Map<string, FSWatcher>();
  const edited = collectedEdits(cwd, changed);
  let isSaid = false;
  const note = (path: string): void => {
    if (CODE.test(basename(path))) edited(path);
  };
  /** `isNew`: the files in it may have been written before it was watched. */
  const add = (folder: string, isNew: boolean): void => {
    try {
      const watcher = watch(folder, (event, name) => {
        if (name === null) return;
        const path = join(folder, name);
        if (orUndefined(() => statSync(path).isDirectory()) !== true) return note(path);
        if (event !== 'rename' || !isProject(name)) return;
        closeBelow(path, watchers);
        add(path, true);
      });
      // It was deleted. The folder above says when it is made again.
      watcher.on('error', () => {});
      watchers.set(folder, watcher);
      for (const entry of readdirSync(folder, { withFileTypes: true }))
        if (entry.isDirectory() && isProject(entry.name)) add(join(folder, entry.name), isNew);
        else if (isNew) note(join(folder, entry.name));
    } catch (error) {
      // It was deleted again.
      if (isSaid || codeOf(error) === 'ENOENT') return;
      isSaid = true;
      unwatched(folder, error);
    }
  };
  add(cwd, false);
}

/** Closes the watchers of a folder and of those in it. */
function closeBelow(folder: string, watchers: Map<string, FSWatcher>): void {
  for (const [path, watcher] of watchers) {
    if (path !== folder && !path.startsWith(folder + sep)) continue;
    watcher.close();
    watchers.delete(path);
  }
}

/** Returns a function that notes a changed file. */
function collectedEdits(cwd: string, changed: Watching['changed']): (path: string) => void {
  const edited = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const over = (): void => {
    const names = [...edited].slice(0, MOST_NAMES).map((path) => relative(cwd, path));
    const others = edited.size - names.length;
    edited.clear();
    changed(`${names.join(', ')}${others > 0 ? ` and ${others} more` : ''}`);
  };
  return (path) => {
    edited.add(path);
    clearTimeout(timer);
    timer = setTimeout(over, SETTLED_MS);
  };
}
