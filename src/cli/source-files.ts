/**
 * The files that a module is made of, and when one of them changes. Node reports to the parent of a process which files
 * it loads, also those that are missing, if a variable asks for it (`node --watch` works by it).
 *
 * Files are looked at again and again instead of asking the system to watch them: this works on every file system (also
 * in containers and on network drives), needs no watches of the kernel, and sees a file that an editor renames into
 * place, or that is deleted and made again. 1,000 files take 3 ms, so a pause follows that is longer by far.
 */
import { statSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isObject } from '../protocol/jsonrpc.ts';
import { orUndefined } from '../base/or-undefined.ts';

/** Makes Node report each file that it loads as `{ 'watch:import': [url] }` or `{ 'watch:require': [path] }`. */
export const REPORT_FILES = { WATCH_REPORT_DEPENDENCIES: '1' };

/** Short beside the start of a worker. */
const PAUSE_MS = 100;
/** A look may take this part of the time. */
const LOAD = 1 / 20;
/** Editors and `git checkout` write many files, in several steps. An edit is over after this time without a change. */
const SETTLED_MS = 60;
/** Even a program that writes without end must not keep an edit from being loaded. */
const LONGEST_EDIT_MS = 3_000;
/** The line that says what changed names this many files. */
const MOST_NAMES = 3;
/** Files beside the module that its behaviour depends on, although it does not import them. */
const BESIDE = ['package.json', 'tsconfig.json', '.env'];

const MISSING = 'missing';

interface SourceFile {
  /** What the last look found. */
  stamp: string;
  /** The last build that loaded this file. */
  build: number;
}

export class SourceFiles {
  readonly #cwd: string;
  /** Nothing in this folder is watched: the code of sojourn. */
  readonly #own: string;
  readonly #files = new Map<string, SourceFile>();
  /** Files that were new to a build and changed while it loaded. */
  readonly #late = new Set<string>();

  constructor(cwd: string, own: string) {
    this.#cwd = cwd;
    this.#own = own + sep;
    for (const name of BESIDE) this.#add(resolve(cwd, name), Infinity, Date.now());
  }

  get count(): number {
    return [...this.#files.values()].filter(({ stamp }) => stamp !== MISSING).length;
  }

  /** Reads a message of a worker. `startedAt`: when its process began, in ms since 1970. Ignores other messages. */
  report(message: unknown, build: number, startedAt: number): void {
    if (!isObject(message)) return;
    for (const name of [message['watch:import'], message['watch:require']].flat()) {
      const path = typeof name === 'string' ? pathOf(name) : undefined;
      if (path !== undefined && this.#isSource(path)) this.#add(path, build, startedAt);
    }
  }

  /** Node reports the real path of a linked package, so a package of the same repository is a source. */
  #isSource(path: string): boolean {
    return !path.startsWith(this.#own) && !relative(this.#cwd, path).split(sep).includes('node_modules');
  }

  /** A build serves: files that only earlier builds loaded are forgotten. */
  forgetBefore(build: number): void {
    for (const [path, file] of this.#files) if (file.build < build) this.#files.delete(path);
  }

  /** Resolves with the files of the next edit, as the log names them; `undefined`: `signal` was aborted. */
  async changed(signal: AbortSignal): Promise<string | undefined> {
    const changed = new Set<string>();
    let since = 0;
    for (let pauseMs = PAUSE_MS; ;) {
      await delay(pauseMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return undefined;
      const began = performance.now();
      const found = this.#look();
      const now = performance.now();
      if (changed.size === 0) since = now;
      for (const path of found) changed.add(path);
      if (changed.size > 0 && (found.length === 0 || now - since > LONGEST_EDIT_MS)) return this.#named([...changed]);
      pauseMs = Math.max(changed.size > 0 ? SETTLED_MS : PAUSE_MS, (now - began) / LOAD);
    }
  }

  #add(path: string, build: number, startedAt: number): void {
    const known = this.#files.get(path);
    if (known !== undefined) {
      known.build = Math.max(known.build, build);
      return;
    }
    const { stamp, changedAt } = stampOf(path);
    this.#files.set(path, { stamp, build });
    if (changedAt > startedAt) this.#late.add(path);
  }

  #look(): string[] {
    const changed = [...this.#late];
    this.#late.clear();
    for (const [path, file] of this.#files) {
      const { stamp } = stampOf(path);
      if (stamp === file.stamp) continue;
      file.stamp = stamp;
      changed.push(path);
    }
    return changed;
  }

  #named(paths: readonly string[]): string {
    const names = paths.slice(0, MOST_NAMES).map((path) => relative(this.#cwd, path));
    const others = paths.length - names.length;
    return names.join(', ') + (others > 0 ? ` and ${others} more` : '');
  }
}

function pathOf(name: string): string | undefined {
  if (!name.startsWith('file:')) return resolve(name) === name ? name : undefined;
  // tsx adds parameters.
  return orUndefined(() => fileURLToPath(name.split(/[?#]/, 1)[0] ?? name));
}

function stampOf(path: string): { readonly stamp: string; readonly changedAt: number } {
  const found = orUndefined(() => statSync(path, { throwIfNoEntry: false }));
  if (found === undefined) return { stamp: MISSING, changedAt: -Infinity };
  const { mtimeMs, size, ino } = found;
  return { stamp: `${mtimeMs} ${size} ${ino}`, changedAt: mtimeMs };
}
