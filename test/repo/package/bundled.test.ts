/**
 * The packages in a bundle, with `libsql` and without it. Its `import()` is in a `try`: there Turbopack, webpack and
 * esbuild accept that it is missing, and Next.js traces what is installed for its standalone output.
 * `npm run first-minutes` does the same with Next.js and webpack.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../../..');
const project = mkdtempSync(join(tmpdir(), 'sojourn-bundled-'));
const OPTIONAL = ['libsql'];
/** What npm installs with the packages. */
const INSTALLED = ['@modelcontextprotocol/server', 'jose', 'redis', 'pg'];
const PACKAGES = {
  sojourn: '.',
  'sojourn-redis': 'packages/redis',
  'sojourn-postgres': 'packages/postgres',
};
const ESBUILD = join(root, 'node_modules/.bin/esbuild');

const PROGRAM = `
import { existsSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';
import { postgres } from 'sojourn-postgres';
import { redis } from 'sojourn-redis';
import { sqlite } from 'sojourn/sqlite';

const jwt = { issuer: 'https://id.example', audience: 'https://mcp.example/mcp' };
const makeServer = () => new McpServer({ name: 'bundled', version: '1.0.0' });
const away = '127.0.0.1:9'; // discard: no store listens there

async function listened(options) {
  const endpoint = createMcpEndpoint(makeServer, { logger: false, ...options });
  const said = await endpoint.listen({ port: 0 }).then(({ url }) => initialize(url), (error) => error.message);
  await endpoint.close({ timeoutMs: 0 });
  return said;
}

async function initialize(url) {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  });
  return answer.status;
}

console.log(JSON.stringify({
  memory: await listened({}),
  jose: await listened({ auth: { jwt } }),
  redis: await listened({ store: redis('redis://' + away) }),
  pg: await listened({ store: postgres('postgres://' + away + '/d') }),
  libsql: await listened({ store: sqlite('./sessions.db') }),
  file: existsSync('./sessions.db'),
}));
process.exit();
`;

interface Bundle {
  readonly warnings: string;
  readonly said: Readonly<Record<string, unknown>>;
}

/** Bundles the program in a folder that has these packages too, and runs the bundle. */
async function bundleWith(optional: readonly string[], ...flags: string[]): Promise<Bundle> {
  const folder = mkdtempSync(join(project, 'bundle-'));
  const modules = join(folder, 'node_modules');
  for (const [name, at] of Object.entries(PACKAGES)) {
    mkdirSync(join(modules, name), { recursive: true });
    cpSync(join(root, at, 'dist'), join(modules, name, 'dist'), { recursive: true });
    cpSync(join(root, at, 'package.json'), join(modules, name, 'package.json'));
  }
  for (const name of [...INSTALLED, ...optional]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  writeFileSync(join(folder, 'server.mjs'), PROGRAM);
  const banner =
    "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  const args = [
    '--bundle',
    '--platform=node',
    '--format=esm',
    '--log-level=warning',
    `--banner:js=${banner}`,
    ...flags,
  ];
  const run = promisify(execFile);
  const { stderr } = await run(ESBUILD, ['server.mjs', '--outfile=out.mjs', ...args], {
    cwd: folder,
  });
  const { stdout } = await run(process.execPath, ['out.mjs'], { cwd: folder });
  return { warnings: stderr, said: JSON.parse(stdout) as Bundle['said'] };
}

afterAll(() => rmSync(project, { recursive: true, force: true }));

describe('a bundle of every store and auth.jwt, made by esbuild', () => {
  let without: Bundle;
  let having: Bundle;
  let whole: Bundle;
  beforeAll(async () => {
    without = await bundleWith([]);
    whole = await bundleWith(OPTIONAL);
    having = await bundleWith(OPTIONAL, '--external:libsql'); // it has a native part
  }, 120_000);

  test('is made without a warning, with libsql and without it', () => {
    expect(without.warnings).toBe('');
    expect(having.warnings).toBe('');
  });

  test('serves on the other stores without it', () => {
    expect(without.said).toMatchObject({ memory: 200, jose: 401 });
    for (const name of ['redis', 'pg']) expect(without.said[name]).toContain('ECONNREFUSED');
  });

  test.each(OPTIONAL)('says what to install where %s is missing', (name) => {
    expect(without.said[name]).toContain(`needs the package ${name}, which is not installed`);
    expect(without.said).toMatchObject({
      [name]: expect.stringContaining(`npm install ${name}`),
      file: false,
    });
  });

  test('says that libsql must stay outside, where it is inside', () => {
    expect(whole.said['libsql']).toMatch(
      /declare libsql external .*--external:libsql.*npm install libsql/,
    );
    expect(whole.said).toMatchObject({ memory: 200, jose: 401 });
  });

  test('has what is installed', () => {
    expect(having.said).toMatchObject({ memory: 200, jose: 401, libsql: 200 });
  });
});

test('every import() of an optional package is in a try, except in the command line', () => {
  const bare: string[] = [];
  for (const file of readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.js') || file.startsWith('cli/')) continue;
    const text = readFileSync(join(root, 'dist', file), 'utf8');
    for (const { 0: call, index } of text.matchAll(
      /\bimport\(["'](?:libsql|@modelcontextprotocol\/sdk[^"']*)["']\)/g,
    )) {
      // The first statement of the block.
      if (!/\btry \{\s[^;{}]*(?:\{[^{}]*\})?[^;{}]*$/.test(text.slice(0, index)))
        bare.push(`${file}: ${call}`);
    }
  }
  expect(bare).toEqual([]);
});
