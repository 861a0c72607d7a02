import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { installed, lackOf } from '../../installs/installed.ts';
import { packed } from '../../kit/packed.ts';

/** The packages as a user gets them: packed, installed into an empty project, and used there. */
const root = resolve(import.meta.dirname, '../../..');
const project = mkdtempSync(join(tmpdir(), 'sojourn-consumer-'));
const COMMAND = join(project, 'node_modules/.bin/sojourn');
const INSTALL_MS = 120_000;

/** The limits that the page gives, by the beginning of their row: a count, MB or per cent. */
function mostOf(fact: string): number {
  const page = readFileSync(join(root, 'docs/reference/support.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith(`| ${fact}`));
  const [, value, unit] = /\| ([\d.]+)( MB| %)? +\|$/.exec(row ?? '') ?? [];
  if (value === undefined) throw new Error(`docs/reference/support.md has no row "${fact}"`);
  return Number(value) * ({ ' MB': 1_000_000, ' %': 0.01 }[unit ?? ''] ?? 1);
}

function run(
  command: string,
  args: string[],
  cwd = project,
): Promise<{ stdout: string; stderr: string }> {
  // npm's settings for the scripts of this repository are not the settings of the user's project.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')),
  );
  return promisify(execFile)(command, args, { cwd, env });
}

const installedVersion = (name: string): string =>
  (
    JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
      version: string;
    }
  ).version;

/** The packages of stores, and the clients that they bring. */
const STORES = { 'sojourn-postgres': 'pg', 'sojourn-redis': 'redis' };
const PLACES = ['.', 'packages/postgres', 'packages/redis'];

function bytesBelow(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return files.reduce(
    (sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size,
    0,
  );
}

/** The packages of an install without optional and peer packages: paths in the lock file. */
function productionDependencies(): string[] {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { readonly dependencies?: Record<string, string> }>;
  };
  const found = new Set<string>();
  const nearest = (path: string, name: string): string => {
    for (let at = path; ; at = at.slice(0, Math.max(at.lastIndexOf('/node_modules/'), 0))) {
      const place = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
      if (place in packages) return place;
      if (at === '') throw new Error(`the lock file has no ${name} for ${path}`);
    }
  };
  const visit = (path: string): void => {
    for (const name of Object.keys(packages[path]?.dependencies ?? {})) {
      const place = nearest(path, name);
      if (found.has(place)) continue;
      found.add(place);
      visit(place);
    }
  };
  visit('');
  return [...found].sort();
}

beforeAll(async () => {
  cpSync(join(import.meta.dirname, 'consumer'), project, { recursive: true });
  const beside = ['@modelcontextprotocol/server', '@types/node'];
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      name: 'consumer',
      private: true,
      type: 'module',
      dependencies: Object.fromEntries(beside.map((name) => [name, installedVersion(name)])),
    }),
  );
  const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  await run('npm', [...install, ...(await Promise.all(PLACES.map(packed)))]);
}, INSTALL_MS);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

