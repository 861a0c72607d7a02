/** A session that ended stays ended: on every instance, for every late comer. */
import { expect, test } from 'vitest';
import { currentSession, type McpEndpointOptions } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLab } from '../kit/lab.ts';
import { usePerSession } from '../kit/making-servers.ts';
import { HANDSHAKE } from '../kit/migrating.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serve, type Served } from '../kit/serve.ts';
import { inLab, session } from '../kit/sessions.ts';
import { heldTool, said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

// These tests look at the server of each session.
usePerSession();

const IDLE_MS = 60_000;

/** Two instances on one store; the migration handler of both would accept every session. */
async function fleet(more: McpEndpointOptions = {}) {
  const timeProvider = createFakeTime();
  const store = memory();
  const asked: string[] = [];
  const allowSessionMigration = (_request: unknown, id: string) => {
    asked.push(id);
    return HANDSHAKE;
  };
  const sessionMigrationHandler = { allowSessionMigration };
  const options = { timeProvider, store, idleTimeoutMs: IDLE_MS, sessionMigrationHandler, ...more };
  const [one, two] = [await serve(createLab().factory, options), await serve(createLab().factory, options)];
  return { timeProvider, asked, one, two };
}

/** What POST, GET and DELETE of this session get. */
async function statuses({ client }: Served, sessionId: string): Promise<number[]> {
  const visitor = client();
  const { response } = await visitor.call('ping', {}, { sessionId });
  return [response.status, (await visitor.get({ sessionId })).status, (await visitor.delete({ sessionId })).status];
}

const gone = [404, 404, 404];

/** Each ends the session of `client`. */
const ENDS: Readonly<Record<string, (of: Awaited<ReturnType<typeof fleet>>, client: RawClient) => Promise<unknown>>> = {
  'was deleted': async (_, client) => expect((await client.delete()).status).toBe(200),
  'was deleted through the other instance': async ({ two }, { sessionId }) =>
    expect((await two.client().delete({ sessionId })).status).toBe(200),
  'was terminated': async ({ one, two }, { sessionId = '' }) => {
    expect(await two.endpoint.sessions.terminate(sessionId)).toBe(true);
    expect(await one.endpoint.sessions.terminate(sessionId)).toBe(false);
  },
  'was idle for too long': ({ timeProvider }) => timeProvider.advance(IDLE_MS + 5_000),
  'was one too many for the idle limit': ({ one }) => one.client().initialize(),
};

test.each(Object.entries(ENDS))(
  'B216 a session that %s is 404 everywhere, and no handler is asked',
  async (why, end) => {
    const members = await fleet(why.endsWith('limit') ? { maxIdleSessionCount: 1 } : {});
    const { one, two, asked } = members;
    const client = await one.openSession();
    const { sessionId = '' } = client;
    expect((await two.client().call('ping', {}, { sessionId })).response.status).toBe(200);
    await end(members, client);
    expect([await statuses(one, sessionId), await statuses(two, sessionId), asked]).toEqual([gone, gone, []]);
  },
);

test('B216 a session whose server closed itself is 404, and no migration handler is asked', async () => {
  const { one, endpoint, lab } = await inLab({
    sessionMigrationHandler: { allowSessionMigration: () => Promise.reject(new Error('asked')) },
  });
  await lab.made[0]?.server.close();
  await until(() => endpoint.sessions.count === 0);
  expect((await one.call('ping')).response.status).toBe(404);
});

test('B216 after tombstoneMs the migration handler is asked again, and not before', async () => {
  const { one, asked, timeProvider } = await fleet({ tombstoneMs: 600_000 });
  const client = await one.openSession();
  const id = client.sessionId ?? '';
  await client.delete();
  // Another session keeps the sweep running.
  const other = await one.openSession();
  const pass = async (steps: number): Promise<void> => {
    for (let n = 0; n < steps; n++) {
      await timeProvider.advance(IDLE_MS - 10_000);
      await other.call('ping');
    }
  };
  await pass(9);
  expect([await statuses(one, id), asked]).toEqual([gone, []]);
  await pass(4);
  expect((await client.call('ping', {}, { sessionId: id })).response.status).toBe(200);
  expect(asked).toEqual([id]);
});

test('B216 no late write of a handler brings it back', async () => {
  const { tool: wait, calls, release } = heldTool();
  const outcomes: unknown[] = [];
  const write: Tool = async (args, ctx) => {
    const { state } = currentSession() ?? {};
    await wait(args, ctx);
    outcomes.push(await state?.set('late', true).catch((error: { code: string }) => error.code));
    return said('written');
  };
  const { one, endpoint } = await session(toolServer({ write }));
  const written = one.call('tools/call', { name: 'write', arguments: {} });
  await until(() => calls.length === 1);
  expect((await one.delete()).status).toBe(200);
  expect((await written).message.error).toMatchObject({ data: { reason: 'session_ended' } });
  release();
  await until(() => outcomes.length === 1);
  expect(outcomes).toEqual(['SESSION_GONE']);
  expect((await one.call('ping')).response.status).toBe(404);
  expect(await endpoint.sessions.get(one.sessionId ?? '')).toBeUndefined();
  expect(await endpoint.sessions.list()).toEqual({ sessions: [] });
});
