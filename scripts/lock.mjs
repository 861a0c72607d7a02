/**
 * The lock file lists every platform's build of a tool. A registry that mirrors only some platforms makes npm omit the
 * others, and `npm ci` then refuses the lock file elsewhere ("Missing: … from lock file"). `.npmrc` keeps addresses of
 * registries out.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './steps.mjs';

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));

/** Whether npm finds `name` from the package at `path`: in its own node_modules, or in its parents'. */
function isFound(path, name) {
  if (packages[`${path === '' ? '' : `${path}/`}node_modules/${name}`] !== undefined) return true;
  return path !== '' && isFound(path.slice(0, Math.max(path.lastIndexOf('/node_modules/'), 0)), name);
}

for (const [path, { optionalDependencies = {} }] of Object.entries(packages))
  for (const name of Object.keys(optionalDependencies).filter((one) => !isFound(path, one))) {
    console.error(`${name}, wanted by ${path}, is missing: install from a registry that has it, or add it by hand`);
    process.exitCode = 1;
  }
