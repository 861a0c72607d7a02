/** The release: one version everywhere, what is published of each package, and what refuses to be published. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
// @ts-expect-error a script without declarations
import * as script from '../../scripts/release.mjs';
import manifest from '../../package.json' with { type: 'json' };

interface Release {
  readonly PACKAGES: readonly string[];
  placesOf(version: string): ReadonlyArray<readonly [file: string, texts: readonly string[]]>;
  repositoryOf(env: Record<string, string>, folder: string): Record<string, unknown> | undefined;
  refusalOf(of: Record<string, unknown>): string | undefined;
}

const { PACKAGES, placesOf, repositoryOf, refusalOf } = script as Release;
const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const manifestOf = (folder: string) => JSON.parse(read(join(folder, 'package.json'))) as Record<string, unknown>;

describe('one version', () => {
  test.each(placesOf(manifest.version))('%s has it', (file, texts) => {
    const text = read(file);
    expect(texts.filter((part) => !text.includes(part))).toEqual([]);
  });

  test('the changelog has an entry for it', () => {
    expect(refusalOf({ version: manifest.version, changelog: read('CHANGELOG.md') })).toBeUndefined();
  });

  test('each folder of packages/ is published', () => {
    expect(PACKAGES).toEqual([
      '.',
      ...readdirSync(join(root, 'packages')).flatMap((name) => (name.includes('.') ? [] : `packages/${name}`)),
    ]);
  });
});

describe.each(PACKAGES)('the manifest of %s', (folder) => {
  const fields = manifestOf(folder);

  test('says what it is, of whom, for which Node.js, and which files it has', () => {
    const { description, license, author, files, engines, type } = fields;
    expect({ license, author, engines, type }).toEqual({
      license: 'MIT',
      author: 'sojourn contributors',
      engines: { node: '>=20' },
      type: 'module',
    });
    expect(description).toMatch(/^\w.*\.$/);
    expect(files).toEqual(expect.arrayContaining([expect.any(String)]));
  });

  test('gets its addresses from the workflow that publishes it', () => {
    expect(fields).not.toHaveProperty('repository');
    const env = { GITHUB_SERVER_URL: 'https://git.example', GITHUB_REPOSITORY: 'o/sojourn' };
    expect(repositoryOf(env, folder)).toEqual({
      repository: {
        type: 'git',
        url: 'git+https://git.example/o/sojourn.git',
        ...(folder === '.' ? {} : { directory: folder }),
      },
      homepage: 'https://git.example/o/sojourn#readme',
      bugs: { url: 'https://git.example/o/sojourn/issues' },
    });
  });
});

test('the demo is packed with its programs, its licence and its page, and nothing else', async () => {
  const folder = join(root, 'packages/demo');
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: folder,
  });
  const [packed] = JSON.parse(stdout) as [{ files: Array<{ path: string }> }];
  const programs = readdirSync(folder).filter((name) => name.endsWith('.mjs'));
  expect(packed.files.map(({ path }) => path).sort()).toEqual(
    ['LICENSE', 'README.md', 'package.json', ...programs].sort(),
  );
});

describe('is refused', () => {
  const right = { version: '1.2.3', changelog: '# Changelog\n\n## 1.2.3\n', tag: 'v1.2.3', repository: {} };

  test.each([
    ['without an entry in the changelog', { changelog: '## 1.2.2\n' }, 'CHANGELOG.md has no entry for 1.2.3.'],
    ['for another tag', { tag: 'v1.2.4' }, 'The tag v1.2.4 is not v1.2.3, the version of package.json.'],
    ['outside of a workflow', { repository: undefined }, 'GITHUB_REPOSITORY is not set: publish from CI.'],
  ])('%s', (_, wrong, why) => {
    expect(refusalOf({ ...right, ...wrong })).toBe(why);
  });

  test('for no other reason', () => {
    expect(refusalOf(right)).toBeUndefined();
    expect(refusalOf({ ...right, tag: undefined, repository: undefined })).toBeUndefined();
  });
});

test('the workflow publishes a tag with provenance, after the tests, without a stored token', () => {
  const text = read('.github/workflows/release.yml');
  const { on, permissions, jobs } = parse(text) as {
    on: unknown;
    permissions: unknown;
    jobs: { publish: { steps: ReadonlyArray<{ run?: string }> } };
  };
  expect({ on, permissions }).toEqual({
    on: { push: { tags: ['v*'] } },
    permissions: { contents: 'read', 'id-token': 'write' },
  });
  const runs = jobs.publish.steps.flatMap(({ run }) => run ?? []);
  expect(runs.slice(-2)).toEqual(['npm test', 'npm run release -- --publish']);
  expect(text).not.toContain('secrets.');
});
