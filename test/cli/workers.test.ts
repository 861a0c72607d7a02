/** `sojourn serve --workers N`: processes that come and go on one port. What becomes of sessions is another file. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startNode } from '../kit/child-process.ts';
import { connectV2 } from '../clients/official.ts';
import { freePort } from '../kit/free-port.ts';
import { say } from '../kit/lab.ts';
import { listening } from '../kit/listening.ts';
import { until } from '../kit/until.ts';
import { dist, program, runProcess } from './cli-process.ts';
import { heldSocket } from '../kit/held-socket.ts';
import {
  instanceOf,
  isAlive,
  pinned,
  pinnedTo,
  startWorkers,
  type Workers,
} from './workers-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';

/** Of util-linux: a terminal for a command. */
const SCRIPT = '/usr/bin/script';
const hasScript = process.platform === 'linux' && existsSync(SCRIPT);
const unix = process.platform !== 'win32';

/** Process ids of both. */
async function served(workers: Workers): Promise<{ url: string; one: number; two: number }> {
  const url = await workers.url();
  return { url, one: workers.pid(1), two: workers.pid(2) };
}

describe.runIf(unix)('several workers (need a Unix system)', { timeout: 240_000 }, () => {
  test('one deployment: killed, signalled, drained, reloaded and stopped', async () => {
    const broken = join(temporaryFolder(), 'broken');
    const workers = startWorkers({
      env: { BROKEN: broken },
      flags: ['--', '--mine', '--workers', '5'],
    });
    const { url, one, two } = await served(workers);
    const alive = (...pids: number[]): boolean[] => pids.map(isAlive);
    // A worker that is killed before it has a lease leaves its socket: no instance knows of it.
    const joined = (pid: number): Promise<unknown> =>
      until(() => workers.lines().some((line) => line.pid === pid && line.msg.includes('joined')), {
        what: `worker process ${pid} to join`,
      });

    // They serve on one port, and tell it once.
    const { stdout } = workers.output;
    expect(stdout.match(/^ {2}endpoint/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^ {2}workers {3}2$/m);
    expect(stdout).toMatch(/^ {2}store {5}sqlite:\S+$/m);
    const [here, there] = [await pinnedTo(workers, one), await pinnedTo(workers, two)];
    expect(await instanceOf(here)).not.toBe(await instanceOf(there));

    // What a terminal sends to every process is for the supervisor alone.
    for (const signal of ['SIGINT', 'SIGHUP'] as const)
      for (const pid of [one, two]) process.kill(pid, signal);

    // A worker that gets SIGTERM drains alone, and is replaced while it still runs what it has.
    await here.initialize();
    // Another worker passes the calls of its session to it.
    expect(await instanceOf(await pinnedTo(workers, two, here))).toBe(await instanceOf(there));
    expect(await say(await pinnedTo(workers, two, here), 'ring')).toBe(String(one));
    const answer = say(here, 'slow', { ms: 1_000 });
    await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
    process.kill(one, 'SIGTERM');
    const next = await workers.replaced(1, one);
    expect(await answer).toBe(`done ${one}`);
    await until(() => !isAlive(one), { what: 'it to end' });
    expect(workers.lines().filter(({ msg }) => msg.includes('died'))).toEqual([]);
    expect([alive(next, two), workers.pid(2)]).toEqual([[true, true], two]);

    // A worker that is killed is replaced, and the other stays.
    await joined(next);
    process.kill(next, 'SIGKILL');
    const third = await workers.replaced(1, next);
    expect(workers.lines()).toContainEqual(
      expect.objectContaining({ worker: 1, worker_pid: next, end: 'SIGKILL' }),
    );
    expect(workers.pid(2)).toBe(two);

    // All of them killed at once: connections wait until one is back.
    await joined(third);
    for (const pid of [third, two]) process.kill(pid, 'SIGKILL');
    expect((await fetch(new URL('/healthz', url))).status).toBe(200);
    const back = [await workers.replaced(1, third), await workers.replaced(2, two)];
    for (const pid of back) await joined(pid);

    // SIGHUP with code that does not start leaves the old ones at work.
    writeFileSync(broken, '');
    workers.kill('SIGHUP');
    await workers.logs('rolling restart given up');
    expect(workers.output.stderr).toContain('broken code');
    expect(alive(...back)).toEqual([true, true]);

    // SIGHUP replaces one after the other, by new code, which has the same arguments.
    rmSync(broken);
    workers.kill('SIGHUP');
    await workers.logs('rolling restart done');
    expect(alive(...back)).toEqual([false, false]);
    const client = pinned(url);
    await client.initialize();
    expect(JSON.parse((await say(client, 'argv')) ?? '')).toEqual([
      process.execPath,
      join(dist, 'cli/main.js'),
      '--mine',
      '--workers',
      '5',
    ]);

    // Those that were killed leave nothing.
    await until(() => workers.sockets().length === 2, { what: 'their sockets to be removed' });

    // Stopped by a manager that signals all of them, each drains once, and what runs gets its answer.
    const last = [workers.pid(1), workers.pid(2)];
    const replacements = workers
      .lines()
      .filter(({ msg }) => msg.includes('takes its place')).length;
    const slow = say(client, 'slow', { ms: 1_000 });
    await until(() => workers.output.stderr.split('slow began').length === 3, {
      what: 'the slow tool',
    });
    for (const pid of last) process.kill(pid, 'SIGTERM');
    workers.kill('SIGTERM');
    expect(await slow).toMatch(/^done /);
    expect(await workers.ended()).toMatchObject({ code: 0, signal: null });
    const begun = workers.lines().find(({ msg }) => msg.startsWith('draining; a second'));
    expect(begun).toMatchObject({ signal: 'SIGTERM', timeoutMs: 25_000 });
    const drained = workers.lines().filter(({ msg }) => msg === 'drained');
    expect(drained.map(({ worker }) => worker)).toEqual([undefined]);
    expect(workers.lines().filter(({ msg }) => msg.includes('takes its place'))).toHaveLength(
      replacements,
    );
    expect([alive(...last), workers.sockets()]).toEqual([[false, false], []]);
    await expect(fetch(url)).rejects.toThrow();
  });

  test('a second signal ends them at once, and that is a failure', async () => {
    const workers = startWorkers();
    const { url, one, two } = await served(workers);
    const client = pinned(url);
    await client.initialize();
    const outcome = say(client, 'slow', { ms: 60_000 }).catch((error: Error) => error);
    await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
    workers.kill('SIGINT');
    await until(() => workers.output.stderr.includes('draining'));
    workers.kill('SIGTERM');
    expect(await workers.ended()).toMatchObject({ code: 1, signal: null });
    expect(await outcome).toBeInstanceOf(Error);
    await until(() => !isAlive(one) && !isAlive(two), { what: 'both to be gone' });
  });

  test('a worker that dies of every request is replaced, after pauses; one that cannot start ends all', async () => {
    const broken = join(temporaryFolder(), 'broken');
    const workers = startWorkers({ env: { BROKEN: broken } });
    const { url, two } = await served(workers);
    // So that every connection is worker 1's.
    process.kill(two, 'SIGSTOP');
    const deaths = () => workers.lines().filter(({ end }) => end === 'exit code 7').length;
    // More than the starts in a row that may fail.
    for (let n = 0; n < 6; n++) {
      const client = pinned(url);
      // Waits in the socket's queue until the next worker listens, and kills that one at once.
      await client.initialize();
      await client.call('tools/call', { name: 'crash', arguments: {} }).catch(() => {});
      await until(() => deaths() === n + 1, { timeoutMs: 60_000, what: `death ${n + 1}` });
    }
    const client = pinned(url);
    await client.initialize();
    const one = Number(await say(client, 'where'));
    expect([two, one].map(isAlive)).toEqual([true, true]);
    const died = workers.lines().flatMap(({ end, time }) => (end === 'exit code 7' ? [time] : []));
    const listened = workers
      .lines()
      .flatMap(({ msg, worker, time }) => (msg === 'worker listens' && worker === 1 ? [time] : []));
    // There is no pause after a worker that a slow machine let serve for a second.
    const pauses = died.map((at, n) => (listened[n + 1] ?? Infinity) - at);
    expect(Math.max(...pauses)).toBeGreaterThanOrEqual(1_000);

    process.kill(two, 'SIGCONT');
    writeFileSync(broken, '');
    process.kill(two, 'SIGKILL');
    const { code, stderr } = await workers.ended();
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^sojourn: worker 2 died before it listened, 5 times in a row \(last: exit code 1\); see the log above$/m,
    );
    expect(isAlive(one)).toBe(false);
  });

  test('a call that may run twice and kills its process takes three workers; its client hears why, others go on', async () => {
    const workers = startWorkers();
    const { url } = await served(workers);
    const deaths = () => workers.lines().filter(({ end }) => end === 'exit code 8').length;
    const [own, other] = [await connectV2(url), await connectV2(url)];
    await own.client.listTools();
    const outcome = own.callTool('doom').catch((error: Error) => error.message);
    let isOver = false;
    void outcome.finally(() => (isOver = true));
    // Each request of its session restores it, where the call runs again.
    await until(
      async () => {
        await own.client.ping().catch(() => {});
        return isOver;
      },
      { timeoutMs: 60_000, what: 'the call to end' },
    );
    expect(await outcome).toContain('began 3 times');
    await own.client.ping();
    expect(deaths()).toBe(3);
    const line = expect.stringMatching(/^A call is not run again/) as string;
    expect(workers.lines()).toContainEqual(
      expect.objectContaining({ tool: 'doom', runs: 3, msg: line }),
    );
    expect((await other.callTool('count')).content?.[0]?.text).toBe('1');
  });

  test.skipIf(!hasScript)('end with the terminal that is closed (needs script(1))', async () => {
    const folder = temporaryFolder();
    const line = `serve ${program('worker-server.mjs')} --workers 2 --port 0 --store sqlite:${folder}/s.db 2>${folder}/log`;
    const args = ['-qfc', `exec ${process.execPath} ${dist}/cli/main.js ${line}`, '/dev/null'];
    const { child: terminal, says, closed } = startNode(args, { program: SCRIPT });
    const pids = (): number[] =>
      [...readFileSync(join(folder, 'log'), 'utf8').matchAll(/"(?:pid|worker_pid)":(\d+)/g)].map(
        ([, pid]) => Number(pid),
      );
    onTestFinished(async () => {
      terminal.kill('SIGKILL');
      await closed;
      for (const pid of pids().filter(isAlive)) process.kill(pid, 'SIGKILL');
    });
    await says(/Stop with Ctrl\+C/);
    await until(() => new Set(pids().filter(isAlive)).size === 3, {
      what: 'both workers to listen',
    });
    terminal.kill('SIGKILL');
    await until(() => !pids().some(isAlive), { what: 'all of them to end' });
    expect(readFileSync(join(folder, 'log'), 'utf8')).not.toContain('rolling restart');
  });

  test('serve on a socket that they are passed, which outlives them all', async () => {
    const { fd, port } = heldSocket();
    const folder = temporaryFolder();
    const first = startWorkers({ fd, folder, flags: ['--port', '1'] });
    const url = await first.url();
    expect(url).toBe(`http://127.0.0.1:${port}/mcp`);
    expect(first.output.stderr.match(/so --port and --host are ignored/g)).toHaveLength(1);
    const client = pinned(url);
    await client.initialize();
    expect(await say(client, 'count')).toBe('1');
    first.kill('SIGTERM');
    expect(await first.ended()).toMatchObject({ code: 0 });
    const waiting = say(pinned(url, client), 'count');
    startWorkers({ fd, folder });
    // The next supervisor is killed while its second worker still starts: that one ends too.
    expect(await waiting).toBe('2');
  });
});

