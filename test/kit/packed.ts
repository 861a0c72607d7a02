/** The tarballs that `npm publish` would send, each packed once per process. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { inherited } from './child-process.ts';

const root = resolve(import.meta.dirname, '../..');
const packing = new Map<string, Promise<string>>();

/** `place`: the folder of a package. */
export function packed(place = '.'): Promise<string> {
  const tarball = packing.get(place) ?? pack(place);
  packing.set(place, tarball);
  return tarball;
}

async function pack(place: string): Promise<string> {
  const folder = join(root, 'node_modules/.cache/sojourn', `packed-${process.pid}-${packing.size}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder];
  await promisify(execFile)('npm', args, { cwd: join(root, place), env: inherited });
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return join(folder, String(readdirSync(folder)[0]));
}
