/** `sojourn serve` as a user runs it: a child process, real modules, HTTP and signals. */
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport, type ClientOptions } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { installed, lackOf } from '../../tools/installed.ts';
import { until } from '../kit/until.ts';
import { dist, program, runProcess, startCli, type CliOptions } from './cli-process.ts';

const root = join(dist, '..');
const MODERN = { versionNegotiation: { mode: { pin: '2026-07-28' } } } satisfies ClientOptions;

const serve = (module: string, flags: string[] = [], options?: CliOptions) =>
  startCli(['serve', program(module), '--port', '0', ...flags], options);

async function connect(url: string, options: ClientOptions = {}) {
  const client = new Client({ name: 'test', version: '1.0.0' }, options);
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  onTestFinished(() => client.close());
  return { client, transport };
}

const initialize = (url: string, more: Record<string, unknown> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' }, ...more },
    }),
  });

describe('sojourn serve', () => {
  test.each([
    ['2025-11-25', {}],
    ['2026-07-28', MODERN],
  ])('serves a module to the official client at %s and ends on SIGTERM', async (_version, options) => {
    const cli = serve('echo-server.mjs');
    const { client } = await connect(await cli.url(), options);
    const { content } = await client.callTool({ name: 'echo', arguments: { message: 'hello' } });
    expect(content).toEqual([{ type: 'text', text: 'hello' }]);
    await client.close();
    cli.kill('SIGTERM');
    const { code, stdout, stderr } = await cli.ended();
    expect(code).toBe(0);
    expect(stdout).toMatch(/SIGTERM: draining for at most 25000 ms/);
    expect(stderr).toContain('"msg":"This instance has drained"');
  });

  test('serves a module that exports a server which was built once, to every session and request', async () => {
    const cli = serve('one-server.mjs');
    const url = await cli.url();
    const [one, other] = [await connect(url), await connect(url)];
    const { client: modern } = await connect(url, MODERN);
    const ask = async (client: Client, name: string): Promise<unknown> => {
      const { content } = await client.callTool({ name: 'who', arguments: { name } });
      return JSON.parse((content as Array<{ text: string }>)[0]?.text ?? '');
    };
    const [first, second] = [one.transport.sessionId, other.transport.sessionId];
    expect(first).not.toBe(second);
    // One object counts the calls of all of them.
    expect(await ask(one.client, 'a')).toEqual(['a', 1, first, first]);
    expect(await ask(other.client, 'b')).toEqual(['b', 2, second, second]);
    expect(await ask(modern, 'c')).toEqual(['c', 3, null, null]);
  });

  test('tells in its banner where it is and what it serves', async () => {
    const cli = serve('echo-server.mjs', ['--path', '/tools/mcp', '--legacy-sse']);
    const url = await cli.url();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/tools\/mcp$/);
    const health = /^ {2}health +(\S+)$/m.exec(cli.output.stdout)?.[1];
    expect((await fetch(String(health))).status).toBe(200);
    expect(cli.output.stdout).toContain(`${url}/sse`);
    expect(cli.output.stdout).toMatch(/versions +2026-07-28, 2025-11-25, /);
    expect(cli.output.stdout).toContain('memory (sessions end with this process)');
  });

  test.each([
    [['--supported-protocol-versions', '2025-06-18'], 'hybrid: a session for every client', '2025-06-18'],
    [['--supported-protocol-versions', '2026-07-28'], 'hybrid: no sessions, 2026-07-28 has none', '2026-07-28'],
    [
      ['--session-mode', 'stateful', '--supported-protocol-versions', '2025-06-18,2026-07-28'],
      'stateful: a session for every client',
      '2025-06-18',
    ],
  ])('with %j the lines of the banner about sessions and versions agree', async (flags, sessions, versions) => {
    const cli = serve('echo-server.mjs', flags);
    await cli.url();
    expect(cli.output.stdout).toContain(`  sessions  ${sessions}\n  versions  ${versions}\n`);
  });

  test('prints the banner that the guide shows', async () => {
    const guide = readFileSync(join(root, 'docs/guide/cli.md'), 'utf8');
    const [shown] = /^sojourn \d[^`]*?Stop with Ctrl\+C\.$/m.exec(guide) ?? [];
    const cli = serve('counting-server.mjs');
    const { port } = new URL(await cli.url());
    await until(() => cli.output.stdout.includes('Stop with Ctrl+C.'));
    expect(cli.output.stdout.trim().replaceAll(`:${port}`, ':3000')).toBe(shown);
  });

  test('options of the module count, and what the command says counts more', async () => {
    // The module says: stateless, bodies of at most 300 bytes.
    const long = { padding: 'x'.repeat(400) };
    const own = await serve('with-options.mjs').url();
    const answer = await initialize(own);
    expect([answer.status, answer.headers.get('mcp-session-id')]).toEqual([200, null]);
    await answer.text();
    expect((await initialize(own, long)).status).toBe(413);

    const env = { SOJOURN_LIMITS_BODY_BYTES: '10', SOJOURN_SESSION_MODE: 'hybrid' };
    const told = await serve('with-options.mjs', ['--limits-body-bytes', '10000'], { env }).url();
    const session = await initialize(told, long);
    expect(session.status).toBe(200);
    expect(session.headers.get('mcp-session-id')).toMatch(/^[\w-]{22}$/);
    await session.text();
  });

  test.each([
    [[], []],
    [
      ['--', '--mine', '/data', '--port', '1'],
      ['--mine', '/data', '--port', '1'],
    ],
  ])('with %j the module reads none of the flags, and what follows --', async (more, passed) => {
    const { client } = await connect(await serve('argv-server.mjs', more).url());
    const { content } = await client.callTool({ name: 'argv', arguments: {} });
    const [, ...argv] = JSON.parse((content as Array<{ text: string }>)[0]?.text ?? '') as unknown[];
    expect(argv).toEqual([process.execPath, join(dist, 'cli/main.js'), ...passed]);
  });

  test.each([
    ['one process', ['0'], {}],
    ['two workers', ['2', '--store', 'sqlite:'], { worker: 1 }],
  ])(
    'a module that listens for signals is one warning of %s, with its name',
    async (_what, [workers = '', ...store], by) => {
      const folder = mkdtempSync(join(tmpdir(), 'sojourn-signals-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const flags = store.map((flag) => (flag === 'sqlite:' ? `sqlite:${join(folder, 'sessions.db')}` : flag));
      const cli = serve('exiting-server.mjs', flags, { env: { SOJOURN_WORKERS: workers } });
      await cli.url();
      const warned = () => cli.output.stderr.split('\n').filter((line) => line.includes('listens for'));
      await until(() => warned().length > 0, { what: 'the warning' });
      const lines = warned().map((line) => JSON.parse(line) as { msg: string });
      expect(lines).toEqual([
        expect.objectContaining({
          level: 40,
          module: program('exiting-server.mjs'),
          signals: ['SIGTERM', 'SIGINT'],
          ...by,
        }),
      ]);
      expect(lines[0]?.msg).toContain(
        `${program('exiting-server.mjs')}, or a package that it imports, listens for SIGTERM`,
      );
      expect(lines[0]?.msg).toMatch(/process\.exit\(\) cuts the drain.*Remove it/);
    },
  );

  test('a module without listeners for signals is no warning', async () => {
    const cli = serve('echo-server.mjs');
    await cli.url();
    cli.kill('SIGTERM');
    expect((await cli.ended()).stderr).not.toContain('listens for');
  });

  test('ends although the module left a timer running', async () => {
    const cli = serve('with-options.mjs');
    await cli.url();
    cli.kill('SIGINT');
    expect(await cli.ended()).toMatchObject({ code: 0, signal: null });
  });

  test('logs JSON lines to stderr, from the level asked for', async () => {
    const env = { SOJOURN_IDLE_TIMEOUT: '5' };
    const told = serve('echo-server.mjs', [], { env });
    await told.url();
    await until(() => told.output.stderr.includes('\n'));
    const [line = '{}'] = told.output.stderr.split('\n');
    expect(JSON.parse(line)).toMatchObject({
      level: 40,
      msg: expect.stringContaining('SOJOURN_IDLE_TIMEOUT_MS?') as string,
    });

    const silent = serve('echo-server.mjs', ['--log-level', 'silent'], { env });
    await silent.url();
    silent.kill('SIGTERM');
    expect(await silent.ended()).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('draining', () => {
  async function whileSlow(ms: number, flags: string[] = []) {
    const cli = serve('echo-server.mjs', flags);
    const { client } = await connect(await cli.url());
    const answer = client.callTool({ name: 'slow', arguments: { ms } });
    const outcome = answer.then(
      ({ content }) => ({ content, error: undefined }),
      (error: unknown) => ({ content: undefined, error }),
    );
    await until(() => cli.output.stderr.includes('slow began'), { what: 'the slow tool' });
    return { cli, outcome };
  }

  test('a running request gets its answer', async () => {
    const { cli, outcome } = await whileSlow(700);
    cli.kill('SIGTERM');
    expect(await outcome).toMatchObject({ content: [{ type: 'text', text: 'done' }] });
    expect((await cli.ended()).code).toBe(0);
  });

  test('until its time is over', async () => {
    const { cli, outcome } = await whileSlow(60_000, ['--drain-timeout-ms', '100']);
    cli.kill('SIGTERM');
    expect((await outcome).error).toMatchObject({ code: -32000, data: { reason: 'draining' } });
    expect((await cli.ended()).code).toBe(0);
  });

  test('a second signal ends it at once, and that is a failure', async () => {
    const { cli } = await whileSlow(60_000);
    cli.kill('SIGTERM');
    await until(() => cli.output.stdout.includes('draining'));
    cli.kill('SIGTERM');
    expect(await cli.ended()).toMatchObject({ code: 1, signal: null });
  });
});

describe('TypeScript', () => {
  /** The build where tsx is not to be found: with its dependencies and the SDK, nothing else. */
  const bare = realpathSync(mkdtempSync(join(tmpdir(), 'sojourn-cli-')));

  beforeAll(() => {
    cpSync(dist, join(bare, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(bare, 'package.json'));
    cpSync(program('typed-server.ts'), join(bare, 'server.ts'));
    mkdirSync(join(bare, 'node_modules/@modelcontextprotocol'), { recursive: true });
    for (const name of ['commander', 'pino', 'zod', '@modelcontextprotocol/server']) {
      symlinkSync(join(root, 'node_modules', name), join(bare, 'node_modules', name));
    }
  });
  afterAll(() => rmSync(bare, { recursive: true }));

  async function callTyped(module: string, options: CliOptions = {}) {
    const cli = startCli(['serve', module, '--port', '0'], options);
    const { client, transport } = await connect(await cli.url());
    const { content } = await client.callTool({ name: 'session' });
    expect(transport.sessionId).toMatch(/^[\w-]{22}$/);
    expect(content).toEqual([{ type: 'text', text: transport.sessionId }]);
  }

  test('is served on this Node', async () => {
    await callTyped('typed-server.ts');
  });

  const lack = lackOf('runtimes');
  test.skipIf(lack !== '').each(['node-22', 'node-24', 'node-26'])(
    `is served by %s without tsx${lack}`,
    { timeout: 240_000 },
    async (name) => {
      const folder = await installed('runtimes');
      const node = join(folder, 'node_modules', name, 'bin/node');
      await callTyped('server.ts', { node, from: join(bare, 'dist'), cwd: bare });
    },
  );

  test.skipIf((process.features as { typescript?: unknown }).typescript)(
    'without tsx on a Node that does not know it is an error that says what to do (needs Node < 22.18)',
    async () => {
      const { code, stderr } = await runProcess(['serve', 'server.ts'], { from: join(bare, 'dist'), cwd: bare });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^sojourn: server\.ts is TypeScript, which Node [\d.]+ does not run by itself: .*npm install .*tsx/,
      );
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    },
  );
});

describe('what cannot be done', () => {
  test('the port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    expect(await runProcess(['serve', 'echo-server.mjs', '--port', String(port)])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `sojourn: port ${port} on 127.0.0.1 is in use: stop the program that listens there, or choose another port with --port (0 takes any free one)\n`,
    });
  });

  test('the address is not of this machine', async () => {
    const { code, stderr } = await runProcess(['serve', 'echo-server.mjs', '--host', '192.0.2.1']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'sojourn: --host: this machine has no address 192.0.2.1\n' });
  });

  test.each([
    ['nowhere.js', /^sojourn: module not found: nowhere\.js \(looked for \/.*\/processes\/nowhere\.js\)\n$/],
    ['echo-server', /^sojourn: module not found: echo-server \(.*\); did you mean echo-server\.mjs\?\n$/],
    ['../processes', /^sojourn: \.\.\/processes is a folder\n$/],
    ['no-default.mjs', /^sojourn: no-default\.mjs: the default export is missing \(it exports createServer\); .*\n$/],
    ['wrong-options.mjs', /^sojourn: wrong options in wrong-options\.mjs: Option idleTimeoutMs: got -1, .*\n$/],
    [
      'throwing.mjs',
      /^sojourn: cannot load throwing\.mjs: the database is away\nError: the database is away\n +at .*throwing/,
    ],
  ])('the module %s: exit code 1', async (module, message) => {
    const { code, stdout, stderr } = await runProcess(['serve', module]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test.each([
    [
      ['--idle-timeout-ms', '-1'],
      {},
      'sojourn: --idle-timeout-ms: got -1, takes a number of ms, 0 or more, or Infinity (never)',
    ],
    [
      [],
      { SOJOURN_LIMITS_BATCH: '0' },
      'sojourn: SOJOURN_LIMITS_BATCH: got 0, takes a whole number of messages, 1 or more',
    ],
    [['--legacy-sse', '--stateless'], {}, 'sojourn: Options legacySse and stateless: true contradict each other'],
    [
      ['--store', 'redis://host/name'],
      {},
      'sojourn: --store: got a database called /name, takes its number: redis://host/1',
    ],
    [
      ['--store', 'redis:/localhost'],
      {},
      'sojourn: --store: got a URL without a host, takes a URL of redis: or rediss:',
    ],
    [['--store', 'nothing'], {}, "sojourn: --store takes a store's URL, e.g. sqlite:./sessions.db, redis:"],
    [[], { SOJOURN_STORE: 'memory:x' }, 'sojourn: SOJOURN_STORE: memory: takes no path; got "memory:x"'],
  ])('%j with %j: exit code 2', async (flags, env, message) => {
    const { code, stdout, stderr } = await runProcess(['serve', 'echo-server.mjs', ...flags], { env });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  test('flags that contradict the module: exit code 2', async () => {
    const { code, stderr } = await runProcess(['serve', 'with-options.mjs', '--legacy-sse']);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^sojourn: the flags do not fit the options of with-options\.mjs: Options legacySse and sessionMode/,
    );
  });
});
