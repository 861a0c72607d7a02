/** `sojourn serve` as a user runs it: a child process, real modules, HTTP and signals. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { installed, lackOf } from '../installs/installed.ts';
import { connectNegotiating, connectV2 } from '../clients/official.ts';
import { openClient } from '../kit/listening.ts';
import { inMatrix } from '../kit/matrix.ts';
import { projectFolder } from '../kit/project-folder.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { dist, program, runProcess, startCli, type CliOptions } from './cli-process.ts';
import { runHere } from './here.ts';
import { startWorkers } from './workers-process.ts';

const serve = (module: string, flags: string[] = [], options?: CliOptions) =>
  startCli(['serve', program(module), '--port', '0', ...flags], options);

const initialize = (url: string, padding = 0) =>
  openClient(url).initialize({ clientInfo: { name: 'raw', version: 'x'.repeat(padding) } });

describe('sojourn serve', () => {
  test('serves both eras, says where it is, and at SIGTERM a running request gets its answer', async () => {
    const env = { SOJOURN_IDLE_TIMEOUT: '5' };
    const cli = serve('echo-server.mjs', ['--path', '/tools/mcp', '--legacy-sse'], { env });
    const url = await cli.url();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/tools\/mcp$/);
    const health = /^ {2}health +(\S+)$/m.exec(cli.output.stdout)?.[1];
    expect((await fetch(String(health))).status).toBe(200);
    expect(cli.output.stdout).toContain(`${url}/sse`);
    for (const [connect, version] of [
      [connectV2, '2025-11-25'],
      [connectNegotiating, '2026-07-28'],
    ] as const) {
      const { say, protocolVersion } = await connect(url);
      expect([protocolVersion(), await say('echo', { message: 'hello' })]).toEqual([
        version,
        'hello',
      ]);
    }
    const answer = (await connectV2(url)).say('slow', { ms: 700 });
    await until(() => cli.output.stderr.includes('slow began'), { what: 'the slow tool' });
    cli.kill('SIGTERM');
    expect(await answer).toBe('done');
    const { code, stderr } = await cli.ended();
    expect(code).toBe(0);
    const begun = cli.lines().find(({ msg }) => msg.startsWith('draining; a second'));
    expect(begun).toMatchObject({ signal: 'SIGTERM', timeoutMs: 25_000 });
    expect(stderr).toContain('"msg":"This instance has drained"');
    expect(stderr).not.toContain('listens for');
    // The log has lines of JSON.
    const warned = expect.stringContaining('SOJOURN_IDLE_TIMEOUT_MS?') as string;
    expect(JSON.parse(stderr.split('\n')[0] ?? '')).toMatchObject({ level: 40, msg: warned });
  });

  test('options of the module count, the command counts more, and no timer of the module keeps the process', async () => {
    // The module says: stateless, bodies of at most 300 bytes.
    const env = { SOJOURN_LIMITS_BODY_BYTES: '10' };
    const cli = serve('with-options.mjs', ['--limits-body-bytes', '1000'], { env });
    const url = await cli.url();
    const { response } = await initialize(url, 400);
    expect([response.status, response.header('mcp-session-id')]).toEqual([200, undefined]);
    expect((await initialize(url, 1_400)).response.status).toBe(413);
    cli.kill('SIGINT');
    expect(await cli.ended()).toMatchObject({ code: 0, signal: null });
  });

  test('the module reads none of the flags, and what follows --', async () => {
    const passed = ['--mine', '/data', '--port', '1'];
    const { say } = await connectV2(await serve('argv-server.mjs', ['--', ...passed]).url());
    const [, ...argv] = JSON.parse(await say('argv')) as unknown[];
    expect(argv).toEqual([process.execPath, join(dist, 'cli/main.js'), ...passed]);
  });

  test('a module that listens for signals is one warning, with its name', async () => {
    const module = program('exiting-server.mjs');
    const cli = startWorkers({ module: 'exiting-server.mjs' });
    await cli.url();
    await cli.logs('listens for');
    const [line, ...others] = cli.lines().filter(({ msg }) => msg.includes('listens for'));
    expect(others).toEqual([]);
    expect(line).toMatchObject({ level: 40, module, signals: ['SIGTERM', 'SIGINT'], worker: 1 });
    expect(line?.msg).toContain(`${module}, or a package that it imports, listens for SIGTERM`);
    expect(line?.msg).toMatch(/process\.exit\(\) cuts the drain.*Remove it/);
  });

  test.each(['SIGTERM', 'SIGHUP'] as const)(
    'a call that runs longer than the drain of %s is ended',
    async (signal) => {
      const cli = serve('echo-server.mjs', ['--drain-timeout-ms', '100']);
      const { say } = await connectV2(await cli.url());
      const outcome = say('slow', { ms: 60_000 }).catch((error: unknown) => error);
      await until(() => cli.output.stderr.includes('slow began'), { what: 'the slow tool' });
      cli.kill(signal);
      expect(await outcome).toMatchObject({ code: -32000, data: { reason: 'draining' } });
      expect((await cli.ended()).code).toBe(0);
      expect(cli.output.stderr).toContain(`"signal":"${signal}"`);
    },
  );
});

describe('TypeScript', () => {
  /** The build where tsx is not to be found. */
  function bare() {
    const cwd = projectFolder({ 'server.ts': readFileSync(program('typed-server.ts'), 'utf8') });
    return { from: join(cwd, 'node_modules/sojourn/dist'), cwd };
  }

  async function callTyped(module: string, options: CliOptions = {}) {
    const cli = startCli(['serve', module, '--port', '0'], options);
    const { say, sessionId } = await connectV2(await cli.url());
    expect(sessionId).toMatch(/^[\w-]{22}$/);
    expect(await say('session')).toBe(sessionId);
  }

  test('is served on this Node', async () => {
    await callTyped('typed-server.ts');
  });

  const lack = lackOf('runtimes');
  test.skipIf(lack !== '').each(inMatrix(['node-22', 'node-24', 'node-26'], []))(
    `is served by %s without tsx${lack}`,
    { timeout: 240_000 },
    async (name) => {
      const folder = installed('runtimes');
      const node = join(folder, 'node_modules', name, 'bin/node');
      await callTyped('server.ts', { node, ...bare() });
    },
  );

  test.skipIf((process.features as { typescript?: unknown }).typescript)(
    'without tsx on a Node that does not know it is an error that says what to do (needs Node < 22.18)',
    async () => {
      const { code, stderr } = await runProcess(['serve', 'server.ts'], bare());
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^sojourn: server\.ts is TypeScript, which Node [\d.]+ does not run by itself: .*npm install .*tsx/,
      );
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    },
  );
});

