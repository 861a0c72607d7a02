/** `npm run check`: every check of the code that needs no test run. Prints each step and exits 1 when a step failed. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { root, run, runSteps } from './steps.mjs';

/** The tarball that npm would publish: publint checks its declarations, attw the resolution of its types. */
async function checkTarball() {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-pack-'));
  try {
    const packed = await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]);
    if (packed.code !== 0) return packed;
    const tarball = join(folder, readdirSync(folder)[0]);
    const published = await run('publint', ['run', tarball, '--strict']);
    if (published.code !== 0) return published;
    // Every way that TypeScript resolves, `moduleResolution: node` included. The package is an ES module alone.
    const rules = ['--ignore-rules', 'cjs-resolves-to-esm', '--no-definitely-typed', '--format', 'ascii'];
    return await run('attw', [tarball, ...rules]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The compiler and the linter are programs in Go. On several threads each thread checks the types that files share: twice
 * the CPU, which the tests beside them need.
 */
const ONE_THREAD = { env: { GOMAXPROCS: '1' } };

const steps = [
  ...['tsconfig.json', 'dashboard', 'test/page'].map((project) => ({
    name: `types (${project})`,
    run: () => run('tsc', ['-p', project, '--checkers', '1', '--pretty', 'false'], ONE_THREAD),
  })),
  { name: 'lint (oxlint, house rules)', run: () => run('oxlint', [], ONE_THREAD) },
  { name: 'format (oxfmt)', run: () => run('oxfmt', ['--check']) },
  { name: 'lock file (every platform, no registry)', run: () => run(process.execPath, ['scripts/lock.mjs']) },
  { name: 'dead code (knip)', run: () => run('knip', ['--no-progress']) },
  { name: 'package (publint, attw)', run: checkTarball },
];

/** Builds first, because the package and the types of the examples are checked against the build. */
export async function check() {
  return build({ ifStale: true }) ? runSteps(steps) : ['build'];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const failed = await check();
  console.log(failed.length === 0 ? `\nAll checks of ${root} passed.` : `\nFailed: ${failed.join('; ')}.`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