describe.runIf(unix)('workers that cannot be', () => {
  const store = (): string[] => ['--store', `sqlite:${join(temporaryFolder(), 's.db')}`];

  test('a store that they do not share: exit code 2, said once', async () => {
    const { code, stdout, stderr } = await runProcess(['serve', 'echo-server.mjs', '--port', '0'], {
      env: { SOJOURN_WORKERS: '3' },
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const message =
      'SOJOURN_WORKERS: 3 processes need a store that they share, and memory: belongs to one process; use e.g. ' +
      '--store sqlite:./sessions.db';
    expect(stderr.split(message)).toHaveLength(2);
  });

  test.each(['0', '2'])(
    'with --workers %s a port in use, an address of another machine, also of --metrics',
    async (workers) => {
      const { port } = new URL(await listening(createServer()));
      const shared = workers === '0' ? [] : store();
      const run = (...flags: string[]) =>
        runProcess(
          ['serve', program('echo-server.mjs'), '--workers', workers, ...flags].concat(shared),
        );
      expect(await run('--port', port)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `sojourn: port ${port} on 127.0.0.1 is in use: stop the program that listens there, or choose another port with --port (0 takes any free one)\n`,
      });
      expect(await run('--host', '192.0.2.1')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /^sojourn: cannot listen on port 3000 on 192\.0\.2\.1: (listen|bind) EADDRNOTAVAIL\b.*\n$/,
        ) as string,
      });
      const free = String(await freePort());
      const { stderr } = await run('--port', free, '--metrics', free);
      // A supervisor has bound the port, and its worker is the second to listen.
      const second = workers === '0' ? '--metrics' : '--port';
      expect(stderr).toContain(`port ${free} on 127.0.0.1 is in use: `);
      expect(stderr).toContain(`choose another port with ${second} `);
      const other = await run(
        '--port',
        '0',
        '--metrics',
        '192.0.2.1:1',
        '--metrics-token',
        'secret',
      );
      expect(other.stderr).toContain(
        '--metrics: cannot listen on port 1 on 192.0.2.1: listen EADDRNOTAVAIL',
      );
    },
  );
});
