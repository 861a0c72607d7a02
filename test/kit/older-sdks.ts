/** The versions of the SDK in `test/installs/sdks`. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { installed } from '../installs/installed.ts';

/** The first, the last and some of those between. What is not listed differs less from its neighbours. */
export const SDKS: readonly string[] = [
  ...[
    '1.0.1',
    '1.10.2',
    '1.11.5',
    '1.13.3',
    '1.17.5',
    '1.20.2',
    '1.24.3',
    '1.27.1',
    '1.30.1',
    '1.32.2',
  ].map((version) => `sdk-${version}`),
  ...['2.0.0', '2.1.0', '2.2.0', '2.3.1', '2.4.0'].map((version) => `server-${version}`),
];

const root = resolve(import.meta.dirname, '../..');

/** The folder of the build of a version, as `sdk-1.10.2`. */
export function buildOf(name: string): string {
  const folder = join(installed('sdks'), 'node_modules', name, 'dist');
  return name.startsWith('server-') || name === 'sdk-1.0.1' ? folder : join(folder, 'esm');
}

/** Version 2.0.0 as a published server may have it: in one file, below `folder`, in a package of another name. */
export async function bundle(folder: string): Promise<string> {
  const name = 'server-2.0.0';
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'bundled-app', version: '9.9.9' }),
  );
  const args = [
    join(buildOf(name), 'index.mjs'),
    '--bundle',
    '--platform=node',
    '--format=esm',
    '--minify',
  ];
  await promisify(execFile)(join(root, 'node_modules/.bin/esbuild'), [
    ...args,
    `--outfile=${folder}/index.mjs`,
  ]);
  return folder;
}
