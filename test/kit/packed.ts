/** The tarball that `npm publish` would send, packed once per process. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { inherited } from './child-process.ts';

const root = resolve(import.meta.dirname, '../..');
let packing: Promise<string> | undefined;

export const packed = (): Promise<string> => (packing ??= pack());

async function pack(): Promise<string> {
  const folder = join(root, 'node_modules/.cache/sojourn', `packed-${process.pid}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder];
  await promisify(execFile)('npm', args, { cwd: root, env: inherited });
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return join(folder, String(readdirSync(folder)[0]));
}
