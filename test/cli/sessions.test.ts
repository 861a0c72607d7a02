/** `sojourn sessions …` on the file of a real `sojourn serve`. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BUILD_VERSION } from '../../src/protocol/versions.ts';
import { createRawClient, type RawClient } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';
import { program, runProcess, startCli } from './cli-process.ts';
import { hashOf } from '../kit/log.ts';

function deployment() {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-sessions-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 's.db');
  const store = ['--store', `sqlite:${file}`];
  return {
    file,
    async start(...flags: string[]) {
      const cli = startCli(['serve', program('counting-server.mjs'), ...store, '--port', '0', ...flags]);
      return { cli, url: await cli.url() };
    },
    sessions: (what: string, ...args: string[]) => {
      const [flags, ids] = [args.filter((arg) => arg.startsWith('--')), args.filter((arg) => !arg.startsWith('--'))];
      return runProcess(['sessions', what, ...store, ...flags, ...(what === 'ls' ? [] : ['--', ...ids])]);
    },
  };
}

async function open(url: string, calls: number, name = 'raw'): Promise<RawClient & { sessionId: string }> {
  const client = createRawClient(url);
  onTestFinished(() => client.close());
  await client.initialize({ clientInfo: { name, version: '7.1' } });
  for (let n = 0; n < calls; n++) await client.call('tools/call', { name: 'count', arguments: {} });
  if (client.sessionId === undefined) throw new Error('no session');
  return client as RawClient & { sessionId: string };
}

async function stop(cli: ReturnType<typeof startCli>): Promise<void> {
  cli.kill('SIGTERM');
  expect(await cli.ended()).toMatchObject({ code: 0 });
}

const linesOf = (text: string): Array<Record<string, unknown>> =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('sojourn sessions', () => {
  test('ls lists every session, page by page, live ones with their owner', async () => {
    const { start, sessions } = deployment();
    const first = await start();
    const opened: string[] = [];
    for (let n = 0; n < 120; n++) opened.push((await open(first.url, 0)).sessionId);
    const live = linesOf((await sessions('ls', '--json', '--ids')).stdout);
    expect(live.map(({ id }) => id).toSorted()).toEqual(opened.toSorted());
    expect(new Set(live.map(({ status }) => status))).toEqual(new Set(['live']));
    expect(live[0]).toMatchObject({ owner: expect.any(String), clientInfo: { name: 'raw', version: '7.1' } });
    await stop(first.cli);
    const { code, stdout, stderr } = await sessions('ls', '--ids');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [head, ...rest] = stdout.trimEnd().split('\n');
    expect(rest.slice(-2)).toEqual(['', '120 sessions: 0 live, 0 hibernated, 120 released']);
    const rows = rest.slice(0, -2);
    expect(head).toMatch(/^ID +HASH +STATUS +CLIENT +VERSION +ACTIVE +USER$/);
    expect(rows.map((row) => row.split(' ')[0]).toSorted()).toEqual(opened.toSorted());
    expect(rows.map((row) => row.split(/ +/)[1]).toSorted()).toEqual(opened.map(hashOf).toSorted());
    expect(live.map(({ id, hash }) => [id, hash])).toEqual(live.map(({ id }) => [id, hashOf(String(id))]));
    for (const row of rows) expect(row).toMatch(/ released +raw 7\.1 +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\dT[\d:]{8}Z +-$/);
  });

  test('sees the sessions of the name it is given, and no others', async () => {
    const { start, file } = deployment();
    const { cli, url } = await start('--name', 'tools');
    const { sessionId } = await open(url, 0);
    await stop(cli);
    const ls = (...flags: string[]) =>
      runProcess(['sessions', 'ls', '--json', '--ids', '--store', `sqlite:${file}`, ...flags]);
    expect(linesOf((await ls('--name', 'tools')).stdout)).toMatchObject([{ id: sessionId }]);
    expect(await ls()).toMatchObject({ code: 0, stdout: '' });
  });

  test('shows the name of a user, and ls --user finds the sessions of a name or a key', async () => {
    const { file, sessions } = deployment();
    const cli = startCli(['serve', program('user-server.mjs'), '--store', `sqlite:${file}`, '--port', '0']);
    const url = await cli.url();
    const openAs = async (user: string): Promise<string> => {
      const client = createRawClient(url);
      onTestFinished(() => client.close());
      await client.initialize({ headers: { 'X-User': user } });
      return String(client.sessionId);
    };
    const [ann, bob] = [await openAs('ann'), await openAs('bob')];
    const ls = async (...flags: string[]) =>
      linesOf((await runProcess(['sessions', 'ls', '--json', '--ids', '--store', `sqlite:${file}`, ...flags])).stdout);
    const key = '["sub","","ann"]';
    expect(await ls('--user', 'ann')).toMatchObject([{ id: ann, user: key, userName: 'ann' }]);
    expect(await ls('--user', key)).toMatchObject([{ id: ann }]);
    expect(await ls('--user', 'an')).toEqual([]);
    expect((await ls()).map(({ id }) => id).toSorted()).toEqual([ann, bob].toSorted());
    expect((await sessions('ls')).stdout).toMatch(/ ann$/m);
    const { stdout } = await sessions('show', ann);
    expect(stdout).toMatch(/^user +ann$/m);
    expect(stdout).toMatch(/^user key +\["sub","","ann"\]$/m);
  });

  test('no id is printed unless --ids asks for it, and a session is found by the first digits of its hash', async () => {
    const { start, sessions } = deployment();
    const { cli, url } = await start();
    const { sessionId } = await open(url, 1);
    await stop(cli);
    const hash = hashOf(sessionId);
    for (const what of [['ls'], ['ls', '--json'], ['show', hash], ['show', sessionId, '--json']]) {
      const { code, stdout } = await sessions(...(what as [string]));
      expect(code).toBe(0);
      expect(stdout).toContain(hash);
      expect(stdout).not.toContain(sessionId);
    }
    expect((await sessions('show', hash.slice(0, 6), '--ids')).stdout).toContain(sessionId);
    expect(await sessions('end', hash)).toMatchObject({ code: 0, stdout: `ended ${hash}\n` });
  });

  test('a hash of several sessions is refused, and none is ended', async () => {
    const { start, sessions } = deployment();
    const { cli, url } = await start();
    const hashes = new Map<string, string>();
    let twice: string | undefined;
    while (twice === undefined) {
      const hash = hashOf((await open(url, 0)).sessionId);
      if (hashes.has(hash.slice(0, 4))) twice = hash.slice(0, 4);
      hashes.set(hash.slice(0, 4), hash);
      if (hashes.size > 2_000) throw new Error('no two hashes begin with the same four digits');
    }
    await stop(cli);
    const refused = await sessions('end', twice);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(new RegExp(`^sojourn: 2 sessions have a hash that begins with ${twice}: `));
    expect((await sessions('ls', '--json')).stdout).toContain(hashes.get(twice));
  });

  test('ls finds the sessions of a client, of an owner, and those that were idle', async () => {
    const { start, sessions } = deployment();
    const { url } = await start();
    await open(url, 0, 'cursor-vscode');
    await open(url, 0, 'claude-code');
    const named = async (...flags: string[]): Promise<unknown[]> =>
      linesOf((await sessions('ls', '--json', ...flags)).stdout).map(
        (line) => (line['clientInfo'] as { name: string }).name,
      );
    expect(await named('--client=Cursor')).toEqual(['cursor-vscode']);
    const [{ owner } = {}] = linesOf((await sessions('ls', '--json')).stdout);
    expect(await named(`--owner=${String(owner)}`)).toHaveLength(2);
    expect(await named('--owner=none')).toEqual([]);
    expect(await named('--idle=1h')).toEqual([]);
    expect(await named('--idle=0s')).toHaveLength(2);
    expect(await sessions('ls', '--idle=soon')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--idle takes a time such as 90s, 30m, 2h or 1d; got "soon"') as string,
    });
  });

  test('show tells the keys and sizes of the state, never its values', async () => {
    const { start, sessions } = deployment();
    const { cli, url } = await start();
    const { sessionId } = await open(url, 12);
    await stop(cli);
    const [shown] = linesOf((await sessions('show', sessionId, '--json', '--ids')).stdout);
    expect(shown).toMatchObject({ id: sessionId, status: 'released', epoch: 1, initialized: true, state: { n: 2 } });
    expect(shown).not.toHaveProperty('owner');
    const { code, stdout } = await sessions('show', sessionId);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^state +n \(2 bytes\)$/m);
    expect(stdout).toMatch(/^client +raw 7\.1$/m);
  });

  test('a client cannot write to the terminal by its name', async () => {
    const { start, sessions } = deployment();
    const { url } = await start();
    const { sessionId } = await open(url, 0, 'a\u001b[2J\u009b2J\nb');
    for (const what of [['ls'], ['show', sessionId], ['ls', '--json']]) {
      const { stdout } = await sessions(...(what as [string]));
      expect(stdout).toContain('[2J');
      expect(stdout).not.toMatch(/[^\P{Cc}\n]/u);
    }
  });

  test('end ends a session that is live nowhere, for good', async () => {
    const { start, sessions } = deployment();
    const first = await start();
    const client = await open(first.url, 1);
    const { sessionId } = client;
    await stop(first.cli);
    expect(await sessions('end', sessionId)).toMatchObject({
      code: 0,
      stdout: `ended ${hashOf(sessionId)}\n`,
      stderr: '',
    });
    expect(await sessions('ls', '--json')).toMatchObject({ code: 0, stdout: '' });
    expect((await sessions('show', sessionId)).stdout).toMatch(/ ended \(terminated\) at \d{4}-/);
    expect(await sessions('end', sessionId)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^sojourn: session .* has already ended: .*\n$/) as string,
    });
    const second = await start();
    const later = createRawClient(second.url);
    onTestFinished(() => later.close());
    const { status } = await later.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { sessionId });
    expect(status).toBe(404);
  });

  test('end waits for the lease of an owner that has died, and then ends the session itself', async () => {
    const { start, sessions } = deployment();
    const { cli, url } = await start('--lease-ms', '600');
    const client = await open(url, 1);
    cli.kill('SIGKILL');
    await cli.ended();
    expect(await sessions('end', client.sessionId)).toMatchObject({ code: 0, stderr: '' });
  });

  test('ls and show tell hibernated, released and orphaned sessions apart, and show the process of a live one', async () => {
    const { start, sessions } = deployment();
    const first = await start('--hibernate-after-ms', '100');
    const client = await open(first.url, 2);
    const statuses = async () => linesOf((await sessions('ls', '--json')).stdout).map(({ status }) => status);
    // Each look is a process.
    const shows = (status: string) =>
      until(async () => (await statuses())[0] === status, { pollMs: 500, what: status });
    await shows('hibernated');
    await client.get();
    const shown = (await sessions('show', client.sessionId)).stdout;
    expect(shown).toMatch(/^status +live$/m);
    expect(shown).toMatch(
      new RegExp(`^owner +\\S+ serving, sojourn \\S+, ${hostname()} pid ${first.cli.parent} since .*$`, 'm'),
    );
    expect(shown).toMatch(/^GET stream +opened before, \d messages are kept \(\d+ bytes\)$/m);
    expect(shown).toMatch(/^size +\d{3} bytes: handshake \d+, state and subscriptions \d+$/m);
    const [json] = linesOf((await sessions('show', client.sessionId, '--json')).stdout);
    expect(json).toMatchObject({
      host: hostname(),
      pid: first.cli.parent,
      bytes: { fields: expect.any(Number) as number },
    });
    await stop(first.cli);
    expect(await statuses()).toEqual(['released']);
    // Longer than a busy machine takes to show the session, and short enough to wait for.
    const second = await start('--lease-ms', '4000');
    const later = createRawClient(second.url);
    onTestFinished(() => later.close());
    later.sessionId = client.sessionId;
    later.protocolVersion = client.protocolVersion;
    await later.call('ping');
    expect(await statuses()).toEqual(['live']);
    second.cli.kill('SIGKILL');
    await second.cli.ended();
    await shows('orphaned');
  });

  test('ls --watch prints the list again and again', async () => {
    const { start, file } = deployment();
    const { url } = await start();
    const watching = startCli(['sessions', 'ls', '--watch', '100ms', '--store', `sqlite:${file}`]);
    await until(() => /\n0 sessions/.test(watching.output.stdout), { timeoutMs: 20_000 });
    await open(url, 0);
    await until(() => /\n1 session: 1 live/.test(watching.output.stdout), { what: 'the session' });
    watching.kill('SIGTERM');
    expect(await runProcess(['sessions', 'ls', '--watch', '--json', '--store', `sqlite:${file}`])).toMatchObject({
      code: 2,
    });
  });

  test('instances ls: where each runs, and how many sessions it has live', async () => {
    const { start, file } = deployment();
    const first = await start();
    await open(first.url, 0);
    await open(first.url, 0);
    const ls = (...flags: string[]) => runProcess(['instances', 'ls', '--store', `sqlite:${file}`, ...flags]);
    const [lease] = linesOf((await ls('--json')).stdout);
    expect(lease).toEqual({
      id: expect.any(String) as string,
      state: 'serving',
      version: BUILD_VERSION,
      host: hostname(),
      pid: first.cli.parent,
      startedAt: expect.any(Number) as number,
      runtime: `Node.js ${process.versions.node}`,
      served: true,
      sessions: 2,
    });
    const { stdout } = await ls();
    expect(stdout).toMatch(/^INSTANCE +STATE +VERSION +HOST +PID +STARTED +RUNTIME +SESSIONS\n\S+ +serving .* 2\n$/);
    await stop(first.cli);
    expect((await ls('--json')).stdout).toBe('');
  });

  test('what is not there is not made', async () => {
    const { sessions, file } = deployment();
    expect(await sessions('ls')).toMatchObject({
      code: 1,
      stderr: `sojourn: ${file} does not exist; check the path in --store\n`,
    });
    expect(existsSync(file)).toBe(false);
  });

  test.each(['show', 'end'])('%s of an unknown session: exit code 1', async (what) => {
    const { start, sessions } = deployment();
    await start();
    expect(await sessions(what, 'unknown')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'sojourn: there is no session "unknown" in this store; set --name to the name of its endpoint\n',
    });
  });

  test('the memory store of another process cannot be read: exit code 2', async () => {
    const { code, stderr } = await runProcess(['sessions', 'ls', '--store', 'memory:']);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^sojourn: --store: the memory: store is in the memory of the process that serves the sessions/,
    );
  });
});
