/**
 * Keeps the lock file usable in every clone of the repository: it lists every platform's build of a tool. A registry that
 * mirrors only some platforms makes npm omit the others, and `npm ci` then refuses the lock file ("Missing: … from lock
 * file"). `node scripts/lock.mjs` reports missing entries. `--fix` adds them, from the exact version that the tool
 * requires and the platform in the package's name, without a checksum. `.npmrc` keeps addresses of registries out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './steps.mjs';

const file = join(root, 'package-lock.json');
const lock = JSON.parse(readFileSync(file, 'utf8'));
const { packages } = lock;
const problems = [];

/** Where npm finds `name` from the package at `path`: its own node_modules, then its parents'. */
function find(path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(at.lastIndexOf('/node_modules/'), 0))) {
    const found = packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`];
    if (found || at === '') return found;
  }
}

/** `@tool/binding-linux-x64-musl` → `{ os: ['linux'], cpu: ['x64'], libc: ['musl'] }`. */
function platformOf(name) {
  const match =
    /(?:^|[-/])(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-([a-z0-9]+)(?:-(\w+))?$/.exec(
      name,
    );
  if (!match) return undefined;
  const [, os, cpu, abi] = match;
  const libc = { gnu: 'glibc', glibc: 'glibc', musl: 'musl' }[abi];
  return { os: [os], cpu: [cpu], libc: libc && [libc] };
}

for (const [path, tool] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(tool.optionalDependencies ?? {})) {
    if (find(path, name)) continue;
    const platform = platformOf(name);
    problems.push(`${name}@${version}, wanted by ${path}, is missing`);
    if (!platform || !/^\d/.test(version)) throw new Error(`${name}@${version}: add it by hand`);
    const { os, cpu, libc } = platform;
    const { dev, license, engines } = tool;
    // npm's order of keys, so that its next write leaves the entry as it is.
    packages[`node_modules/${name}`] = { version, cpu, dev, libc, license, optional: true, os, engines };
  }
}

if (process.argv.includes('--fix')) {
  const sorted = Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en'));
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, undefined, 2)}\n`);
  console.log(`${problems.length} corrected`);
} else if (problems.length > 0) {
  console.error(problems.join('\n'));
  console.error('node scripts/lock.mjs --fix corrects this.');
  process.exitCode = 1;
}
