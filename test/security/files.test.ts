/** Files of this machine that another user planted or can change: what is written to them or read from them counts. */
import { lstatSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writePid } from '../../src/cli/supervise.ts';
import { temporaryFolder } from '../kit/temporary.ts';

test.each(['an existing file', 'a missing file'])('--pid-file does not write through a link to %s', (what) => {
  const folder = temporaryFolder();
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
