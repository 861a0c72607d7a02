// @module-tag matrix
/** `sojourn serve` and `sojourn sessions` on a store that is a server. */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createRawClient, type RawClient } from '../kit/raw-client.ts';
import {
  describeWhereInstalled,
  freePort,
  serverKinds,
  startServer,
  type ServerKind,
  type TestServer,
} from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { dist, program, runProcess, startCli } from './cli-process.ts';
import { textOf } from './deployment.ts';

const PASSWORD = 'hunter22-hunter';
const USERS: Readonly<Record<ServerKind, string>> = { redis: 'ann', postgres: 'postgres' };

/** Redis lets in who has no password, for the tests' own questions, and one who has. */
const REDIS_USERS = [
  '--user',
  'default',
  'on',
  'nopass',
  '~*',
  '&*',
  '+@all',
  '--user',
  'ann',
  'on',
  `>${PASSWORD}`,
  '~*',
  '&*',
  '+@all',
];

function withPassword(kind: ServerKind, given: string, password = PASSWORD): string {
  const url = new URL(given);
  url.username = USERS[kind];
  url.password = password;
  return url.href;
}

/** As a load balancer asks. */
async function status(url: string, path: string): Promise<number> {
  return (await fetch(new URL(path, url))).status;
}

async function open(url: string): Promise<RawClient & { sessionId: string }> {
  const client = createRawClient(url, { timeoutMs: 20_000 });
  onTestFinished(() => client.close());
  await client.initialize();
  return client as RawClient & { sessionId: string };
}

async function count(client: RawClient): Promise<string | undefined> {
  return textOf((await client.call('tools/call', { name: 'count', arguments: {} })).message)?.split(' ')[0];
}

describe.each(serverKinds)('on %s', (kind) => {
  describeWhereInstalled(kind, 'the command line', () => {
    let server: TestServer;
    beforeAll(async () => {
      server = await startServer(kind, kind === 'redis' ? { args: REDIS_USERS } : {});
    });
    afterAll(() => server?.close());

    const serve = (store: string, ...flags: string[]) =>
      startCli(['serve', program('counting-server.mjs'), '--port', '0', ...flags], { env: { SOJOURN_STORE: store } });

    test('serves sessions that outlive the process, and looks into them', async () => {
      const store = withPassword(kind, server.url);
      const first = serve(store);
      const client = await open(await first.url());
      expect(await count(client)).toBe('1');
      first.kill('SIGTERM');
      const ended = await first.ended();
      expect(ended).toMatchObject({ code: 0 });
      expect(ended.stdout).toMatch(new RegExp(`^ {2}store +${kind}://127\\.0\\.0\\.1:\\d+[/\\w]*$`, 'm'));

      const sessions = (...args: string[]) => runProcess(['sessions', ...args], { env: { SOJOURN_STORE: store } });
      const listed = await sessions('ls', '--json', '--ids');
      expect(listed).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(listed.stdout)).toMatchObject({ id: client.sessionId, status: 'released' });

      const second = serve(store);
      const again = createRawClient(await second.url());
      onTestFinished(() => again.close());
      Object.assign(again, { sessionId: client.sessionId, protocolVersion: client.protocolVersion });
      expect(await count(again)).toBe('2');
      expect(await sessions('end', client.sessionId)).toMatchObject({ code: 0 });
      expect((await again.call('ping')).response.status).toBe(404);
      second.kill('SIGTERM');
      await second.ended();
      expect(await sessions('ls', '--json')).toMatchObject({ code: 0, stdout: '' });
      for (const { stdout, stderr } of [ended, await second.ended(), listed])
        expect(stdout + stderr).not.toContain(PASSWORD);
    });

    test('serves with several workers', async () => {
      const cli = serve(server.url, '--workers', '2', '--name', 'workers');
      const url = await cli.url();
      const clients = await Promise.all(Array.from({ length: 8 }, () => open(url)));
      // Each request by whichever worker accepts it.
      for (const calls of ['1', '2', '3']) {
        expect(await Promise.all(clients.map(count))).toEqual(clients.map(() => calls));
      }
      cli.kill('SIGTERM');
      expect(await cli.ended()).toMatchObject({ code: 0 });
    });

    test('begins while the store is away, says so, and serves once it is there', { timeout: 60_000 }, async () => {
      const port = await freePort();
      const away = new URL(withPassword(kind, server.url));
      away.port = String(port);
      const cli = serve(away.href);
      const url = await cli.url();
      expect(cli.output.stdout).toMatch(/^ {2}store +\S+ \(cannot be reached; .*\)$/m);
      expect([await status(url, '/healthz'), await status(url, '/readyz')]).toEqual([200, 503]);
      const client = createRawClient(url, { timeoutMs: 30_000 });
      onTestFinished(() => client.close());
      const waiting = client.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params: INITIALIZE });
      const back = await startServer(kind, { port, ...(kind === 'redis' && { args: REDIS_USERS }) });
      onTestFinished(() => back.close());
      await until(async () => (await status(url, '/readyz')) === 200, {
        timeoutMs: 20_000,
        what: 'the store to be found',
      });
      expect((await waiting).status).toBe(200);
      expect(await count(await open(url))).toBe('1');
      cli.kill('SIGTERM');
      const { code, stderr, stdout } = await cli.ended();
      expect(code).toBe(0);
      // One line when it was away, one when it was there.
      const lines = stderr
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { msg: string; level: number });
      expect(lines.map(({ msg }) => msg).filter((msg) => msg.includes('store'))).toEqual([
        'The session store could not be opened: requests wait up to waitMs, and it is tried again',
        'The session store is open',
      ]);
      expect(stdout + stderr).not.toContain(PASSWORD);
    });

    test('sessions of a store that is away: one line, exit code 1', async () => {
      const away = new URL(withPassword(kind, server.url));
      away.port = String(await freePort());
      const { code, stdout, stderr } = await runProcess(['sessions', 'ls', '--store', away.href]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(
        /^sojourn: Service Unavailable: the session store cannot be reached \(.*127\.0\.0\.1:\d+.*\)\n$/,
      );
      expect(stderr).not.toContain(PASSWORD);
    });
  });
});

