import { describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { Failure, UsageError } from '../../src/cli/failure.ts';
import { ALL_FLAGS, flagName } from '../../src/cli/flags.ts';
import type { RecordRequest } from '../../src/cli/records/commands.ts';
import type { ServeSettings } from '../../src/cli/settings.ts';
import { runHere } from './here.ts';

interface Run {
  env?: Record<string, string>;
  serve?: () => Promise<number>;
}

const KEY = 'k'.repeat(32);
const HINTS = `(sojourn serve --help says what it takes)
(arguments of the module itself follow --: sojourn serve server.js -- --mine)`;

/** Runs it with commands that only note what they are asked. */
async function run(args: string[], { env = {}, serve = async () => 0 }: Run = {}) {
  const served: { module: string; settings: ServeSettings; passed: readonly string[] }[] = [];
  const looked: RecordRequest[] = [];
  const ran = await runHere(args, {
    env,
    serve: async (module, settings, passed) => {
      served.push({ module, settings, passed });
      return serve();
    },
    looks: (request) => {
      looked.push(request);
      return 1;
    },
  });
  return { ...ran, served, looked };
}

describe('the command line', () => {
  test('hands the module, flags and environment to serve', async () => {
    const flags =
      '--port 0 --limits-body-bytes 9 --legacy-sse --allowed-hosts a --allowed-hosts b,c --metrics';
    const args = ['serve', 'server.js', ...flags.split(' ')];
    const { code, served } = await run(args, { env: { SOJOURN_RETRY_MS: '5' } });
    expect(code).toBe(0);
    expect(served).toHaveLength(1);
    expect(served[0]).toMatchObject({
      module: 'server.js',
      settings: {
        port: 0,
        // The address of OpenTelemetry.
        metrics: { host: '127.0.0.1', port: 9_464 },
        options: {
          limits: { bodyBytes: 9 },
          legacySse: true,
          allowedHosts: ['a', 'b', 'c'],
          retryMs: 5,
        },
      },
    });
  });

  test.each([
    [
      ['--', '--mine', '-x', 'words'],
      ['--mine', '-x', 'words'],
    ],
    [
      ['--retry-ms', '5', '--', '--port', '1', '--legacy-sse', 'yes', '--', '--help'],
      ['--port', '1', '--legacy-sse', 'yes', '--', '--help'],
    ],
    [['--'], []],
    [[], []],
  ])('what follows the first -- of %j is for the module', async (more, passed) => {
    expect(await run(['serve', '--port', '0', 'server.js', ...more])).toMatchObject({
      code: 0,
      stderr: '',
      served: [{ module: 'server.js', settings: { port: 0 }, passed }],
    });
  });

  test('hands what a command asks of records to it, and ends with its exit code; an id may follow --', async () => {
    const env = {
      SOJOURN_STORE: 'sqlite:a.db',
      SOJOURN_DEPLOYMENT: 'tools',
      SOJOURN_SECRETS: `${KEY},store`,
    };
    const store = {
      storeUrl: 'sqlite:a.db',
      origin: 'SOJOURN_STORE',
      options: { deployment: 'tools', secrets: [KEY, 'store'] },
    };
    const id = '-ilxAUvhqNoLJgmk.0sF8zJq0m3Jc2yQ1x7wE5g';
    const asked = { names: [id], kind: 'tasks', verb: 'cancel', yes: true };
    expect(await run(['tasks', 'cancel', '--yes', '--', id], { env })).toMatchObject({
      code: 1,
      looked: [{ ...store, ...asked }],
      stderr: '',
    });
    const flags = ['--store', 'sqlite:b.db', '--deployment', 'other', '--json', '--user', 'ada'];
    expect((await run(['sessions', 'ls', ...flags], { env })).looked).toMatchObject([
      {
        storeUrl: 'sqlite:b.db',
        origin: '--store',
        options: { deployment: 'other' },
        json: true,
        user: 'ada',
      },
    ]);
    expect((await run(['once', 'show', 'pay', 'k', '--anonymous'], { env })).looked).toMatchObject([
      { kind: 'once', names: ['pay', 'k'], anonymous: true },
    ]);
    expect((await run(['sessions', 'end', 'x'], { env })).looked).toMatchObject([{ wait: 60_000 }]);
    for (const wrong of [
      'tasks ls --yes',
      'tasks show',
      'tasks end x',
      'sessions show x --user y',
      'once ls',
    ])
      expect(await run(wrong.split(' '), { env })).toMatchObject({ code: 2, looked: [] });
    const refused = async (name: string, keys: string) =>
      run(['sessions', 'ls', '--deployment', name], {
        env: { ...env, SOJOURN_SECRETS: keys },
      });
    expect((await refused('a b', KEY)).stderr).toMatch(
      /^sojourn: --deployment: got "a b", takes 1 to 64 letters/,
    );
    expect((await refused('a', 'hunter22')).stderr).toMatch(
      /^sojourn: SOJOURN_SECRETS\[0\]: got 8 bytes/,
    );
  });

  test('dev takes the flags, variables and arguments of serve, but no number of workers', async () => {
    const flags = [...ALL_FLAGS]
      .filter(([, { kind }]) => kind === 'switch')
      .map(([key]) => `--no-${flagName(key)}`);
    const args = ['dev', 'mcp.ts', '--port', '0', ...flags, '--', '--mine'];
    const { code, served } = await run(args, {
      env: { SOJOURN_WORKERS: '4', SOJOURN_RETRY_MS: '5' },
    });
    expect(code).toBe(0);
    expect(served).toMatchObject([
      {
        module: 'mcp.ts',
        settings: { dev: true, workers: 1, port: 0, options: { retryMs: 5 } },
        passed: ['--mine'],
      },
    ]);
    expect((await run(['serve', 'mcp.ts'])).served[0]?.settings.dev).toBe(false);
    const wrong = await run(['dev', 'mcp.ts', '--workers', '2']);
    expect(wrong).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("unknown option '--workers'"),
    });
    const { stdout: out } = await run(['dev', '--help']);
    expect(out.match(/^ {2}--[\w-]+/gm)).toEqual([
      '  --port',
      '  --host',
      '  --log-level',
      '  --store',
    ]);
    expect(out).toContain('sojourn serve --help lists them');
  });

  test('prints the version of the package', async () => {
    expect(await run(['--version'])).toMatchObject({
      code: 0,
      stdout: `${manifest.version}\n`,
      stderr: '',
    });
  });

  test('help names every flag that can be given, and the rules', async () => {
    const { code, stdout: out, stderr: err } = await run(['serve', '--help']);
    expect({ code, stderr: err }).toEqual({ code: 0, stderr: '' });
    for (const key of ALL_FLAGS.keys())
      expect(out).toMatch(new RegExp(`^ +--(no-)?${flagName(key)}( [<[]\\w+[>\\]])?  `, 'm'));
    for (const rule of [
      'SOJOURN_RETRY_MS=500',
      'Exit codes: 0',
      'SIGTERM',
      'export default',
      '(default: 7200000)',
    ]) {
      expect(out.replace(/\s+/g, ' ')).toContain(rule);
    }
    const tooLong = out.split('\n').filter((line) => line.length > 100);
    expect(tooLong).toEqual([]);
  });

  test('help of the whole names the command', async () => {
    for (const args of [['--help'], ['help']]) {
      expect(await run(args)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('serve [options] <module>') as string,
      });
    }
    expect((await run(['help', 'serve'])).stdout).toContain('--idle-timeout-ms');
  });

  test.each([
    [[], 'Usage: sojourn'],
    [
      ['serve'],
      "sojourn: missing required argument 'module'\n(sojourn serve --help says what it takes)",
    ],
    [
      ['srve', 'x'],
      "sojourn: unknown command 'srve'\n(Did you mean serve?)\n(sojourn --help says what it takes)",
    ],
    [['serve', 'x', '--auth-issuer', 'y'], '(Did you mean --auth-jwt-issuer?)'],
    [['serve', 'x', '--idle-timout-ms', '5'], '(Did you mean --idle-timeout-ms?)'],
    [['serve', 'x', '--port'], "sojourn: option '--port <n>' argument missing"],
    [['serve', 'x', 'y'], "sojourn: too many arguments for 'serve'"],
    [['serve', 'x', '--name', 'a'], '(Did you mean --deployment?)'],
    [['serve', 'x', '--mine'], `sojourn: unknown option '--mine'\n${HINTS}`],
    [['serve', '--', 'x'], `sojourn: missing required argument 'module'\n${HINTS}`],
    [
      ['serve', 'x', '--retry-ms', 'soon'],
      'sojourn: --retry-ms: got "soon", takes a whole number of ms, 0 or more',
    ],
    // Only a module can set it.
    [['serve', 'x', '--session-user'], "sojourn: unknown option '--session-user'"],
    [
      ['sessions', 'ls'],
      'sojourn: sessions ls needs --store (or SOJOURN_STORE), e.g. sqlite:./sessions.db',
    ],
    [
      ['sessions', 'show', '--store', 'sqlite:a.db'],
      "sojourn: missing required argument 'session'",
    ],
    [['once', 'ls'], "sojourn: unknown command 'ls'\n(sojourn once --help says what it takes)"],
    [['--port', '5'], "sojourn: unknown option '--port'"],
  ])('%j is wrong usage: exit code 2', async (args, message) => {
    const { code, stdout, stderr, served, looked } = await run(args);
    expect({ code, stdout, served, looked }).toEqual({
      code: 2,
      stdout: '',
      served: [],
      looked: [],
    });
    expect(stderr).toContain(message);
  });

  test('what serve finds wrong decides the exit code, in one line without a stack', async () => {
    const failing = (error: Error) => ({ serve: () => Promise.reject(error) });
    expect(await run(['serve', 'x'], failing(new Failure('port 3000 is in use')))).toMatchObject({
      code: 1,
      stderr: 'sojourn: port 3000 is in use\n',
    });
    expect(await run(['serve', 'x'], failing(new UsageError('--store takes a URL')))).toMatchObject(
      {
        code: 2,
        stderr: 'sojourn: --store takes a URL\n(sojourn serve --help says what it takes)\n',
      },
    );
  });

  test('a mistake of our own is not dressed up', async () => {
    await expect(
      run(['serve', 'x'], { serve: () => Promise.reject(new TypeError('oops')) }),
    ).rejects.toThrow('oops');
  });
});
