/** The process id of a supervisor: `sojourn serve --pid-file` writes it, `sojourn reload` reads it. */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemRandom } from '../base/system.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { codeOf, Failure, reason, UsageError } from './failure.ts';

export interface ReloadRequest {
  readonly pid: string | undefined;
  readonly pidFile: string | undefined;
}

/** Returns a function that removes the file, unless another process has overwritten it. */
export function writePid(path: string | undefined): () => void {
  if (path === undefined) return () => {};
  const text = `${process.pid}\n`;
  try {
    writeBeside(path, text);
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

/**
 * Writes another file and renames it: a link in place of the file is replaced, and its target is left alone. In a
 * folder that this process may not write, the file itself is written, and no link.
 */
function writeBeside(path: string, text: string): void {
  const beside = `${path}.${Buffer.from(systemRandom(6)).toString('hex')}`;
  try {
    writeFileSync(beside, text, { flag: 'wx', mode: 0o644 });
  } catch (cause) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(codeOf(cause) ?? '')) throw cause;
    const file = openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW);
    try {
      writeFileSync(file, text);
    } finally {
      closeSync(file);
    }
    return;
  }
  try {
    renameSync(beside, path);
  } catch (cause) {
    rmSync(beside, { force: true });
    throw cause;
  }
}

/** Asks a supervisor to replace its workers, one after the other. */
export function reload({ pid, pidFile }: ReloadRequest, out: (text: string) => void): number {
  const text = pid ?? readPid(pidFile);
  const id = Number(text);
  if (!/^\d+$/.test(text) || id < 1) throw new UsageError(`${JSON.stringify(text)} is not a process id`);
  // SIGHUP ends a process that does not handle it, and the process id in an old file may belong to any process by now.
  if (!isServing(id))
    throw new Failure(
      `process ${id} is not a \`sojourn serve\` or \`sojourn dev\`: it has ended, or the pid file is out of date`,
    );
  process.kill(id, 'SIGHUP');
  out(`process ${id} is replacing its workers; its log says when that is done\n`);
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

/** Whether a process is `serve` or `dev` of this program. Many programs have commands of these names. */
function isServing(pid: number): boolean {
  const args = commandOf(pid);
  const program = args[args.findIndex((arg) => arg === 'serve' || arg === 'dev') - 1];
  if (program === undefined) return false;
  if (process.platform !== 'linux') return PROGRAM.test(program);
  const file = orUndefined(() => realpathSync(resolve(realpathSync(`/proc/${pid}/cwd`), program)));
  // It was removed since, by an upgrade for example.
  if (file === undefined) return INSTALLED.test(program);
  const manifest = orUndefined(() => readFileSync(resolve(file, '../../../package.json'), 'utf8')) ?? '{}';
  return PROGRAM.test(file) && orUndefined(() => JSON.parse(manifest) as { name?: unknown })?.name === 'sojourn';
}

/** The file of this program, or the link to it that npm makes. */
const PROGRAM = /(?:^|\/)(?:sojourn|cli\/main\.[jt]s)$/;

const INSTALLED = /(?:^|\/)sojourn(?:\/dist\/cli\/main\.js)?$/;

/** The arguments of a process; none if there is no such process. */
function commandOf(pid: number): string[] {
  if (process.platform !== 'linux') {
    const { stdout } = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
    return stdout.trim().split(/\s+/);
  }
  return orUndefined(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')) ?? [];
}
