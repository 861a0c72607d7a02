/** `npm run check`: every check of the code that needs no test run. Prints each step and exits 1 when a step failed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run, runSteps } from './steps.mjs';

const node = (...args) => run(process.execPath, args);

const steps = [
  { name: 'types (src, test, examples, bench)', run: () => run('tsc', ['-p', 'tsconfig.json', '--pretty', 'false']) },
  ...['dashboard', 'test/page'].map((folder) => ({
    name: `types (${folder})`,
    run: () => run('tsc', ['-p', folder, '--pretty', 'false']),
  })),
  { name: 'lint (oxlint, house rules)', run: () => run('oxlint', []) },
  { name: 'format (oxfmt)', run: () => run('oxfmt', ['--check']) },
  { name: 'lock file (every platform, no registry)', run: () => node('scripts/lock.mjs') },
  { name: 'dead code (knip)', run: () => run('knip', ['--no-progress']) },
  { name: 'exports map against the build', run: () => node('scripts/check-exports.mjs') },
  { name: 'package (publint, attw)', run: () => node('scripts/check-package.mjs') },
];

/** Builds first, because the exports, the package and the types of the examples are checked against the build. */
export async function check() {
  const failed = await runSteps([{ name: 'build (src to dist)', run: () => node('scripts/build.mjs', '--if-stale') }]);
  if (!existsSync(join(root, 'dist'))) return failed;
  return [...failed, ...(await runSteps(steps))];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const failed = await check();
  console.log(failed.length === 0 ? '\nAll checks passed.' : `\nFailed: ${failed.join('; ')}.`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
