/** Files of this machine that another user planted or can change: what is written to them or read from them counts. */
import { spawn } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { reload, writePid } from '../../src/cli/pid-file.ts';
import { until } from '../kit/until.ts';

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-files-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test.each(['an existing file', 'a missing file'])('--pid-file does not write through a link to %s', (what) => {
  const folder = temporary();
  const [path, target] = [join(folder, 'pid'), join(folder, 'target')];
  if (what === 'an existing file') writeFileSync(target, 'kept');
  symlinkSync(target, path);
  const remove = writePid(path);
  const written = lstatSync(target, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(target, 'utf8') : '';
  const expected = what === 'an existing file' ? 'kept' : '';
  expect(written).toBe(expected);
  expect(lstatSync(path).isFile()).toBe(true);
  expect(readFileSync(path, 'utf8')).toBe(`${process.pid}\n`);
  remove();
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
});

test.each([
  ['an argument of another program', ['serve']],
  ['a program of another name', ['x.js', 'serve']],
  ['another program with a file of the same name', ['cli/main.js', 'serve']],
  ['a file that is gone', ['gone/cli/main.js', 'serve']],
])('reload signals no process with the word serve: %s', async (_what, args) => {
  const folder = temporary();
  mkdirSync(join(folder, 'cli'));
  writeFileSync(join(folder, 'cli/main.js'), '');
  writeFileSync(join(folder, 'package.json'), '{"name":"another"}');
  const program =
    'process.on("SIGHUP", () => process.stdout.write("hangup\\n")); process.stdout.write("ready\\n"); setInterval(() => {}, 1_000);';
  const child = spawn(process.execPath, ['-e', program, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (text) => (out += String(text)));
  await until(() => out.includes('ready'));
  const path = join(folder, 'pid');
  writeFileSync(path, `${child.pid}\n`);
  expect(() => reload({ pid: undefined, pidFile: path }, () => {})).toThrow('is not a `sojourn serve`');
  expect(out).toBe('ready\n');
});
