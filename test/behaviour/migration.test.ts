// @module-tag per-session
import type { InitializeRequestParams } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { storeUnavailable } from '../../src/base/errors.ts';
import type { SessionMigrationHandler } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { createHandler, HANDSHAKE, serveMigrating } from '../kit/migrating.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { perFace } from '../kit/sessions.ts';
import { hashOf } from '../kit/log.ts';
import { failure, NOT_FOUND, refusalOf } from '../kit/refusals.ts';

const who = async (client: RawClient): Promise<unknown> =>
  JSON.parse(textOf((await client.call(...tool('who'))).message) ?? 'null');

describe.each(perFace)('over the $face face', ({ face }) => {
  test('B72 onSessionInitialized runs once per initialize, with the id of the header and the whole handshake', async () => {
    const { openSession, initialized } = await serveMigrating(undefined, {}, { face });
    const one = await openSession({
      capabilities: { elicitation: { form: {} }, roots: { listChanged: true } },
      clientInfo: { name: 'moved', version: '3.2.1' },
    });
    await one.call('ping');
    expect(initialized).toEqual([[one.sessionId, HANDSHAKE]]);
  });

  test('B74 B75 B76 B78 a session of another process continues here: same id, same client, asked for once, nothing else seen', async () => {
    const elsewhere = createHandler();
    const first = await serveMigrating(elsewhere, {}, { face });
    const client = await first.openSession({
      capabilities: HANDSHAKE.capabilities,
      clientInfo: HANDSHAKE.clientInfo,
    });
    const second = await serveMigrating(createHandler(elsewhere.table), {}, { face });
    const moved = second.client({ of: client });

    const { response, message } = await moved.call(...tool('who'));
    expect(response.status).toBe(200);
    expect(response.headers('mcp-session-id')).toEqual([client.sessionId]);
    const messages = (await response.untilEnd()).flatMap((event) => event.message ?? []);
    expect(messages).toEqual([message]);
    expect(JSON.parse(textOf(message) ?? '')).toEqual({
      id: client.sessionId,
      version: '2025-11-25',
      clientInfo: HANDSHAKE.clientInfo,
      capabilities: HANDSHAKE.capabilities,
      restored: true,
    });
    expect((await moved.call('ping')).response.status).toBe(200);
    expect(second.asked).toEqual([client.sessionId]);
    expect(second.lab.made.length).toBe(1);
  });

  test('B81 a GET migrates a session too, and serves it', async () => {
    const { moved, lab, asked } = await serveMigrating(undefined, {}, { face });
    const client = moved();
    const stream = await client.get();
    expect(stream.status).toBe(200);
    expect(stream.header('mcp-session-id')).toBe('moved-1');
    await lab.made[0]?.server.server.sendResourceListChanged();
    expect(await stream.nextMessage()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/resources/list_changed',
    });
    expect((await client.call('ping')).response.status).toBe(200);
    expect(asked).toEqual(['moved-1']);
  });
});

test('B73 a failing onSessionInitialized fails the initialize and leaves nothing behind', async () => {
  const migration = createHandler();
  migration.handler.onSessionInitialized = () => Promise.reject(new Error('disk full'));
  const { client, lab, endpoint } = await serveMigrating(migration);
  const { response, message } = await client().initialize();
  expect(response.status).toBe(500);
  expect(response.header('mcp-session-id')).toBeUndefined();
  expect(message).toEqual(
    failure(1, -32603, 'Internal error: sessionMigrationHandler.onSessionInitialized threw'),
  );
  expect(lab.made.map(({ closed }) => closed)).toEqual([true]);
  expect((await endpoint.sessions.list()).sessions).toEqual([]);
});

test('B77 the version that the stored handshake negotiates decides about the form of priming events', async () => {
  const { moved } = await serveMigrating();
  const [newer, older] = [moved('newer', '2025-11-25'), moved('older', '2025-06-18')];
  expect(await who(newer)).toMatchObject({ version: '2025-11-25' });
  expect(await who(older)).toMatchObject({ version: '2025-06-18' });
  const primed = await (await newer.call('ping')).response.untilEnd();
  expect(primed.map(({ id, data }) => [id !== undefined, data === ''])).toEqual([
    [true, true],
    [true, false],
  ]);
  const plain = await (await older.call('ping')).response.untilEnd();
  expect(plain.map(({ id, data }) => [id !== undefined, data === undefined])).toEqual([
    [true, true],
    [true, false],
  ]);
});

test('B82 concurrent requests for one unknown session migrate it once', async () => {
  const migration = createHandler();
  const store = watchedStore();
  const allowing = gate();
  const allow = migration.handler.allowSessionMigration.bind(migration.handler);
  migration.handler.allowSessionMigration = async (...args) => {
    const params = await allow(...args);
    await allowing.hook();
    return params;
  };
  const { moved, lab, asked } = await serveMigrating(migration, { store });
  const client = moved();
  const calls = Array.from({ length: 12 }, () => client.call(...tool('count')));
  await until(() => store.calls.filter(({ call }) => call === 'sessions.read').length === 12);
  allowing.open();
  const answers = await Promise.all(calls);
  expect(answers.map(({ response }) => response.status)).toEqual(calls.map(() => 200));
  expect(answers.map(({ message }) => Number(textOf(message))).toSorted((x, y) => x - y)).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
  ]);
  expect(asked).toEqual(['moved-1']);
  expect(lab.made.length).toBe(1);
});

