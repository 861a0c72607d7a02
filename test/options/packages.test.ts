/** The installed packages, as an application has them: sojourn in `node_modules/`, and packages whose code throws. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess } from '../cli/cli-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const app = realpathSync(mkdtempSync(join(tmpdir(), 'sojourn-packages-')));
const modules = join(app, 'node_modules');
const sojourn = join(modules, 'sojourn');

const CASES: ReadonlyArray<readonly [name: string, version: string, works: boolean]> = [
  ['redis', '3.1.2', false],
  ['redis', '4.5.1', false],
  ['redis', '4.6.0', true],
  ['redis', '4.7.1', true],
  ['redis', '5.0.0', false],
  ['redis', '5.8.3', false],
  ['redis', '5.9.0', true],
  ['redis', '5.12.1', true],
  ['redis', '6.0.0', true],
  ['redis', '7.0.0', false],
  ['redis', 'of my own', false],
  ['pg', '7.18.2', false],
  ['pg', '8.6.0', false],
  ['pg', '8.7.0', true],
  ['pg', '8.23.1', true],
  ['pg', '9.0.0-beta.1', false],
  ['jose', '5.10.0', false],
  ['jose', '6.0.0', false],
  ['jose', '6.0.7', false],
  ['jose', '6.0.8', true],
  ['jose', '6.0.13', true],
  ['jose', '6.1.0', true],
  ['jose', '6.2.17', true],
];

/** Prints what each case came to: `taken`, `loaded`, or the code and the message. */
const PROGRAM = `
import { mkdirSync, writeFileSync } from 'node:fs';
import { createMcpEndpoint } from 'sojourn';
import { postgres } from 'sojourn/postgres';
import { redis } from 'sojourn/redis';

const logger = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
const jwt = { issuer: 'https://id.example', audience: 'https://mcp.example/mcp' };
const users = {
  redis: () => redis('redis://h'),
  pg: () => postgres('postgres://h/d'),
  jose: () => void createMcpEndpoint(() => {}, { logger, auth: { jwt } }).close(),
};
const said = [];
for (const [name, version] of JSON.parse(process.argv[2])) {
  mkdirSync('node_modules/' + name, { recursive: true });
  writeFileSync('node_modules/' + name + '/package.json', JSON.stringify({ name, version, main: 'index.js' }));
  writeFileSync('node_modules/' + name + '/index.js', 'globalThis.loaded = true; throw new Error("loaded");');
  globalThis.loaded = false;
  let came = 'taken';
  try { users[name](); } catch (error) { came = error.code + ': ' + error.message; }
  await new Promise(setImmediate);
  said.push(globalThis.loaded && name !== 'jose' ? 'loaded' : came);
}
console.log(JSON.stringify(said));
process.exit();
`;

const installFake = (name: string, version: string): void => {
  mkdirSync(join(modules, name), { recursive: true });
  writeFileSync(join(modules, name, 'package.json'), JSON.stringify({ name, version, main: 'index.js' }));
  writeFileSync(join(modules, name, 'index.js'), 'throw new Error("loaded")');
};

beforeAll(() => {
  mkdirSync(sojourn, { recursive: true });
  cpSync(join(root, 'dist'), join(sojourn, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(sojourn, 'package.json'));
  for (const name of ['@modelcontextprotocol/server', 'commander', 'zod']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "type": "module" }');
  writeFileSync(join(app, 'program.js'), PROGRAM);
  const server = "import { McpServer } from '@modelcontextprotocol/server';\n";
  writeFileSync(join(app, 'server.js'), `${server}export default () => new McpServer({ name: 'x', version: '1' });`);
});
afterAll(() => rmSync(app, { recursive: true, force: true }));

describe('an installed package', () => {
  let said: readonly string[];
  beforeAll(async () => {
    const args = ['program.js', JSON.stringify(CASES.map(([name, version]) => [name, version]))];
    said = JSON.parse((await promisify(execFile)(process.execPath, args, { cwd: app })).stdout) as string[];
  });

  test.each(CASES.map((one, index) => [...one, index] as const))(
    '%s %s: works is %s',
    (name, version, works, index) => {
      const came = said[index] ?? 'nothing';
      if (works) expect(came).toBe('taken');
      else
        expect(came).toContain(
          `cannot use ${name} ${version} (in ${join(modules, name)}). These versions work: ${name} ^`,
        );
      expect(came.startsWith('PACKAGE_UNSUPPORTED: ')).toBe(!works);
    },
  );

  test('is refused with the versions that work, and the command that installs one', () => {
    const of = (name: string, version: string) => said[CASES.findIndex(([n, v]) => n === name && v === version)];
    expect(of('redis', '5.8.3')).toBe(
      `PACKAGE_UNSUPPORTED: redis() cannot use redis 5.8.3 (in ${join(modules, 'redis')}). ` +
        'These versions work: redis ^4.6, redis ^5.9, redis ^6.0. npm install redis@6',
    );
    expect(of('jose', '5.10.0')).toBe(
      `PACKAGE_UNSUPPORTED: auth.jwt cannot use jose 5.10.0 (in ${join(modules, 'jose')}). ` +
        'These versions work: jose ^6.0.8. npm install jose@6',
    );
  });
});

describe('sojourn serve ends at its start, with one sentence,', () => {
  const serve = (...flags: string[]) =>
    runProcess(['serve', './server.js', '--port', '0', ...flags], { from: join(sojourn, 'dist'), cwd: app });

  test.each([
    ['redis', '5.8.3', '--store', 'redis://u:hunter22@h'],
    ['pg', '8.6.0', '--store', 'postgres://u:hunter22@h/d'],
  ])('on a store that cannot use %s %s, in one process and with workers', async (name, version, ...store) => {
    installFake(name, version);
    for (const workers of ['0', '2']) {
      const { code, stdout, stderr } = await serve(...store, '--workers', workers);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(
        new RegExp(`^sojourn: \\w+\\(\\) cannot use ${name} ${version} \\(in .*npm install ${name}@\\d\n$`),
      );
    }
  });

  test('with flags that need another jose', async () => {
    installFake('jose', '5.10.0');
    const flags = ['--auth-issuer', 'https://id.example', '--auth-audience', 'https://mcp.example/mcp'];
    expect(await serve(...flags)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^sojourn: --auth-issuer cannot use jose 5\.10\.0 \(.*npm install jose@6\n$/,
      ) as string,
    });
  });
});
