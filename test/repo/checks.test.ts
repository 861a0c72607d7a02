/** `npm run check`: every check of the code that is no test of its own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
// @ts-expect-error a script without declarations
import * as steps from '../../scripts/steps.mjs';
import { packed } from '../kit/packed.ts';

interface Options {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}
const { root, run } = steps as {
  readonly root: string;
  run(
    command: string,
    args: readonly string[],
    options?: Options,
  ): Promise<{ code: number; output: string }>;
};

/**
 * The compiler and the linter are programs in Go. On several threads each thread checks the types that files share:
 * twice the CPU, which the tests beside them need.
 */
const env = { GOMAXPROCS: '1' };

async function passes(command: string): Promise<void> {
  const [program = '', ...args] = command.split(' ');
  const { code, output } = await run(program, args, { env });
  if (code !== 0) throw new Error(output);
}

describe('the code', { timeout: 600_000 }, () => {
  test.each([
    ...['tsconfig.json', 'src/dashboard/page', 'test/dashboard/page'].map(
      (project) => `tsc -p ${project} --checkers 1 --pretty false`,
    ),
    'oxlint',
    'oxfmt --check',
    'node scripts/pages.mjs --check',
    'knip --no-progress',
    // Each mutation has its place in `src/` and tests that exist.
    'tsx test/mutations/run.ts --check',
  ])('%s', passes);

  // npm omits those of other platforms where a registry lacks them, and `npm ci` then refuses the lock file elsewhere.
  test('the lock file has every optional package', () => {
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { readonly optionalDependencies?: object }>;
    };
    const has = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, '')));
    const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
      Object.keys(optionalDependencies),
    );
    expect(wanted.filter((name) => !has.has(name))).toEqual([]);
  });
});

test.each(['.', 'packages/postgres', 'packages/redis'])(
  'the tarball of %s',
  { timeout: 600_000 },
  async (place) => {
    const tarball = await packed(place);
    await passes(`publint run ${tarball} --strict`);
    // Every way that TypeScript resolves, `moduleResolution: node` included. The package is an ES module alone.
    await passes(
      `attw ${tarball} --ignore-rules cjs-resolves-to-esm --no-definitely-typed --format ascii`,
    );
  },
);