test('B83 onSessionInitialized is not called again for a migrated session; onSessionEnded is called at its end', async () => {
  const { moved, initialized, ended } = await serveMigrating();
  const client = moved();
  await client.call('ping');
  expect((await client.delete()).status).toBe(200);
  expect(initialized).toEqual([]);
  expect(ended).toEqual([['moved-1', 'deleted']]);
});

describe('B84 a migrated session', () => {
  test('obeys the idle timeout', async () => {
    const time = createFakeTime();
    const { moved, ended, endpoint } = await serveMigrating(undefined, {
      timeProvider: time,
      idleTimeoutMs: 60_000,
    });
    expect((await moved().call('ping')).response.status).toBe(200);
    await time.advance(59_999);
    expect(endpoint.sessions.liveCount).toBe(1);
    await time.advance(5_001);
    expect(ended).toEqual([['moved-1', 'idle']]);
    expect(endpoint.sessions.liveCount).toBe(0);
  });

  test('obeys the idle limit, as victim and as newcomer', async () => {
    const { moved, client, openSession, ended } = await serveMigrating(undefined, {
      maxIdleSessionCount: 1,
    });
    const one = await openSession();
    expect((await moved().call('ping')).response.status).toBe(200);
    expect(ended).toEqual([[one.sessionId, 'idle_limit']]);
    await client().initialize();
    expect(ended.slice(1)).toEqual([['moved-1', 'idle_limit']]);
  });
});

test('B85 B203 the handler of the page on hooks: a session continues for its user alone, until it ends', async () => {
  const rows = new Map<string, { userKey: string | undefined; params: InitializeRequestParams }>();
  const table = {
    put: async (
      id: string,
      row: { userKey: string | undefined; params: InitializeRequestParams },
    ) => rows.set(id, row),
    get: async (id: string) => rows.get(id),
    delete: async (id: string) => rows.delete(id),
  };
  const sessionMigrationHandler: SessionMigrationHandler = {
    onSessionInitialized: async ({ userKey }, id, params) =>
      void (await table.put(id, { userKey, params })),
    allowSessionMigration: async ({ userKey }, id) => {
      const kept = await table.get(id);
      return kept !== undefined && kept.userKey === userKey ? kept.params : null;
    },
    onSessionEnded: async (id, reason) => {
      if (reason !== 'endpoint_closed') await table.delete(id); // else it continues elsewhere
    },
  };
  const start = () =>
    serve(createLab().factory, { sessionMigrationHandler }, { face: 'node', auth: userHeader });
  const [first, second] = [await start(), await start()];
  const before = await first.openSession({}, { headers: { 'x-user': 'alice' } });
  await first.endpoint.close({ timeoutMs: 0 });
  expect([...rows.keys()]).toEqual([before.sessionId]);
  const [bob, alice] = ['bob', 'alice'].map((user) =>
    second.client({ headers: { 'x-user': user } }),
  ) as [RawClient, RawClient];
  const at = { sessionId: before.sessionId };
  expect((await bob.call('ping', {}, at)).response.status).toBe(404);
  expect((await alice.call('ping', {}, at)).response.status).toBe(200);
  // It is checked like any other session from then on.
  for (const other of [bob, second.client()])
    expect((await other.call('ping', {}, at)).response.status).toBe(403);
  expect((await alice.delete(at)).status).toBe(200);
  await until(() => rows.size === 0, { what: 'onSessionEnded' });
});

test('B86 the options callback and the run hook run for a migrated session; the hook knows the client already', async () => {
  const seen: unknown[] = [];
  const { moved, lab } = await serveMigrating(undefined, {
    configureSessionOptions: (request, options) => {
      seen.push(['options', request.headers.get('x-tenant')]);
      options.instructions = 'from the callback';
    },
    runSessionHandler: async (_request, session, run) => {
      const { id, clientInfo, clientCapabilities, protocolVersion } = session;
      seen.push(['run', id, clientInfo, clientCapabilities, protocolVersion]);
      await run();
    },
  });
  await moved('moved-1', '2025-11-25', { 'x-tenant': 'blue' }).call('ping');
  expect(seen).toEqual([
    ['options', 'blue'],
    ['run', 'moved-1', HANDSHAKE.clientInfo, HANDSHAKE.capabilities, '2025-11-25'],
  ]);
  expect(lab.made[0]?.ctx.serverOptions.instructions).toBe('from the callback');
});

