// @module-tag matrix
/** The examples of sessions, started as their readers start them. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connectNegotiating, connectV2, sessionClients } from '../clients/official.ts';
import { until } from '../kit/until.ts';
import { startExample } from './example-process.ts';

test('examples/session-state hands a session over: its state is kept, its variables start anew', async () => {
  const example = startExample('session-state/handover.ts');
  expect([await example.ended(), example.complaints()]).toEqual([0, '']);
  expect(example.output.stdout.trim().split('\n')).toEqual([
    'tools: add show',
    '1 in the cart',
    'cart: bread (visits: 1)',
    'cart: bread (visits: 2)',
    'handed over: 1 session',
    'cart: bread (visits: 1)',
    'tools: checkout add show',
    'Thank you.',
  ]);
});

test.each(sessionClients)(
  'examples/migration moves the session of the %s client to another process',
  async (...args) => {
    const [, connect] = args;
    const folder = await mkdtemp(join(tmpdir(), 'sojourn-migration-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const [first, second] = [0, 1].map(() => startExample('migration/server.ts', { env: { SESSIONS: folder } }));
    if (first === undefined || second === undefined) throw new Error('unreachable');
    const ada = await connect(await first.url());
    const before = await ada.say('whoami');
    expect(before).toMatch(`official-client in session ${ada.sessionId}, served by process `);
    await ada.client.close();
    expect([await first.stop(), first.complaints()]).toEqual([0, '']);

    const later = await connect(await second.url(), { sessionId: String(ada.sessionId) });
    const after = await later.say('whoami');
    expect(after).toMatch(`official-client in session ${ada.sessionId}, served by process `);
    expect(after).not.toBe(before);
    const stranger = await connect(await second.url(), { sessionId: '../../package' });
    await expect(stranger.callTool('whoami')).rejects.toThrow('Session not found');

    expect(await readdir(folder)).toHaveLength(1);
    await later.terminate();
    // DELETE does not wait for onSessionEnded.
    await until(async () => (await readdir(folder)).length === 0);
  },
);

describe('examples/migration with two processes', () => {
  const twoProcesses = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sojourn-migration-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const start = (env: Record<string, string> = {}) =>
      startExample('migration/server.ts', { env: { SESSIONS: folder, ...env } });
    const copies = async (): Promise<string[]> => {
      const [session] = await readdir(folder);
      return session === undefined ? [] : readdir(join(folder, session, 'copies'));
    };
    return { first: start({ IDLE_MS: '500' }), second: start(), start, copies, folder };
  };

  test('an idle end in the process that the client left keeps a session that the other process serves', async () => {
    const { first, second, start, copies } = await twoProcesses();
    const ada = await connectV2(await first.url());
    const sessionId = String(ada.sessionId);
    await ada.client.close();
    const opened = await copies();
    const atSecond = await connectV2(await second.url(), { sessionId });
    await atSecond.say('whoami');
    expect(await copies()).toEqual(expect.arrayContaining(opened));
    await until(async () => (await copies()).every((copy) => !opened.includes(copy)), {
      what: 'the idle end in the first process',
      timeoutMs: 20_000,
    });

    await atSecond.client.close();
    await second.stop();
    const third = start();
    const atThird = await connectV2(await third.url(), { sessionId });
    expect(await atThird.say('whoami')).toContain(`in session ${sessionId}, served by process `);
    await atThird.client.close();
    const backAtFirst = await connectV2(await first.url(), { sessionId });
    expect(await backAtFirst.say('whoami')).toContain(`in session ${sessionId}, served by process `);
  });

  test('the idle end in the only process that has the session deletes it', async () => {
    const { first, second, folder } = await twoProcesses();
    const ada = await connectV2(await first.url());
    const sessionId = String(ada.sessionId);
    await ada.client.close();
    expect(await readdir(folder)).toHaveLength(1);
    await until(async () => (await readdir(folder)).length === 0, { what: 'the idle end', timeoutMs: 20_000 });
    const late = await connectV2(await second.url(), { sessionId });
    await expect(late.callTool('whoami')).rejects.toThrow('Session not found');
  });
});

test('examples/run-session-handler opens and closes something around each session', async () => {
  const example = startExample('run-session-handler/server.ts');
  const url = await example.url();
  const [ada, bob] = [await connectV2(url), await connectNegotiating(url)];
  expect(bob.protocolVersion()).toBe('2025-11-25');
  expect(await ada.say('write', { line: 'one' })).toBe('1 lines');
  expect(await ada.say('write', { line: 'two' })).toBe('2 lines');
  expect(await bob.say('write', { line: 'mine' })).toBe('1 lines');
  await ada.terminate();
  const lines = () => example.output.stdout.trim().split('\n').slice(1);
  const opened = ['opened for official-client', 'opened for official-client'];
  const ended = ['left: deleted', 'closed for official-client with 2 lines'];
  await until(() => lines().length === 4, { what: 'the end of a session' });
  expect(lines()).toEqual([...opened, ...ended]);
  expect(await example.stop()).toBe(0);
  expect(lines().slice(4)).toEqual(['left: released', 'closed for official-client with 1 lines']);
});

test('examples/around-request runs each handler with the database of its caller', async () => {
  const example = startExample('around-request/server.ts');
  const url = await example.url();
  for (const [connect, token, database] of [
    [connectV2, 'token-of-ada', 'acme-db'],
    [connectNegotiating, 'token-of-bob', 'globex-db'],
  ] as const) {
    const client = await connect(url, {
      fetch: (input, init) => {
        const headers = new Headers(init?.headers);
        headers.set('authorization', `Bearer ${token}`);
        return fetch(input, { ...init, headers });
      },
    });
    expect(await client.say('database')).toBe(database);
    await client.client.close();
  }
  const timed = example.output.stdout.match(/^tools\/call database ok \d+ ms$/gm);
  expect(timed).toHaveLength(2);
  expect(await example.stop()).toBe(0);
});

test('examples/hoisting shows that a factory is cheaper with its schemas outside', async () => {
  const example = startExample('hoisting/measure.ts', { flags: ['--expose-gc'] });
  expect([await example.ended(), example.complaints()]).toEqual([0, '']);
  const [inside, outside] = ['inside', 'outside'].map((name) => {
    const [, kib] = new RegExp(`^${name} +\\d+ µs +(\\S+) KiB$`, 'm').exec(example.output.stdout) ?? [];
    return Number(kib);
  });
  expect(outside).toBeGreaterThan(0);
  expect(inside).toBeGreaterThan(Number(outside));
});