describe('what cannot be done', () => {
  test('a module that throws, said once by two workers, and flags that contradict the module', async () => {
    const workers = [
      '--workers',
      '2',
      '--port',
      '0',
      '--store',
      `sqlite:${join(temporaryFolder(), 's.db')}`,
    ];
    const [throwing, contradicting] = await Promise.all([
      runProcess(['serve', 'throwing.mjs', ...workers]),
      runProcess(['serve', 'with-options.mjs', '--legacy-sse']),
    ]);
    expect(throwing).toMatchObject({ code: 1, stdout: '' });
    expect(throwing.stderr).toMatch(
      /^sojourn: cannot load throwing\.mjs:\n\S+throwing\.mjs:1\nthrow new .*\n +\^\n\nError: the database is away\n +at .*throwing/,
    );
    expect(throwing.stderr.match(/^sojourn: /gm)).toHaveLength(1);
    expect(contradicting.code).toBe(1);
    expect(contradicting.stderr).toMatch(
      /^sojourn: wrong options in with-options\.mjs, with those of the command line: Options legacySse and sessionMode/,
    );
  });

  test.each([
    [
      'no-default.mjs',
      /^sojourn: no-default\.mjs: the default export is missing \(it exports createServer\); .*\n$/,
    ],
    [
      'wrong-options.mjs',
      /^sojourn: wrong options in wrong-options\.mjs: Option idleTimeoutMs: got -1, .*\n$/,
    ],
  ])('the module %s: exit code 1', async (module, message) => {
    const { code, stdout, stderr } = await runHere(['check', module], {
      cwd: join(program('echo-server.mjs'), '..'),
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
