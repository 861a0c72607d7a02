import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

/** Each line of a fixture that ends in `// refused` breaks a rule; no other line does. */
const root = resolve(import.meta.dirname, '../..');
const project = mkdtempSync(join(tmpdir(), 'sojourn-house-'));

interface Diagnostic {
  code: string;
  filename: string;
  labels: Array<{ span: { line: number } }>;
}

function lint(): Diagnostic[] {
  cpSync(join(import.meta.dirname, 'fixtures'), project, { recursive: true });
  const config = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8')) as Record<string, unknown>;
  const jsPlugins = (config['jsPlugins'] as string[]).map((path) => resolve(root, path));
  // `no-cycle` is off because the fixtures import each other.
  const rules = { ...(config['rules'] as object), 'import/no-cycle': 'off', 'eslint/no-unused-vars': 'off' };
  writeFileSync(
    join(project, '.oxlintrc.json'),
    JSON.stringify({ ...config, jsPlugins, rules, $schema: undefined, ignorePatterns: [] }),
  );
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { typeRoots: [join(root, 'node_modules/@types')] },
      include: ['src'],
      exclude: [],
    }),
  );
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
  const run = spawnSync(process.execPath, [oxlint, '-f', 'json', 'src'], {
    cwd: project,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH']}` },
  });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(1);
  return (JSON.parse(run.stdout) as { diagnostics: Diagnostic[] }).diagnostics;
}

const diagnostics = lint();
const fixtures = readdirSync(join(project, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

describe('the house rules', () => {
  test.each(fixtures)('hold in %s, line by line', (file) => {
    const lines = readFileSync(join(project, 'src', file), 'utf8').split('\n');
    const expected = lines.flatMap((line, index) => (line.endsWith('// refused') ? [index + 1] : []));
    const refused = diagnostics
      .filter(({ filename }) => filename === `src/${file}`)
      .map(({ labels }) => labels[0]?.span.line ?? 0);
    expect([...new Set(refused)].sort((a, b) => a - b)).toEqual(expected);
  });

  test('refuse under the name that the file is about', () => {
    const rules = (file: string) => [
      ...new Set(diagnostics.filter((d) => d.filename === `src/${file}`).map((d) => d.code)),
    ];
    expect(rules('session/time.ts')).toEqual(['house(injected-time)']);
    expect(rules('session/rooms.ts')).toEqual(['house(import-directions)']);
    expect(rules('session/callbacks.ts')).toEqual(['house(named-interfaces)']);
    expect(rules('session/private.ts')).toEqual(['house(private-members)']);
    expect(rules('session/promises.ts').sort()).toEqual([
      'typescript(await-thenable)',
      'typescript(no-explicit-any)',
      'typescript(no-floating-promises)',
      'typescript(no-misused-promises)',
      'unicorn(no-unnecessary-await)',
    ]);
  });
});
