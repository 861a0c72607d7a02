import { describe, expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import { usePerSession } from '../kit/making-servers.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createHandler, serveMigrating } from '../kit/migrating.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { NOT_FOUND } from '../kit/refusals.ts';

// These tests look at the server of each session.
usePerSession();

/** The handler failed: a call gets an error with its id, a GET is asked to come back. */
async function expectFailed(client: RawClient): Promise<void> {
  const { response, message, id } = await client.call('ping');
  expect([response.status, response.header('sojourn-refused')]).toEqual([200, 'migration_failed']);
  expect(message).toMatchObject({ id, error: { code: -32000, data: { reason: 'migration_failed' } } });
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
    ['returns no client info', () => ({ protocolVersion: '2025-11-25', capabilities: {} }), { field: 'clientInfo' }],
    ['returns no version', () => ({ capabilities: {}, ...client }), { field: 'protocolVersion' }],
    ['returns no capabilities', () => ({ protocolVersion: '2025-11-25', ...client }), { field: 'capabilities' }],
    ['throws', throws, { field: 'allowSessionMigration', err: expect.any(Error) }],
  ])('%s, the call gets an error, the log says why, and the next answer counts', async (_, wrong, why) => {
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
    expect(endpoint.sessions.count).toBe(0);
    migration.handler.allowSessionMigration = allow;
    expect((await one.call('ping')).response.status).toBe(200);
  });
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
    return Promise.reject(storeAway('recording a session', undefined));
  };
  const calling = moved().call('ping');
  await until(() => tries > 1);
  expect(endpoint.sessions.count).toBe(0);
  delete store.before['sessions.create'];
  const { response, message } = await calling;
  expect([response.status, message.result]).toEqual([200, {}]);
  expect(endpoint.sessions.count).toBe(1);
  // Every try that failed closed the server it had made.
  expect(lab.made.map(({ closed }) => closed)).toEqual([...lab.made.slice(1).map(() => true), false]);
});
