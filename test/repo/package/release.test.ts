/** The release: one version everywhere, and what is published of the demo. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
// @ts-expect-error a script without declarations
import * as script from '../../../scripts/release.mjs';
import manifest from '../../../package.json' with { type: 'json' };

const { PACKAGES, PLACES, pageOf, repositoryOf } = script as {
  readonly pageOf: (text: string, env: object, folder: string, version: string) => string;
  readonly repositoryOf: (env: object, folder: string) => object | undefined;
  readonly PACKAGES: readonly string[];
  readonly PLACES: Readonly<Record<string, readonly string[]>>;
};
const root = resolve(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

describe('one version', () => {
  test.each(Object.entries(PLACES))('%s has it', (file, before) => {
    const text = read(file);
    expect(before.filter((part) => !text.includes(part + manifest.version))).toEqual([]);
  });

  test('the changelog has an entry for it', () => {
    expect(read('CHANGELOG.md')).toContain(`\n## ${manifest.version}\n`);
  });

  test('each folder of packages/ is published', () => {
    expect(PACKAGES).toEqual([
      '.',
      ...readdirSync(join(root, 'packages')).flatMap((name) =>
        name.includes('.') ? [] : `packages/${name}`,
      ),
    ]);
  });
});

const CI = { GITHUB_SERVER_URL: 'https://host.example', GITHUB_REPOSITORY: 'a/b' };

test('every published package names its repository, its page and where to report a fault', () => {
  for (const folder of PACKAGES)
    expect(repositoryOf(CI, folder)).toEqual({
      repository: {
        type: 'git',
        url: 'git+https://host.example/a/b.git',
        ...(folder !== '.' && { directory: folder }),
      },
      homepage: 'https://host.example/a/b#readme',
      bugs: { url: 'https://host.example/a/b/issues' },
    });
});

test('links and images of each package page lead to the tag of its version', () => {
  const given = '[![a b](docs/i.svg)](../x.md#y) [here](#z) [there](https://a.example/b)';
  expect(pageOf(given, CI, 'packages/demo', '0.3.0')).toBe(
    '[![a b](https://host.example/a/b/raw/v0.3.0/packages/demo/docs/i.svg)](https://host.example/a/b/blob/v0.3.0/packages/x.md#y) [here](#z) [there](https://a.example/b)',
  );
  for (const folder of PACKAGES) {
    const links = pageOf(read(join(folder, 'README.md')), CI, folder, '0.3.0').matchAll(
      /\]\((?!https:|#)([^)\s]+)\)/g,
    );
    expect(Array.from(links, ([, link]) => link)).toEqual([]);
  }
});

test('the demo is packed with its programs, its licence and its page, and nothing else', async () => {
  const folder = join(root, 'packages/demo');
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--dry-run', '--json', '--ignore-scripts'],
    {
      cwd: folder,
    },
  );
  const [packed] = JSON.parse(stdout) as [{ files: Array<{ path: string }> }];
  const programs = readdirSync(folder).filter((name) => name.endsWith('.mjs'));
  expect(packed.files.map(({ path }) => path).sort()).toEqual(
    ['LICENSE', 'README.md', 'package.json', ...programs].sort(),
  );
});
