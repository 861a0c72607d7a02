/** When an edit is over: `sojourn dev` watches the folders of a project for changes of its code. */
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { orUndefined } from '../base/or-undefined.ts';
import type { Logger } from '../base/types.ts';
import { codeOf, reason } from './failure.ts';

/** Editors and `git checkout` write many files, in several steps. An edit is over after this time without a change. */
const SETTLED_MS = 60;
/** The line that says what changed names this many files. */
const MOST_NAMES = 3;
/** Other files may be written by the server itself: a database, a log. */
const CODE = /\.[cm]?[jt]sx?$|^(?:package|tsconfig)\.json$|^\.env$/;

const isProject = (name: string): boolean => name !== 'node_modules' && !name.startsWith('.');

/**
 * Calls `changed` after each edit, for as long as the process lives. Not with `recursive: true`: in `node_modules` of
 * 50,000 files that takes Node.js 20 four seconds, 130 MB and a watch of the kernel for each file.
 */
export function watchProject(cwd: string, logger: Logger, changed: () => void): void {
  const watchers = new Map<string, FSWatcher>();
  const edited = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let isSaid = false;
  const over = (): void => {
    const names = [...edited].slice(0, MOST_NAMES).map((path) => relative(cwd, path));
    const others = edited.size - names.length;
    edited.clear();
    logger.info({}, `${names.join(', ')}${others > 0 ? ` and ${others} more` : ''} changed`);
    changed();
  };
  const note = (path: string): void => {
    if (!CODE.test(basename(path))) return;
    edited.add(path);
    clearTimeout(timer);
    timer = setTimeout(over, SETTLED_MS);
  };
  /**
   * Another folder may have its name by now. A watcher would follow the files of a moved folder.
   */
  const forget = (path: string): void => {
    for (const [folder, watcher] of watchers) {
      if (folder !== path && !folder.startsWith(path + sep)) continue;
      watcher.close();
      watchers.delete(folder);
    }
  };
  /** `isNew`: the files in it may have been written before it was watched. */
  const add = (folder: string, isNew: boolean): void => {
    try {
      const watcher = watch(folder, (event, name) => {
        if (name === null) return;
        const path = join(folder, name);
        if (event === 'rename') forget(path);
        if (orUndefined(() => statSync(path).isDirectory()) !== true) return note(path);
        if (event === 'rename' && isProject(name)) add(path, true);
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
      logger.warn(
        { folder, error: reason(error) },
        'edits in some folders are not seen: send SIGHUP after them',
      );
    }
  };
  add(cwd, false);
}