/** The handler failed: a call gets an error with its id, a GET is asked to come back. */
async function expectFailed(client: RawClient): Promise<void> {
  const { response, message, id } = await client.call('ping');
  expect([response.status, response.header('sojourn-refused')]).toEqual([200, 'migration_failed']);
  expect(message).toMatchObject({
    id,
    error: { code: -32000, data: { reason: 'migration_failed' } },
  });
  const get = await client.get();
  expect([get.status, get.header('retry-after'), get.json()]).toMatchObject([
    503,
    '1',
    { id: null, error: { data: { reason: 'migration_failed' } } },
  ]);
}

describe('B79 when allowSessionMigration', () => {
  test.each([null, undefined])('returns %s, the answer is 404', async (nothing) => {
    const migration = createHandler();
    migration.handler.allowSessionMigration = () => nothing;
    const { moved } = await serveMigrating(migration);
    const { response, message } = await moved().call('ping');
    expect(response.status).toBe(404);
    expect(message).toEqual(NOT_FOUND);
  });

  const client = { clientInfo: { name: 'a', version: '1' } };
  const throws = (): never => {
    throw new Error('database away');
  };
  test.each<[string, () => unknown, object]>([
    ['returns a string', () => 'yes', { field: 'protocolVersion' }],
    [
      'returns no client info',
      () => ({ protocolVersion: '2025-11-25', capabilities: {} }),
      { field: 'clientInfo' },
    ],
    ['returns no version', () => ({ capabilities: {}, ...client }), { field: 'protocolVersion' }],
    [
      'returns no capabilities',
      () => ({ protocolVersion: '2025-11-25', ...client }),
      { field: 'capabilities' },
    ],
    ['throws', throws, { field: 'allowSessionMigration', err: expect.any(Error) }],
  ])(
    '%s, the call gets an error, the log says why, and the next answer counts',
    async (_, wrong, why) => {
      const migration = createHandler();
      const allow = migration.handler.allowSessionMigration.bind(migration.handler);
      migration.handler.allowSessionMigration = wrong as typeof allow;
      const { moved, log, endpoint } = await serveMigrating(migration);
      const one = moved();
      await expectFailed(one);
      const said = 'err' in why ? /allowSessionMigration threw/ : /./;
      expect(log.matching(said, 'error').map(({ fields }) => fields)).toEqual([
        { sessionId: hashOf('moved-1'), ...why },
        { sessionId: hashOf('moved-1'), ...why },
      ]);
      expect(endpoint.sessions.liveCount).toBe(0);
      migration.handler.allowSessionMigration = allow;
      expect((await one.call('ping')).response.status).toBe(200);
    },
  );
});

test('B82 the no to one caller is not the answer to another who asks at the same time', async () => {
  const migration = createHandler();
  const allow = migration.handler.allowSessionMigration.bind(migration.handler);
  migration.handler.allowSessionMigration = async (request, id, signal) => {
    const params = await allow(request, id, signal);
    return request.headers.get('x-ticket') === 'good' ? params : null;
  };
  const { moved, asked } = await serveMigrating(migration);
  const [bad, good] = [
    moved('moved-1', '2025-11-25', { 'x-ticket': 'bad' }),
    moved('moved-1', '2025-11-25', { 'x-ticket': 'good' }),
  ];
  const answers = await Promise.all([bad.call('ping'), good.call('ping')]);
  expect(answers.map(({ response }) => response.status)).toEqual([404, 200]);
  expect(asked).toEqual(['moved-1', 'moved-1']);
});

test('a call on a migrated session that cannot be recorded waits, and runs once the store is back', async () => {
  const store = watchedStore();
  const { moved, lab, endpoint } = await serveMigrating(undefined, { store });
  let tries = 0;
  store.before['sessions.create'] = () => {
    tries += 1;
    return Promise.reject(storeUnavailable('recording a session', undefined));
  };
  const calling = moved().call('ping');
  await until(() => tries > 1);
  expect(endpoint.sessions.liveCount).toBe(0);
  delete store.before['sessions.create'];
  const { response, message } = await calling;
  expect([response.status, message.result]).toEqual([200, {}]);
  expect(endpoint.sessions.liveCount).toBe(1);
  // Every try that failed closed the server it had made.
  expect(lab.made.map(({ closed }) => closed)).toEqual([
    ...lab.made.slice(1).map(() => true),
    false,
  ]);
});

test('a session that cannot be rebuilt here is kept, and its next request rebuilds it without the handler', async () => {
  let failures = 0;
  const { moved, asked, endpoint } = await serveMigrating(undefined, {
    maxWaitMs: 0,
    configureSessionOptions: () =>
      failures++ === 0 ? Promise.reject(new Error('no tenant')) : undefined,
  });
  const client = moved();
  expect(refusalOf((await client.call('ping')).response)).toBe('restore_failed');
  expect((await endpoint.sessions.get('moved-1'))?.status).toBe('released');
  expect([await who(client), asked]).toEqual([
    expect.objectContaining({ restored: true }),
    ['moved-1'],
  ]);
});
