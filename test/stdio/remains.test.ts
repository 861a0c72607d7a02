/** `sojourn stdio` as processes: what survives, and that nothing of a child stays. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dist, startCli } from '../cli/cli-process.ts';
import { runHere } from '../cli/here.ts';
import { connectNegotiating, connectV2 } from '../clients/official.ts';
import { inherited, startNode } from '../kit/child-process.ts';
import { say } from '../kit/lab.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { openClient } from '../kit/listening.ts';
import { type Looked, marked, SCRIPTED, SMALLEST } from './serving.ts';

const MARK = 'TEST_OF_STDIO';
let marks = 0;

interface Started {
  readonly flags?: readonly string[];
  readonly words?: readonly string[];
  readonly workers?: string;
  readonly cwd?: string;
  readonly port?: string;
}

/** `left`: processes of its children that live. */
function start({
  flags = [],
  words = [],
  workers = '0',
  cwd = temporaryFolder(),
  port = '0',
}: Started = {}) {
  const mark = `${process.pid}.${(marks += 1)}`;
  const own = ['--port', port, '--env', `${MARK}=${mark}`, ...flags];
  const cli = startCli(['stdio', ...own, '--', process.execPath, SCRIPTED, ...words], {
    cwd,
    env: { SOJOURN_WORKERS: workers },
  });
  return { cli, left: () => marked(MARK, mark) };
}

const none = (left: () => readonly number[]): Promise<unknown> =>
  until(() => left().length === 0, { what: 'no process of a child', timeoutMs: 20_000 });

/** The worker of a supervisor that listens. */
const workerOf = (cli: ReturnType<typeof startCli>): number =>
  cli.lines().findLast(({ msg }) => msg === 'worker listens')?.worker_pid ?? 0;

describe('a session', () => {
  test('B249 goes on when its worker is killed, when all are killed, and over SIGHUP', async () => {
    const cwd = temporaryFolder();
    const { cli } = start({ workers: '1', cwd });
    const url = await cli.url();
    await cli.logs('worker listens');
    const client = await connectV2(url);
    const pid = async (): Promise<number> => (JSON.parse(await client.say('look')) as Looked).pid;
    const before = await pid();
    process.kill(workerOf(cli), 'SIGKILL');
    await until(async () => (await pid().catch(() => before)) !== before);
    cli.kill('SIGHUP');
    const over = async (): Promise<boolean> => (await client.say('count').catch(() => '')) === '1';
    await until(over);
    cli.kill('SIGKILL');
    await cli.ended();
    const again = start({ workers: '1', cwd, port: new URL(url).port });
    await again.cli.url();
    await until(
      async () => (await client.say('echo', { text: 'here' }).catch(() => '')) === 'here',
    );
  });
});

test('B250 a call that runs at SIGHUP is answered by the old worker, and the next has a new child', async () => {
  const { cli } = start({ workers: '1', flags: ['--log-level', 'debug'] });
  const client = await connectV2(await cli.url());
  const look = async () => JSON.parse(await client.say('look')) as Looked;
  const before = await look();
  const call = client.say('wait', { ms: 4_000 });
  await until(() => cli.output.stderr.includes('began wait'));
  cli.kill('SIGHUP');
  await cli.logs('rolling restart done');
  expect(await call).toBe('waited');
  await until(async () => (await look()).pid !== before.pid);
});

test('B252 the gateway of a client of 2026-07-28 is killed between two rounds: the call runs again, or may have run', async () => {
  const { cli } = start({ workers: '1' });
  const url = await cli.url();
  await cli.logs('worker listens');
  let deaths = 0;
  const client = await connectNegotiating(url, {
    elicit: async () => {
      const worker = workerOf(cli);
      process.kill(worker, 'SIGKILL');
      deaths += 1;
      await until(() => workerOf(cli) !== worker);
      return { action: 'accept', content: { name: 'Ann' } };
    },
  });
  expect(await client.say('ask', { kinds: ['elicit'] })).toContain('Ann');
  expect(deaths).toBe(1);
  await expect(client.say('askLoudly')).rejects.toMatchObject({
    data: { reason: 'child_ended', mayHaveRun: true },
  });
});

test('B251 a session whose child is stopped, because it is idle, shows as hibernated', async () => {
  const cwd = temporaryFolder();
  const store = `sqlite:${join(cwd, 's.db')}`;
  const { cli, left } = start({ cwd, flags: ['--store', store, '--child-idle-timeout-ms', '1s'] });
  const client = await connectV2(await cli.url(), { withoutGet: true });
  await client.say('count');
  const shown = async () =>
    (await runHere(['sessions', 'ls'], { env: { SOJOURN_STORE: store } })).stdout;
  expect(await shown()).toContain('live');
  await until(async () => (await shown()).includes('hibernated'));
  await none(left);
  expect(await client.say('count')).toBe('1');
});

const canUnshare = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0;

test.runIf(canUnshare).each([['0'], ['1']])(
  'as process 1 of a container it warns that nobody collects ended processes (%s workers)',
  async (workers) => {
    const command = [process.execPath, join(dist, 'cli/main.js'), 'stdio', '--port', '0'];
    const { output, says, stop } = startNode(
      ['--pid', '--fork', '--mount-proc', '--kill-child', ...command, '--', 'sh', SMALLEST],
      {
        program: 'unshare',
        cwd: temporaryFolder(),
        env: { ...inherited, SOJOURN_WORKERS: workers },
      },
    );
    await says(/^ {2}endpoint +(\S+)$/m);
    expect(output.stderr.split('start tini as process 1')).toHaveLength(2);
    await stop('SIGKILL');
  },
);

