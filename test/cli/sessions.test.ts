/** `sojourn sessions …` and `instances ls` on the file of a server. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import Libsql from 'libsql';
import { describe, expect, test, vi } from 'vitest';
import type { RecordRows, SessionRow } from '../../src/dashboard/wire.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { timestamp } from '../../src/cli/records/printing.ts';
import { BUILD_VERSION } from '../../src/base/protocol/versions.ts';
import { mount, valueOf } from '../kit/dashboard.ts';
import { say } from '../kit/lab.ts';
import { createLog, hashOf } from '../kit/log.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { Served } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { program, runProcess, startCli } from './cli-process.ts';
import { linesOf, newFile } from './here.ts';
import { openClient } from '../kit/listening.ts';

const TIME = /^\d{4}-\d\d-\d\dT[\d:]{8}Z$/;

const counting = toolServer(
  {},
  (server, { session }) =>
    void server.registerTool('count', {}, async () =>
      said(await session?.state.update('n', (n: number | undefined) => (n ?? 0) + 1)),
    ),
);

function deployment() {
  const { file, env, run, serve } = newFile();
  return {
    file,
    env,
    run,
    start: (options?: McpEndpointOptions) => serve(counting, options),
    ls: async (...flags: string[]) =>
      linesOf((await run('sessions', 'ls', '--json', ...flags)).stdout),
  };
}

async function open(
  { client: clientOf }: Pick<Served, 'client'>,
  { name = 'raw', calls = 0, user }: { name?: string; calls?: number; user?: string } = {},
): Promise<RawClient & { sessionId: string }> {
  const client = clientOf({ headers: { 'X-User': user } });
  await client.initialize({ clientInfo: { name, version: '7.1' } });
  for (let n = 0; n < calls; n++) await say(client, 'count');
  return client as RawClient & { sessionId: string };
}

/** The hashes of the first two begin with the same four digits, that of the third does not. */
function idsOfOneHash(): [string, string, string] {
  const seen = new Map<string, string>();
  for (let n = 0; ; n++) {
    const id = `session-${String(n).padStart(22, '0')}`;
    const digits = hashOf(id).slice(0, 4);
    const before = seen.get(digits);
    if (before !== undefined)
      return [before, id, [...seen.values()].find((one) => one !== before) ?? ''];
    seen.set(digits, id);
  }
}

