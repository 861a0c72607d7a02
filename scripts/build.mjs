/**
 * `npm run build`: compiles src/ to dist/ and bundles the page of the dashboard. The compiler writes to a folder beside dist/, and the two are swapped. A
 * process that runs from dist/ during the build sees the old build or the new build. `--if-stale` does nothing when
 * dist/ was built from the present src/.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripComments } from './strip-comments.mjs';

const root = resolve(import.meta.dirname, '..');
const dist = join(root, 'dist');
const cache = join(root, 'node_modules/.cache/sojourn');
const stamp = join(cache, 'built-from');

const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

/** A hash of everything that decides the result of the build. */
function fingerprint() {
  const hash = createHash('sha256');
  const settings = [
    'tsconfig.json',
    'tsconfig.build.json',
    'package-lock.json',
    'scripts/build.mjs',
    'scripts/bundle-page.mjs',
    'scripts/licences.mjs',
    'scripts/strip-comments.mjs',
  ];
  const sources = ['src', 'dashboard'].flatMap((folder) => filesBelow(join(root, folder)));
  for (const file of [...settings.map((name) => join(root, name)), ...sources]) {
    hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex');
}

/** Rewrites `.ts` specifiers in declarations; the compiler does so only in JavaScript. */
function finishDeclarations(folder) {
  for (const file of filesBelow(folder)) {
    if (!file.endsWith('.d.ts')) continue;
    const text = readFileSync(file, 'utf8');
    const finished = text.replace(/((?:from|import) ?\(?['"]\.{1,2}\/[^'"\n]*)(?<!\.d)\.ts(?=['"])/g, '$1.js');
    if (finished !== text) writeFileSync(file, finished);
  }
}

/** Removes declarations of internal files: those that no declaration of a public path imports. */
function dropInternalDeclarations(folder) {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const entries = Object.values(exports).flatMap(({ types }) => (types === undefined ? [] : [types]));
  const reached = new Set();
  const visit = (file) => {
    if (reached.has(file) || !existsSync(file)) return;
    reached.add(file);
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import) ?\(?['"](\.{1,2}\/[^'"\n]*)['"]/g))
      visit(resolve(file, '..', path.replace(/\.js$/, '.d.ts')));
  };
  for (const entry of entries) visit(join(folder, entry.replace(/^\.\/dist\//, '')));
  for (const file of filesBelow(folder)) if (file.endsWith('.d.ts') && !reached.has(file)) rmSync(file);
}

/** Two builds may end at once. A build that finds dist/ taken or missing between the two renames retries. */
function swap(built) {
  const old = `${built}.old`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (existsSync(dist)) renameSync(dist, old);
      renameSync(built, dist);
      break;
    } catch (error) {
      if (attempt === 10 || !['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
      rmSync(old, { recursive: true, force: true });
    }
  }
  rmSync(old, { recursive: true, force: true });
}

/** Returns true when dist/ holds a build of this src/ without errors. `quiet` hides the compiler's complaints. */
export function build({ ifStale = false, quiet = false } = {}) {
  const now = fingerprint();
  if (ifStale && existsSync(dist) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) return true;
  mkdirSync(cache, { recursive: true });
  const built = join(root, `node_modules/.cache/sojourn/dist-${process.pid}`);
  rmSync(built, { recursive: true, force: true });
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const run = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', built], {
    cwd: root,
    stdio: quiet ? 'ignore' : 'inherit',
  });
  if (!existsSync(built)) return false;
  for (const file of filesBelow(built)) if (file.endsWith('.js')) stripComments(file);
  const page = spawnSync(process.execPath, [join(root, 'scripts/bundle-page.mjs'), built], { stdio: 'inherit' });
  finishDeclarations(built);
  dropInternalDeclarations(built);
  const bin = join(built, 'cli/main.js');
  if (existsSync(bin)) chmodSync(bin, 0o755);
  swap(built);
  rmSync(stamp, { force: true });
  const isComplete = [run, page].every(({ status }) => status === 0);
  if (isComplete) writeFileSync(stamp, now);
  return isComplete;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = build({ ifStale: process.argv.includes('--if-stale') }) ? 0 : 1;
}
