/** A folder of a project with sojourn and the packages of this repository, as `npm install` would put them there. */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { temporaryFolder } from './temporary.ts';

const root = resolve(import.meta.dirname, '../..');
const PACKAGES = [
  '@modelcontextprotocol',
  'commander',
  'express',
  'jose',
  'libsql',
  'vitest',
  'zod',
];

/** `files` by name. The build is copied, because tools treat what is linked from elsewhere as code of the project. */
export function projectFolder(files: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'node_modules/sojourn'), { recursive: true });
  for (const name of PACKAGES)
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  cpSync(join(root, 'dist'), join(folder, 'node_modules/sojourn/dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'node_modules/sojourn/package.json'));
  for (const [name, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}