describe('a program that does not start', () => {
  test.each([
    [['no-such-command'], 'command not found: no-such-command'],
    [[process.execPath, SCRIPTED, 'broken'], 'cannot find API_KEY'],
  ])('B246 %j ends the command with what it wrote', async (command, text) => {
    const began = performance.now();
    const cwd = temporaryFolder();
    const { code, stderr } = await startCli(['stdio', '--port', '0', '--', ...command], {
      cwd,
    }).ended();
    expect([code, stderr]).toEqual([1, expect.stringContaining(text)]);
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});

describe('a file of servers', () => {
  test('serves each program at its own path, with one store and one pool', async () => {
    const cwd = temporaryFolder();
    const file = join(cwd, 'servers.json');
    const entry = (name: string) => ({
      command: process.execPath,
      args: [SCRIPTED],
      env: { NAME: name },
    });
    const mcpServers = {
      first: entry('a'),
      'the second': entry('b'),
      remote: { url: 'https://a.example' },
    };
    writeFileSync(file, JSON.stringify({ mcpServers }));
    const cli = startCli(['stdio', file, '--port', '0'], { cwd });
    const url = new URL(await cli.url());
    expect(cli.output.stderr).toContain('remote is not served: it has no command');
    const said = cli.lines().map(({ msg }) => String(msg));
    expect(said.filter((line) => line.startsWith('A program on stdio '))).toEqual([
      'A program on stdio starts',
      'A program on stdio is served',
      'A program on stdio is served',
    ]);
    for (const [path, name] of Object.entries({ '/first/mcp': 'a', '/the-second/mcp': 'b' })) {
      url.pathname = path;
      const client = await connectV2(url.href);
      expect((JSON.parse(await client.say('look')) as Looked).env['NAME']).toBe(name);
      expect(client.sessionId).toMatch(/^(first|the-second)~/);
    }
    url.pathname = '/third/mcp';
    expect((await fetch(url, { method: 'POST' })).status).toBe(404);
  });
});

describe('nothing of a child stays', () => {
  const sessions = async (cli: ReturnType<typeof startCli>, count: number) => {
    const url = await cli.url();
    const clients = Array.from({ length: count }, () => openClient(url));
    for (const client of clients) await client.initialize();
    return clients;
  };
  const stubborn = { words: ['stubborn'] };

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'B253 after %s of the only process, with stubborn children',
    async (signal) => {
      const { cli, left } = start(stubborn);
      await sessions(cli, 3);
      await until(() => left().length === 9);
      cli.kill(signal);
      await cli.ended();
      await none(left);
    },
  );

  test('a child that has to be killed at the end is named, with what it was doing', async () => {
    const { cli } = start({
      ...stubborn,
      flags: ['--drain-timeout-ms', '100', '--log-level', 'debug'],
    });
    const clients = await sessions(cli, 2);
    const pids: number[] = [];
    for (const client of clients)
      pids.push((JSON.parse((await say(client, 'look')) ?? '') as Looked).pid);
    const call = { name: 'wait', arguments: { ms: 60_000 } };
    const answer = clients[0]?.call('tools/call', call).catch(() => undefined);
    await until(() => cli.output.stderr.includes('began wait'));
    cli.kill('SIGTERM');
    await cli.ended();
    await answer;
    // The first child, which was asked what the program is, is killed too.
    const killed = cli
      .lines()
      .filter(({ msg }) => msg.startsWith('A child is killed'))
      .filter((line) => pids.includes((line as unknown as { child: number }).child));
    const waitedMs = 3_000;
    expect(killed).toEqual(
      [['tools/call wait, cancelled'], []].map((doing, n) =>
        expect.objectContaining({ level: 40, child: pids[n], program: 'node', doing, waitedMs }),
      ),
    );
  });

  test('B253 after DELETE', async () => {
    const { cli, left } = start(stubborn);
    const [client] = await sessions(cli, 1);
    await until(() => left().length === 3);
    await client?.delete();
    await none(left);
  });

  test.each(['worker', 'supervisor'] as const)('B253 after SIGKILL of the %s', async (which) => {
    const { cli, left } = start({ ...stubborn, workers: '1' });
    await sessions(cli, 2);
    await until(() => left().length === 6);
    if (which === 'supervisor') cli.kill('SIGKILL');
    else process.kill(workerOf(cli), 'SIGKILL');
    await none(left);
  });

  test('B253 after SIGKILL of the process and of its warden: the next start finds what is left', async () => {
    const { cli, left } = start(stubborn);
    await sessions(cli, 1);
    await until(() => left().length === 3);
    killWarden(cli.parent ?? 0);
    cli.kill('SIGKILL');
    await cli.ended();
    expect(left().length).toBeGreaterThan(0);
    await start().cli.url();
    await none(left);
  });

  test('B254 40 sessions that are cut without DELETE keep at most as many children as may live', async () => {
    const { cli, left } = start({ flags: ['--max-children', '4', '--store', 'memory:'] });
    const url = await cli.url();
    for (let n = 0; n < 40; n += 1) await openClient(url).initialize();
    expect(left().length).toBeLessThanOrEqual(4);
    cli.kill('SIGTERM');
    await cli.ended();
    await none(left);
  });
});

/** The shell that this process started, and that leads a session of its own. */
function killWarden(parent: number): void {
  const children = execFileSync('pgrep', ['-P', String(parent), '-f', 'sojourn-warden'], {
    encoding: 'utf8',
  });
  for (const pid of children.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
}