const INITIALIZE = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'early', version: '1' } };

describeWhereInstalled('redis', 'a password that is wrong', () => {
  test('is not shown in the error', async () => {
    const server = await startServer('redis', { args: REDIS_USERS });
    onTestFinished(() => server.close());
    const { code, stderr } = await runProcess([
      'sessions',
      'ls',
      '--store',
      withPassword('redis', server.url, 'secret-guess'),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/password/);
    expect(stderr).not.toContain('secret-guess');
  });
});

describe('without the package of its client', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const bare = realpathSync(mkdtempSync(join(tmpdir(), 'sojourn-bare-')));
  beforeAll(() => {
    cpSync(dist, join(bare, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(bare, 'package.json'));
    mkdirSync(join(bare, 'node_modules/@modelcontextprotocol'), { recursive: true });
    for (const name of ['commander', 'zod', '@modelcontextprotocol/server']) {
      symlinkSync(join(root, 'node_modules', name), join(bare, 'node_modules', name));
    }
  });
  afterAll(() => rmSync(bare, { recursive: true }));

  test('--auth-issuer: it is said before the start', async () => {
    const auth = ['--auth-issuer', 'https://id.example', '--auth-audience', 'https://mcp.example/mcp'];
    expect(
      await runProcess(['serve', './server.mjs', '--port', '0', ...auth], { from: join(bare, 'dist'), cwd: bare }),
    ).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'sojourn: --auth-issuer needs a package that is not installed: npm install jose\n',
    });
  });

  test('auth.jwt of a module: listen() says it', async () => {
    writeFileSync(
      join(bare, 'server.mjs'),
      `import { McpServer } from '@modelcontextprotocol/server';
       const options = { auth: { jwt: { issuer: 'https://id.example', audience: 'https://mcp.example/mcp' } } };
       export default { factory: () => new McpServer({ name: 'x', version: '1' }), options };`,
    );
    const { code, stderr } = await runProcess(['serve', './server.mjs', '--port', '0'], {
      from: join(bare, 'dist'),
      cwd: bare,
    });
    expect(code).toBe(1);
    expect(stderr).toContain('auth.jwt needs the package jose, which is not installed');
  });

  test.each([
    ['redis://u:hunter22@h', 'redis: needs a package that is not installed: npm install redis'],
    ['postgresql://u:hunter22@h/d', 'postgresql: needs a package that is not installed: npm install pg'],
  ])('%s: it is said what to install', async (store, message) => {
    expect(
      await runProcess(['sessions', 'ls', '--store', store], { from: join(bare, 'dist'), cwd: bare }),
    ).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `sojourn: --store: ${message}\n`,
    });
  });
});
