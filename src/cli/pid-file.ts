/** `--pid-file`: where `kill -HUP "$(cat sojourn.pid)"` finds the process that replaces its workers. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { orUndefined } from '../base/or-undefined.ts';
import { Failure, reason } from './failure.ts';

/** Returns a function that removes the file, unless another process has overwritten it. */
export function writePid(path: string | undefined): () => void {
  if (path === undefined) return () => {};
  const text = `${process.pid}\n`;
  try {
    // A link that another user made in its place is removed, and its target is left alone.
    rmSync(path, { force: true });
    writeFileSync(path, text, { flag: 'wx', mode: 0o644 });
  } catch (cause) {
    throw new Failure(`--pid-file: cannot write ${path}: ${reason(cause)}`, { cause });
  }
  return () => {
    if (orUndefined(() => readFileSync(path, 'utf8')) === text) rmSync(path, { force: true });
  };
}
