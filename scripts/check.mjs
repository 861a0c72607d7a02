/**
 * `npm run check`: every check of the code that needs no test run. Each command is printed, the output of one that
 * failed too, and then the exit code is 1.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { root, run } from './steps.mjs';

/**
 * The compiler and the linter are programs in Go. On several threads each thread checks the types that files share:
 * twice the CPU, which the tests beside them need.
 */
const env = { GOMAXPROCS: '1' };

/** Builds first, because the package and the types of the examples are checked against the build. */
export async function check() {
  if (!build({ ifStale: true })) return ['build'];
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-pack-'));
  for (const name of ['.', 'packages/postgres', 'packages/redis'])
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: join(root, name) });
  const tarballs = readdirSync(folder).map((name) => join(folder, name));
  const commands = [
    ...['tsconfig.json', 'dashboard', 'test/page'].map((project) => `tsc -p ${project} --checkers 1 --pretty false`),
    'oxlint',
    'oxfmt --check',
    'node scripts/lock.mjs',
    'node scripts/pages.mjs --check',
    'knip --no-progress',
    ...tarballs.flatMap((tarball) => [
      `publint run ${tarball} --strict`,
      // Every way that TypeScript resolves, `moduleResolution: node` included. The package is an ES module alone.
      `attw ${tarball} --ignore-rules cjs-resolves-to-esm --no-definitely-typed --format ascii`,
    ]),
  ];
  const failed = [];
  for (const command of commands) {
    const [program, ...args] = command.split(' ');
    const { code, output } = await run(program, args, { env });
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'}  ${command}`);
    if (code === 0) continue;
    failed.push(command);
    console.log(output.trimEnd().replace(/^/gm, '    '));
  }
  rmSync(folder, { recursive: true, force: true });
  return failed;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = (await check()).length === 0 ? 0 : 1;
