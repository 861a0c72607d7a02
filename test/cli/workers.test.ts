/** `sojourn serve --workers N`: processes that come and go on one port. What becomes of sessions is another file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../kit/until.ts';
import { dist, program, runProcess } from './cli-process.ts';
import { heldSocket } from './held-socket.ts';
import {
  instanceOf,
  isAlive,
  pinned,
  pinnedTo,
  say,
  startWorkers,
  temporaryFolder,
  type Workers,
} from './workers-process.ts';

/** Of util-linux: a terminal for a command. */
const SCRIPT = '/usr/bin/script';
const hasScript = process.platform === 'linux' && existsSync(SCRIPT);
const unix = process.platform !== 'win32';

/** Process ids of both. */
async function listening(workers: Workers): Promise<{ url: string; one: number; two: number }> {
  const url = await workers.url();
  return { url, one: workers.pid(1), two: workers.pid(2) };
}

describe.runIf(unix)('several workers (need a Unix system)', () => {
  test('serve on one port, and tell it once', async () => {
    const workers = startWorkers({ workers: 3 });
    await workers.url();
    expect(new Set(workers.all()).size).toBe(3);
    const ids = [];
    for (const pid of workers.all()) ids.push(await instanceOf(await pinnedTo(workers, pid)));
    expect(new Set(ids).size).toBe(3);
    const { stdout } = workers.output;
    expect(stdout.match(/^ {2}endpoint/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^ {2}workers {3}3$/m);
    expect(stdout).toMatch(/^ {2}store {5}sqlite:\S+$/m);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s drains them all: what runs gets its answer', async (signal) => {
    const workers = startWorkers();
    const { url, one, two } = await listening(workers);
    const client = pinned(url);
    await client.initialize();
    const answer = say(client, 'slow', { ms: 500 });
    await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
    workers.kill(signal);
    expect(await answer).toMatch(new RegExp(`^done (${one}|${two})$`));
    expect(await workers.ended()).toMatchObject({ code: 0, signal: null });
    expect(workers.output.stdout).toContain(`${signal}: draining for at most 25000 ms`);
    const drained = workers.lines().filter(({ msg }) => msg === 'drained' || msg === 'This instance has drained');
    expect(drained.map(({ worker }) => worker).toSorted()).toEqual([1, 2, undefined]);
    expect(workers.sockets()).toEqual([]);
    await expect(fetch(url)).rejects.toThrow();
  });

  test('a second signal ends them at once, and that is a failure', async () => {
    const workers = startWorkers();
    const { url, one, two } = await listening(workers);
    const client = pinned(url);
    await client.initialize();
    const outcome = say(client, 'slow', { ms: 60_000 }).catch((error: Error) => error);
    await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
    workers.kill('SIGTERM');
    await until(() => workers.output.stdout.includes('draining'));
    workers.kill('SIGTERM');
    expect(await workers.ended()).toMatchObject({ code: 1, signal: null });
    expect(await outcome).toBeInstanceOf(Error);
    await until(() => !isAlive(one) && !isAlive(two), { what: 'both to be gone' });
  });

  test('what a terminal sends to every process is for the supervisor alone', async () => {
    const workers = startWorkers();
    const { url, one, two } = await listening(workers);
    for (const signal of ['SIGINT', 'SIGHUP'] as const) for (const pid of [one, two]) process.kill(pid, signal);
    expect(await instanceOf(pinned(url))).toMatch(/./);
    expect([one, two].map(isAlive)).toEqual([true, true]);
    workers.kill('SIGINT');
    expect(await workers.ended()).toMatchObject({ code: 0 });
    expect(workers.all()).toEqual([one, two]);
  });

  test('stopped by a manager that signals all of them: each drains once', async () => {
    const workers = startWorkers();
    const { one, two } = await listening(workers);
    for (const pid of [one, two]) process.kill(pid, 'SIGTERM');
    workers.kill('SIGTERM');
    expect(await workers.ended()).toMatchObject({ code: 0 });
    expect([one, two].map(isAlive)).toEqual([false, false]);
    expect(workers.lines().filter(({ msg }) => msg.includes('takes its place'))).toEqual([]);
  });

  test('a worker that is killed is replaced, the other stays', async () => {
    const workers = startWorkers();
    const { one, two } = await listening(workers);
    process.kill(one, 'SIGKILL');
    const next = await workers.replaced(1, one);
    expect([next, two].map(isAlive)).toEqual([true, true]);
    expect(workers.pid(2)).toBe(two);
    expect(workers.lines()).toContainEqual(expect.objectContaining({ worker: 1, worker_pid: one, end: 'SIGKILL' }));
    const client = await pinnedTo(workers, next);
    await client.initialize();
    expect(await say(client, 'where')).toBe(String(next));
  });

  test('all of them killed at once: connections wait until one is back', async () => {
    const workers = startWorkers();
    const { url, one, two } = await listening(workers);
    for (const pid of [one, two]) process.kill(pid, 'SIGKILL');
    const waiting = fetch(new URL('/healthz', url));
    expect((await waiting).status).toBe(200);
    await Promise.all([workers.replaced(1, one), workers.replaced(2, two)]);
  });

  test('a worker that gets SIGTERM drains alone, and is replaced', async () => {
    const workers = startWorkers();
    const { one, two } = await listening(workers);
    const client = await pinnedTo(workers, one);
    await client.initialize();
    const answer = say(client, 'slow', { ms: 500 });
    await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
    process.kill(one, 'SIGTERM');
    // While it still runs what it has.
    const next = await workers.replaced(1, one);
    expect(await answer).toBe(`done ${one}`);
    await until(() => !isAlive(one), { what: 'it to end' });
    expect([next, two].map(isAlive)).toEqual([true, true]);
    expect(workers.lines().filter(({ msg }) => msg.includes('died'))).toEqual([]);
  });

  test('SIGHUP replaces one after the other, by new code', async () => {
    const workers = startWorkers();
    const { one, two } = await listening(workers);
    workers.kill('SIGHUP');
    await until(() => workers.lines().some(({ msg }) => msg === 'rolling restart done'), {
      timeoutMs: 20_000,
      what: 'the roll',
    });
    expect(workers.all()).toHaveLength(4);
    expect([one, two].map(isAlive)).toEqual([false, false]);
    workers.kill('SIGTERM');
    expect(await workers.ended()).toMatchObject({ code: 0 });
  });

  test('give their module what follows --, before and after a reload', async () => {
    const workers = startWorkers({ module: 'argv-server.mjs', workers: 1, flags: ['--', '--mine', '--workers', '5'] });
    const url = await workers.url();
    const seen = async () => {
      const client = pinned(url);
      await client.initialize();
      return JSON.parse((await say(client, 'argv')) ?? '') as unknown[];
    };
    const argv = [process.execPath, join(dist, 'cli/main.js'), '--mine', '--workers', '5'];
    expect(await seen()).toEqual([workers.pid(1), ...argv]);
    expect(await runProcess(['reload', '--pid', String(workers.parent)])).toMatchObject({ code: 0 });
    const done = () => workers.lines().some(({ msg }) => msg === 'rolling restart done');
    await until(done, { timeoutMs: 20_000, what: 'the roll' });
    expect(workers.all()).toHaveLength(2);
    expect(await seen()).toEqual([workers.pid(1), ...argv]);
  });

  test('SIGHUP with code that does not start leaves the old ones at work', async () => {
    const broken = join(temporaryFolder(), 'broken');
    const workers = startWorkers({ env: { BROKEN: broken } });
    const { url, one, two } = await listening(workers);
    writeFileSync(broken, '');
    workers.kill('SIGHUP');
    const givenUp = () => workers.lines().some(({ msg }) => msg.startsWith('rolling restart given up'));
    await until(givenUp, { timeoutMs: 20_000, what: 'the roll to be given up' });
    expect(workers.output.stderr).toContain('broken code');
    expect(await instanceOf(pinned(url))).toMatch(/./);
    expect([one, two].map(isAlive)).toEqual([true, true]);
  });

  test('a worker that cannot start any more ends all of them, and says why', async () => {
    const broken = join(temporaryFolder(), 'broken');
    const workers = startWorkers({ env: { BROKEN: broken } });
    const { one, two } = await listening(workers);
    writeFileSync(broken, '');
    process.kill(two, 'SIGKILL');
    const { code, stderr } = await workers.ended();
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^sojourn: worker 2 died before it listened, 5 times in a row \(last: exit code 1\); see the log above$/m,
    );
    expect(isAlive(one)).toBe(false);
  });

  test(
    'a worker that dies of every request is replaced however often, after pauses, and the others serve',
    { timeout: 90_000 },
    async () => {
      const workers = startWorkers();
      const { url, two } = await listening(workers);
      // So that every connection is worker 1's.
      process.kill(two, 'SIGSTOP');
      const deaths = () => workers.lines().filter(({ end }) => end === 'exit code 7').length;
      for (let n = 0; n < 7; n++) {
        const client = pinned(url);
        // Waits in the socket's queue until the next worker listens, and kills that one at once.
        await client.initialize();
        await client.call('tools/call', { name: 'crash', arguments: {} }).catch(() => {});
        await until(() => deaths() === n + 1, { timeoutMs: 20_000, what: `death ${n + 1}` });
      }
      const client = pinned(url);
      await client.initialize();
      expect(await say(client, 'where')).toBe(String(workers.pid(1)));
      expect([two, workers.pid(1)].map(isAlive)).toEqual([true, true]);
      const died = workers.lines().flatMap(({ end, time }) => (end === 'exit code 7' ? [time] : []));
      const listened = workers
        .lines()
        .flatMap(({ msg, worker, time }) => (msg === 'worker listens' && worker === 1 ? [time] : []));
      // The second pause of a row is 200 ms; a worker that a slow machine let serve for a second begins a new row.
      const pauses = died.map((at, n) => (listened[n + 1] ?? Infinity) - at);
      expect(Math.max(...pauses)).toBeGreaterThan(200);
    },
  );

  test('whose supervisor is killed drain and end', async () => {
    const workers = startWorkers();
    const { url, one, two } = await listening(workers);
    const client = pinned(url);
    await client.initialize();
    const answer = say(client, 'slow', { ms: 500 });
    await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
    workers.kill('SIGKILL');
    expect(await answer).toMatch(/^done/);
    await until(() => !isAlive(one) && !isAlive(two), { timeoutMs: 10_000, what: 'both to end' });
    await expect(fetch(url)).rejects.toThrow();
    expect(workers.sockets()).toEqual([]);
  });

  test.skipIf(!hasScript)('end with the terminal that is closed (needs script(1))', async () => {
    const folder = temporaryFolder();
    const line = `serve ${program('worker-server.mjs')} --workers 2 --port 0 --store sqlite:${folder}/s.db 2>${folder}/log`;
    const terminal = spawn(SCRIPT, ['-qfc', `exec ${process.execPath} ${dist}/cli/main.js ${line}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const closed = once(terminal, 'close');
    const pids = (): number[] =>
      [...readFileSync(join(folder, 'log'), 'utf8').matchAll(/"(?:pid|worker_pid)":(\d+)/g)].map(([, pid]) =>
        Number(pid),
      );
    onTestFinished(async () => {
      terminal.kill('SIGKILL');
      await closed;
      for (const pid of pids().filter(isAlive)) process.kill(pid, 'SIGKILL');
    });
    let shown = '';
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
    await until(() => shown.includes('Stop with Ctrl+C'), { timeoutMs: 20_000, what: 'the banner' });
    expect(new Set(pids().filter(isAlive)).size).toBe(3);
    terminal.kill('SIGKILL');
    await until(() => !pids().some(isAlive), { timeoutMs: 10_000, what: 'all of them to end' });
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

  test.each([
    [
      ['--workers', '2'],
      '--workers: 2 processes need a store that they share, and memory: belongs to one process; use e.g. --store sqlite:./sessions.db',
    ],
    [['--workers', '2', '--store', 'memory:'], '--workers: 2 processes need a store that they share'],
    [['--workers', '2', '--idle-timeout-ms', '-1'], '--idle-timeout-ms: got -1'],
  ])('%j: exit code 2, said once', async (flags, message) => {
    const { code, stdout, stderr } = await runProcess(['serve', 'echo-server.mjs', '--port', '0', ...flags]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.split(message)).toHaveLength(2);
  });

  test('the environment asks for them like the flag', async () => {
    const { code, stderr } = await runProcess(['serve', 'echo-server.mjs', '--port', '0'], {
      env: { SOJOURN_WORKERS: '3' },
    });
    expect(code).toBe(2);
    expect(stderr).toContain('SOJOURN_WORKERS: 3 processes need a store');
  });

  test.each(['throwing.mjs', 'nowhere.mjs'])('the module %s: exit code 1, said once', async (module) => {
    const { code, stdout, stderr } = await runProcess(['serve', module, '--workers', '4', '--port', '0', ...store()]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.match(/^sojourn: /gm)).toHaveLength(1);
  });

  test('the port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const args = ['serve', program('echo-server.mjs'), '--workers', '2', '--port', String(port), ...store()];
    expect(await runProcess(args)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `sojourn: port ${port} on 127.0.0.1 is in use: stop the program that listens there, or choose another port with --port (0 takes any free one)\n`,
    });
  });

  test('the address is not of this machine', async () => {
    const args = ['serve', 'echo-server.mjs', '--workers', '2', '--host', '192.0.2.1', ...store()];
    expect(await runProcess(args)).toMatchObject({
      code: 1,
      stderr: 'sojourn: --host: this machine has no address 192.0.2.1\n',
    });
  });
});