describe('the packed tarball', () => {
  test('holds the build, the licence, the pages and what its comments cite, and nothing else', () => {
    const folder = join(project, 'node_modules/sojourn');
    expect(readdirSync(folder).sort()).toEqual([
      'LICENSE',
      'README.md',
      'dist',
      'docs',
      'package.json',
    ]);
    const built = readdirSync(join(folder, 'dist'), { recursive: true, withFileTypes: true });
    const odd = built.filter((entry) => entry.isFile() && !/\.(js|d\.ts)$/.test(entry.name));
    // The page of the dashboard: its scripts are checked by `test/dashboard/page/bundle.test.ts`.
    expect(odd.map(({ name }) => name.replace(/-\w+\./, '-HASH.')).sort()).toEqual([
      'LICENSES.txt',
      'icon-HASH.svg',
      'index.html',
      'style-HASH.css',
    ]);
    expect(built.map(({ name }) => name)).not.toContain('internals.js');
    // Editors show the comments of the declarations.
    expect(readFileSync(join(folder, 'dist/index.d.ts'), 'utf8')).toMatch(/^\/\*\*/m);
    const declared = built.filter(({ name }) => name.endsWith('.d.ts'));
    const texts = declared.map(({ parentPath, name }) =>
      readFileSync(join(parentPath, name), 'utf8'),
    );
    const cited = texts.flatMap(
      (text) => text.match(/\b(?:docs|test|examples)(?:\/[\w.-]+)+\.(?:md|ts)\b/g) ?? [],
    );
    expect(cited.length).toBeGreaterThan(20);
    expect(cited.filter((file) => !existsSync(join(folder, file)))).toEqual([]);
    // TypeScript 5.4 to 5.6 refuse a parameter of `Uint8Array`.
    expect(texts.filter((text) => text.includes('Uint8Array<'))).toEqual([]);
    // `@types/node` 25 and newer refuse what is inferred with that of Node 20.
    expect(texts.filter((text) => text.includes('EventEmitter<['))).toEqual([]);
  });

  test('is no larger than its page says, packed, unpacked and with what it brings', async () => {
    expect(statSync(await packed()).size).toBeLessThanOrEqual(mostOf('the package, packed'));
    const modules = join(project, 'node_modules');
    expect(bytesBelow(join(modules, 'sojourn'))).toBeLessThanOrEqual(
      mostOf('the package, unpacked'),
    );
    const brought = productionDependencies().map((path) => bytesBelow(join(project, path)));
    const all = brought.reduce((sum, bytes) => sum + bytes, bytesBelow(join(modules, 'sojourn')));
    expect(Math.min(...brought)).toBeGreaterThan(0);
    expect(all).toBeLessThanOrEqual(mostOf('everything that is installed'));
  });

  test('brings no more packages than its page says', () => {
    const found = productionDependencies();
    expect(found).toEqual(
      expect.arrayContaining(
        Object.keys(manifest.dependencies).map((name) => `node_modules/${name}`),
      ),
    );
    expect(found.length + 1, found.join(', ')).toBeLessThanOrEqual(
      mostOf('packages that `npm install sojourn` brings'),
    );
  });

  test('is imported in the time that its page says, beside that of the SDK', async () => {
    const script = (name: string): string =>
      `const before = process.cpuUsage(); await import('${name}');
       const { user, system } = process.cpuUsage(before); process.stdout.write(String(user + system));`;
    const cpuOf = async (name: string): Promise<number> =>
      Number((await run(process.execPath, ['--input-type=module', '-e', script(name)])).stdout);
    const rounds: Array<readonly [ours: number, sdk: number]> = [];
    for (let round = 0; round < 3; round += 1)
      rounds.push([await cpuOf('sojourn'), await cpuOf('@modelcontextprotocol/server')]);
    const least = (side: 0 | 1): number => Math.min(...rounds.map((round) => round[side]));
    expect(least(0) / least(1)).toBeLessThanOrEqual(mostOf("CPU time of `import 'sojourn'`"));
  });

  test('brings no install script', () => {
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { readonly hasInstallScript?: boolean; readonly dev?: boolean }>;
    };
    // Those of the other packages of this project, too.
    const brought = Object.keys(packages).filter((path) => packages[path]?.dev !== true);
    expect(brought).toEqual(
      expect.arrayContaining([...productionDependencies(), 'node_modules/libsql']),
    );
    expect(brought.filter((path) => packages[path]?.hasInstallScript === true)).toEqual([]);
    const { scripts } = JSON.parse(
      readFileSync(join(project, 'node_modules/sojourn/package.json'), 'utf8'),
    ) as typeof manifest;
    expect(
      Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name)),
    ).toEqual([]);
    // The lock file would say so.
    expect(packages['node_modules/esbuild']?.hasInstallScript).toBe(true);
  });

  test('brings the CLI its packages and leaves the optional ones out', () => {
    const isThere = (name: string): boolean => existsSync(join(project, 'node_modules', name));
    expect(Object.keys(manifest.dependencies).filter((name) => !isThere(name))).toEqual([]);
    expect(isThere('@modelcontextprotocol/sdk')).toBe(false);
  });

  test('serves a session over HTTP from an ES module', async () => {
    const { stdout, stderr } = await run(process.execPath, ['use.mjs']);
    expect(stderr).toBe('');
    expect(stdout).toBe('ok\n');
  });

  describe.each([
    ['the newest TypeScript', () => root, ''],
    ['TypeScript 5.4', () => installed('compilers'), lackOf('compilers')],
  ])('with %s', { timeout: INSTALL_MS }, (_, place, lack) => {
    const compile = async (file: string): Promise<string> => {
      const config = join(project, 'tsconfig.json');
      const own = join(project, `${file}.json`);
      writeFileSync(own, JSON.stringify({ extends: config, include: [`${file}.ts`] }));
      const tsc = join(place(), 'node_modules/typescript/bin/tsc');
      const args = [tsc, '-p', own, '--pretty', 'false'];
      return run(process.execPath, args).then(
        ({ stdout }) => stdout,
        (error: { stdout: string }) => error.stdout,
      );
    };

    test.skipIf(lack !== '')(
      `a strict project that checks libraries too compiles${lack}`,
      async () => {
        expect(await compile('consumer')).toBe('');
      },
    );

    test.skipIf(lack !== '')(
      `each mistake is one error, which says what was meant${lack}`,
      async () => {
        const errors = (await compile('mistakes')).trim().split('\n');
        expect(errors.map((error) => /Did you mean .*\?$/.exec(error)?.[0])).toEqual([
          "Did you mean to write 'idleTimeoutMs'?",
          "Did you mean to write 'idleTimeoutMs'?",
          "Did you mean to write 'bodyBytes'?",
          `Did you mean '"stateless"'?`,
        ]);
      },
    );
  });

  test('says which package a store needs, and takes it where it is installed', async () => {
    for (const [name, client] of Object.entries(STORES)) {
      const folder = join(project, 'node_modules', name);
      expect(readdirSync(folder).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json']);
      expect(existsSync(join(project, 'node_modules', client))).toBe(true);
    }
    const failed = (error: { stderr: string }): string => error.stderr;
    const said = async (): Promise<string> =>
      run(COMMAND, ['doctor', 'redis://127.0.0.1:9']).then(({ stdout }) => stdout, failed);
    expect(await said()).toContain('ECONNREFUSED');
    renameSync(join(project, 'node_modules/sojourn-redis'), join(project, 'removed'));
    expect(await said()).toContain(
      'needs a package that is not installed: npm install sojourn-redis',
    );
  });

  test('puts the command on the path', async () => {
    const { stdout } = await run('npx', ['--no-install', 'sojourn', '--help']);
    expect(stdout).toMatch(/^Usage: sojourn /m);
    expect(stdout).toContain('serve');
    expect((await run(COMMAND, ['--version'])).stdout.trim()).toBe(manifest.version);
  });
});
