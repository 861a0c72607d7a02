/** The process id of a supervisor: `sojourn serve --pid-file` writes it, `sojourn reload` reads it. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { orUndefined } from '../or-undefined.ts';
import { Failure, reason, UsageError } from './failure.ts';

export interface ReloadRequest {
  readonly pid: string | undefined;
  readonly pidFile: string | undefined;
}

/** Returns a function that removes the file, unless another process has overwritten it. */
export function writePid(path: string | undefined): () => void {
  if (path === undefined) return () => {};
  const text = `${process.pid}\n`;
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new Failure(`--pid-file: cannot write ${path}: ${reason(cause)}`, { cause });
  }
  return () => {
    try {
      if (readFileSync(path, 'utf8') === text) rmSync(path, { force: true });
    } catch {
      // It was removed already.
    }
  };
}

/** Asks a supervisor to replace its workers, one after the other. */
export function reload({ pid, pidFile }: ReloadRequest, out: (text: string) => void): number {
  const text = pid ?? readPid(pidFile);
  const id = Number(text);
  if (!/^\d+$/.test(text) || id < 1) throw new UsageError(`${JSON.stringify(text)} is not a process id`);
  // SIGHUP ends a process that does not handle it, and the process id in an old file may belong to any process by now.
  if (!commandOf(id).includes('serve'))
    throw new Failure(`process ${id} is not a \`sojourn serve\`: it has ended, or the pid file is out of date`);
  process.kill(id, 'SIGHUP');
  out(`process ${id} is replacing its workers; it logs "rolling restart done" at the end\n`);
  return 0;
}

function readPid(path: string | undefined): string {
  if (path === undefined)
    throw new UsageError('reload needs --pid-file or --pid, to know the process that replaces its workers');
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new Failure(`cannot read ${path}: ${reason(cause)}`, { cause });
  }
}

/** The arguments of a process; none if there is no such process. */
function commandOf(pid: number): string[] {
  if (process.platform !== 'linux') {
    const { stdout } = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
    return stdout.trim().split(/\s+/);
  }
  return orUndefined(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')) ?? [];
}