describe('sojourn sessions', () => {
  test('ls lists every session, page by page, live ones with their owner; ids only with --ids', async () => {
    const { start, run, ls } = deployment();
    const served = await start();
    const opened: string[] = [];
    for (let n = 0; n < 120; n++) opened.push((await open(served)).sessionId);
    const live = await ls('--ids');
    expect(live.map(({ id }) => id).toSorted()).toEqual(opened.toSorted());
    expect(new Set(live.map(({ status }) => status))).toEqual(new Set(['live']));
    expect(live[0]).toMatchObject({
      owner: served.endpoint.health().instance,
      clientInfo: { name: 'raw', version: '7.1' },
    });
    expect(live.map(({ hash }) => hash)).toEqual(live.map(({ id }) => hashOf(String(id))));
    await served.endpoint.drain({ timeoutMs: 0 });
    const { code, stdout, stderr } = await run('sessions', 'ls');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [head, ...rest] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^HASH +STATUS +CLIENT +VERSION +ACTIVE +USER$/);
    expect(rest.slice(-2)).toEqual(['', '120 sessions: 120 released']);
    const rows = rest.slice(0, -2);
    expect(rows.map((row) => row.split(/ +/)[0]).toSorted()).toEqual(opened.map(hashOf).toSorted());
    for (const row of rows)
      expect(row).toMatch(/ released +raw 7\.1 +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\dT[\d:]{8}Z +-$/);
    const withIds = (await run('sessions', 'ls', '--ids')).stdout;
    expect(withIds).toMatch(/^ID +HASH /);
    for (const id of opened)
      expect([withIds.includes(id), stdout.includes(id)]).toEqual([true, false]);
  });

  test('ls finds the sessions of a user and of a name', async () => {
    const { start, run, ls } = deployment();
    const auth = { trustedProxyUser: { header: 'x-user', from: ['127.0.0.0/8', '::1/128'] } };
    const served = await start({ auth });
    await open(served, { name: 'cursor-vscode', user: 'ann' });
    await open(served, { name: 'claude-code', user: 'bob' });
    const key = '["sub","","ann"]';
    for (const user of ['ann', key])
      expect(await ls('--user', user)).toMatchObject([
        { userKey: key, userName: 'ann', clientInfo: { name: 'cursor-vscode' } },
      ]);
    expect(await ls()).toHaveLength(2);
    for (const none of [
      ['--user', 'an'],
      ['--deployment', 'other'],
    ])
      expect(await ls(...none)).toEqual([]);
    expect((await run('sessions', 'ls')).stdout).toMatch(/ ann$/m);
    const wrong = '--wait: got "soon", takes a number of ms, 0 or more';
    expect(await run('sessions', 'end', 'x', '--wait=soon')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(wrong) as string,
    });
  });

  test('show prints JSON: the keys and sizes of the state, never its values', async () => {
    const { start, run } = deployment();
    const served = await start();
    const client = await open(served, { calls: 12 });
    await client.get();
    const shown = JSON.parse(
      (await run('sessions', 'show', hashOf(client.sessionId))).stdout,
    ) as object;
    expect(shown).toMatchObject({
      hash: hashOf(client.sessionId),
      status: 'live',
      owner: served.endpoint.health().instance,
      ownerState: 'serving',
      host: hostname(),
      pid: process.pid,
      epoch: 1,
      initialized: true,
      createdAt: expect.stringMatching(TIME) as string,
      activeAt: expect.stringMatching(TIME) as string,
      expiresAt: expect.stringMatching(TIME) as string,
      state: { n: 2 },
      getStream: true,
      bytes: { handshake: expect.any(Number) as number, fields: expect.any(Number) as number },
    });
    expect(shown).not.toHaveProperty('id');
    const withId = (await run('sessions', 'show', '--ids', '--', client.sessionId)).stdout;
    expect(JSON.parse(withId)).toMatchObject({ id: client.sessionId, state: { n: 2 } });
    await served.endpoint.drain({ timeoutMs: 0 });
    const released = JSON.parse(
      (await run('sessions', 'show', '--', client.sessionId)).stdout,
    ) as object;
    expect(released).toMatchObject({ status: 'released' });
    expect(released).not.toHaveProperty('owner');
  });

  test('a session is found by the first digits of its hash; a hash of several is refused, and none is ended', async () => {
    const { start, run, ls } = deployment();
    const [one, other, third] = idsOfOneHash();
    const twice = hashOf(one).slice(0, 4);
    const opened = [one, other, third];
    const ids = [...opened];
    const served = await start({ sessionIdGenerator: () => ids.shift() ?? '' });
    for (const id of opened) expect((await open(served)).sessionId).toBe(id);
    await served.endpoint.drain({ timeoutMs: 0 });
    const refused = await run('sessions', 'end', twice);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      new RegExp(`^sojourn: 2 sessions have a hash that begins with ${twice}: `),
    );
    const named = hashOf(third);
    expect(await run('sessions', 'end', named.slice(0, 6))).toMatchObject({
      code: 0,
      stdout: `ended ${named}\n`,
    });
    expect((await ls()).map(({ hash }) => hash).toSorted()).toEqual(
      [one, other].map(hashOf).toSorted(),
    );
  });

  test('damaged records are named, and hide no other from a list', async () => {
    const { start, run, ls, file } = deployment();
    const log = createLog();
    const served = await start({ logger: log });
    const port = await mount(served.endpoint);
    const whole = await open(served);
    const old = await open(served);
    const damages = [
      `data = '{'`,
      `body = 'null'`,
      `body = '{'`,
      `body = json_set(body, '$.clientInfo.name', 7)`,
      ...['7', '[7]', '{'].map((head) => `data = json_set(data, '$[4]', '${head}')`),
      `data = json_set(data, '$[5]', json('{"sx":"1"}'))`,
    ];
    const damaged: string[] = [];
    const database = new Libsql(file);
    for (const damage of damages) {
      const { sessionId } = await open(served);
      damaged.push(hashOf(sessionId));
      database.exec(`UPDATE rows SET ${damage} WHERE id = '${sessionId}'`);
    }
    database.exec(
      `UPDATE rows SET data = json_set(data, '$[7]', 9e18) WHERE id = '${old.sessionId}'`,
    );
    database.close();
    const hashes = [whole, old].map(({ sessionId }) => hashOf(sessionId)).toSorted();
    const errors = vi.spyOn(console, 'error').mockReturnValue();
    expect((await ls()).map(({ hash }) => hash).toSorted()).toEqual(hashes);
    const told = errors.mock.calls.flat().join('\n');
    expect((await run('sessions', 'ls')).stdout).toMatch(/\n2 sessions: 2 live\n$/);
    errors.mockRestore();
    expect((await served.endpoint.sessions.list()).sessions).toHaveLength(2);
    const { rows, unreadable } = await valueOf<RecordRows<SessionRow>>(port, 'sessions');
    expect([rows.map(({ hash }) => hash).toSorted(), unreadable.toSorted()]).toEqual([
      hashes,
      damaged.toSorted(),
    ]);
    const lines = log.matching(/^A record in the store cannot be read/, 'error');
    for (const hash of damaged) {
      expect(told).toContain(
        `cannot be read, and is left as it is { kind: 'sessions', record: '${hash}'`,
      );
      expect(lines.map(({ fields }) => fields['record'])).toContain(hash);
      const { code, stderr } = await run('sessions', 'show', hash);
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^sojourn: .*(is damaged: |there is no session )/),
      ]);
    }
  });

  test('a client cannot write to the terminal by its name', async () => {
    const { start, run, ls } = deployment();
    const name = 'a\u001b[2J\u009b2J\u202e\u{e0001}\nb';
    const { sessionId } = await open(await start(), { name });
    for (const what of [['ls'], ['show', '--', sessionId], ['ls', '--json']]) {
      const { stdout } = await run('sessions', ...what);
      expect(stdout).toContain('[2J');
      expect(stdout).not.toMatch(/[^\P{Cc}\n]|\u202e/u);
    }
    expect(await ls()).toMatchObject([{ clientInfo: { name } }]);
  });

  test('end ends a session that is live nowhere, for good', async () => {
    const { start, run, ls } = deployment();
    const first = await start();
    const { sessionId } = await open(first);
    await first.endpoint.drain({ timeoutMs: 0 });
    const hash = hashOf(sessionId);
    expect(await run('sessions', 'end', '--', sessionId)).toEqual({
      code: 0,
      stdout: `ended ${hash}\n`,
      stderr: '',
    });
    expect(await ls()).toEqual([]);
    expect(JSON.parse((await run('sessions', 'show', '--', sessionId)).stdout)).toMatchObject({
      hash,
      ended: 'terminated',
    });
    expect(await run('sessions', 'end', '--', sessionId)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^sojourn: session .* has already ended \(terminated\) at 2.*\n$/,
      ) as string,
    });
    const later = (await start()).client();
    expect(
      (await later.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { sessionId })).status,
    ).toBe(404);
  });

  test('instances: where each runs, and how many sessions it has live', async () => {
    const { start, run } = deployment();
    const served = await start();
    await open(served);
    await open(served);
    const [lease] = linesOf((await run('instances', 'ls', '--json')).stdout);
    expect(lease).toMatchObject({
      id: served.endpoint.health().instance,
      state: 'serving',
      version: BUILD_VERSION,
      host: hostname(),
      pid: process.pid,
      startedAt: expect.any(Number) as number,
      runtime: `Node.js ${process.versions.node}`,
      sessions: 2,
    });
    const startedAt = timestamp(Number(lease?.['startedAt']));
    const { stdout: shown } = await run(
      'instances',
      'show',
      '--',
      String(lease?.['id']).slice(0, 6),
    );
    expect(JSON.parse(shown)).toEqual({ ...lease, startedAt });
    const { stdout } = await run('instances', 'ls');
    expect(stdout).toMatch(
      /^INSTANCE {10}STATE +VERSION +HOST +PID +STARTED +RUNTIME +SESSIONS\n\S+ +serving .* 2\n$/,
    );
    // The id of an instance that lost its lease ends with a number.
    expect(stdout.split('\n')[1]?.indexOf('serving')).toBe(18);
    await served.endpoint.close({ timeoutMs: 0 });
    expect((await run('instances', 'ls', '--json')).stdout).toBe('');
  });

  test('what is not there is not made, and names no record', async () => {
    const { start, run, file } = deployment();
    expect(await run('sessions', 'ls')).toMatchObject({
      code: 1,
      stderr: `sojourn: ${file} does not exist; check the path in SOJOURN_STORE\n`,
    });
    expect(existsSync(file)).toBe(false);
    await start();
    for (const verb of ['show', 'end'])
      expect(await run('sessions', verb, 'unknown')).toEqual({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(
          /^sojourn: there is no session "unknown" in this store: .*; set --deployment /,
        ) as string,
      });
    expect(await run('sessions', 'ls', '--store', 'memory:')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        '--store: the memory: store is in the memory of the process',
      ) as string,
    });
  });
});

test('real processes: a session is listed live, then orphaned, and is ended once its owner counts as dead', async () => {
  const { env } = deployment();
  const cli = startCli(
    ['serve', program('durable-server.mjs'), '--port', '0', '--lease-ms', '2000'],
    { env },
  );
  const url = await cli.url();
  const { sessionId } = await open({ client: (options) => openClient(url, options) });
  const ls = async (): Promise<string> => (await runProcess(['sessions', 'ls'], { env })).stdout;
  expect(await ls()).toContain('\n1 session: 1 live');
  cli.kill('SIGKILL');
  await until(async () => (await ls()).includes('\n1 session: 1 orphaned'), { pollMs: 500 });
  const ended = await runProcess(['sessions', 'end', hashOf(sessionId)], { env });
  expect(ended).toMatchObject({ code: 0, stdout: `ended ${hashOf(sessionId)}\n`, stderr: '' });
});
