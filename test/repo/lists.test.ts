/** The lists of tools and pages name what exists, and the rules of the house bind the code of every package. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import config from '../../vitest.config.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const root = join(import.meta.dirname, '../..');
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const jsonOf = (file: string): unknown => JSON.parse(textOf(file));
/** Those with files of the repository: a checkout may have others, with what was installed in them. */
const foldersOf = (path: string): string[] => {
  const args = ['ls-files', '-co', '--exclude-standard', path];
  const files = execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\n');
  const steps = files.map((file) => file.slice(path.length + 1).split('/'));
  return [...new Set(steps.flatMap(([name = '', rest]) => (rest === undefined ? [] : [name])))];
};

interface Lists {
  readonly ignorePatterns?: readonly string[];
  readonly overrides?: readonly { readonly files: readonly string[] }[];
  readonly ignore?: readonly string[];
  readonly workspaces?: Readonly<
    Record<string, { readonly entry?: readonly string[]; readonly project?: readonly string[] }>
  >;
}

/** `a/{b,c}` as `a/b` and `a/c`. */
function alternatives(pattern: string): string[] {
  const [all, before = '', inner = '', after = ''] = /^(.*?)\{([^{}]*)\}(.*)$/.exec(pattern) ?? [];
  if (all === undefined) return [pattern];
  return inner.split(',').flatMap((one) => alternatives(before + one + after));
}

/** What an entry names that the repository does not have. */
function missing(patterns: readonly string[]): string[] {
  const has = (pattern: string): boolean => {
    // A filter of vitest names a file without its ending.
    const paths = [pattern, `${pattern}.test.ts`].map((path) => `:(top,glob)${path}`);
    return (
      execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...paths], { cwd: root })
        .length > 0
    );
  };
  return patterns.flatMap(alternatives).filter((pattern) => !has(pattern));
}

const lintLists = ({ ignorePatterns = [], overrides = [] }: Lists): string[] => [
  ...ignorePatterns,
  ...overrides.flatMap(({ files }) => files),
];
const knipLists = ({ ignore = [], workspaces = {} }: Lists): string[] => [
  ...ignore,
  ...Object.entries(workspaces).flatMap(([folder, { entry = [], project = [] }]) =>
    [...entry, ...project].map((one) => (folder === '.' ? one : `${folder}/${one}`)),
  ),
];
const ownWorkers = config.test?.projects?.flatMap((one) =>
  typeof one === 'object' && 'test' in one && one.test?.name === 'own worker'
    ? (one.test.include ?? [])
    : [],
);

test.each<[string, readonly string[]]>([
  ['.oxlintrc.json', lintLists(jsonOf('.oxlintrc.json') as Lists)],
  ['.oxfmtrc.json', lintLists(jsonOf('.oxfmtrc.json') as Lists)],
  ['knip.json', knipLists(jsonOf('knip.json') as Lists)],
  ['OWN of vitest.config.ts', ownWorkers ?? []],
  [
    'scripts/test-matrix.mjs',
    textOf('scripts/test-matrix.mjs').match(/\btest\/(?!installs\/)[\w./*-]+/g) ?? [],
  ],
])('each entry of %s names a file that exists', (_list, entries) => {
  expect(entries).not.toEqual([]);
  expect(missing(['src/{index,nowhere}.ts'])).toEqual(['src/nowhere.ts']);
  expect(missing(entries)).toEqual([]);
});

test('CONTRIBUTING lists the folders of test/ that no folder of src/ has given its name', () => {
  const [, listed = ''] = textOf('CONTRIBUTING.md').split(
    /Beside\s+them:|^`src\/dashboard\/page\/`/m,
  );
  const names = [...listed.matchAll(/`test\/([\w-]+)\/`/g)].map(([, name = '']) => name);
  const folders = foldersOf('test');
  expect(names.filter((name) => !folders.includes(name))).toEqual([]);
  expect(
    folders.filter((name) => !foldersOf('src').includes(name) && !names.includes(name)),
  ).toEqual([]);
});

/** Each line breaks one rule. */
const BROKEN = {
  'no-underscore-dangle': 'export const taken = (x: { readonly _foo: string }): string => x._foo;',
  'no-restricted-globals':
    'export const wait = (then: () => void): unknown => setTimeout(then, 1);',
  'no-restricted-properties': 'export const dice = (): number => Math.random();',
  'no-restricted-imports': "export { randomBytes } from 'node:crypto';",
  'no-explicit-any': 'export const anything = (x: any): void => void x;',
  'no-console': "export const print = (): void => console.log('');",
  'linear-regexp': 'export const slow = /0+$/;',
  'plain-words': '/** What nobody\n * sees. */\nexport const seen = 1;',
  'max-lines-per-function': `export function long(): void {\n${'  void 0;\n'.repeat(60)}}`,
  'max-lines': 'export {};\n'.repeat(500),
};

test('the rules of src/ bind the packages', { timeout: 60_000 }, () => {
  const folder = temporaryFolder();
  const { options: _typeAware, ...rules } = jsonOf('.oxlintrc.json') as Record<string, unknown>;
  writeFileSync(
    join(folder, '.oxlintrc.json'),
    JSON.stringify({ ...rules, jsPlugins: [join(root, 'scripts/lint.mjs')] }),
  );
  const packages = foldersOf('packages').filter((name) =>
    existsSync(join(root, 'packages', name, 'src')),
  );
  const places = ['src', ...packages.map((name) => `packages/${name}/src`)];
  const broken = places.flatMap((place) =>
    Object.entries(BROKEN).map(([rule, text]) => ({ rule, text, place })),
  );
  for (const { rule, text, place } of broken) {
    const file = join(folder, place, `${rule}.ts`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
  let said = '';
  try {
    execFileSync(process.execPath, [oxlint, '-f', 'unix'], { cwd: folder, encoding: 'utf8' });
  } catch (error) {
    said = (error as { stdout: string }).stdout;
  }
  const reported = Array.from(said.matchAll(/^(.*)\/([\w-]+)\.ts:.*\(([\w-]+)\)\]$/gm), (line) =>
    line.slice(1).join(' '),
  );
  expect(reported.toSorted()).toEqual(
    broken.map(({ rule, place }) => `${place} ${rule} ${rule}`).toSorted(),
  );
});
