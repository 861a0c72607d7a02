/**
 * What one user can keep from the others by default: half of the places that are free, whatever it sends
 * (`limits.userShare`).
 */
import { expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { serveFleet } from '../kit/fleet.ts';
import { connectSse } from '../kit/legacy-sse.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { perSession } from '../kit/making-servers.ts';
import { bothFaces, serve, userHeader } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { times } from './small-heap.ts';

useSharedStores();

async function start(options: McpEndpointOptions, isPerSession = false) {
  const lab = createLab();
  const given = isPerSession ? perSession(lab.factory) : lab.factory;
  const served = await serve(given, options, { face: 'node', auth: userHeader });
  const as = (user: string) => served.client({ headers: { 'x-user': user }, timeoutMs: 30_000 });
  return { lab, as, ...served };
}

const opened = async (client: RawClient): Promise<number> => (await client.initialize()).response.status;
const echo = tool('echo', { text: 'served' });

test('calls without a session: 200 of a slow tool take half of limits.requests, and the next user is served', async () => {
  const { lab, as } = await start({ limits: { requests: 20 } });
  const eve = as('eve');
  const answers = Array.from({ length: 200 }, () => callModern(eve, ...tool('hold')));
  await lab.held(9);
  const bob = await callModern(as('bob'), ...echo);
  expect(textOf(bob.message)).toBe('served');
  const refused = await callModern(eve, ...echo);
  expect([refused.response.status, refused.response.header('retry-after'), refused.message.error]).toEqual([
    503,
    '1',
    expect.objectContaining({
      message: 'Service Unavailable: this user has its share of 20 places (limits.requests, limits.userShare)',
    }),
  ]);
  await until(() => lab.holds.length >= 10);
  expect(lab.holds).toHaveLength(10);
  for (const hold of lab.holds) hold.answer('done');
  await Promise.all(answers);
  expect(textOf((await callModern(eve, ...echo)).message)).toBe('served');
});

test('sessions of the memory store: one user opens half of limits.sessions, and each next user half of the rest', async () => {
  const { as, endpoint } = await start({ limits: { sessions: 16 }, legacySse: true });
  const clients = Array.from({ length: 60 }, () => as('eve'));
  const statuses = await Promise.all(clients.map(opened));
  expect(statuses.filter((status) => status === 200)).toHaveLength(8);
  const { message } = await as('eve').initialize();
  expect(message.error?.message).toBe(
    'Service Unavailable: this user has its share of 16 places (limits.sessions, limits.userShare)',
  );
  expect((await as('eve').get({ path: '/mcp/sse' })).status).toBe(503);
  for (let n = 0; n < 4; n++) expect(await opened(as('bob'))).toBe(200);
  expect(await opened(as('bob'))).toBe(503);
  expect((await connectSse(as('joe'), '/mcp/sse')).stream.status).toBe(200);
  expect(endpoint.sessions.count).toBe(12);
  await clients.find(({ sessionId }) => sessionId !== undefined)?.delete();
  // What Bob holds is not free for Eve.
  expect(await opened(as('eve'))).toBe(503);
  expect(await opened(as('joe'))).toBe(200);
});

test('sessions of a durable store: a user past its share loses its own idle ones, and no user is shut out', async () => {
  const { lab, as, endpoint } = await start({ store: sharedStore('sqlite')(), limits: { sessions: 16 } }, true);
  const bob = as('bob');
  await bob.initialize();
  for (let n = 0; n < 40; n++) expect(await opened(as('eve'))).toBe(200);
  expect(endpoint.sessions.count).toBe(9);
  expect(lab.made.filter(({ closed }) => closed)).toHaveLength(32);
  // None is free any more for the last of them: those who have more make room.
  for (let n = 0; n < 20; n++) expect(await opened(as(`user ${n}`))).toBe(200);
  expect(endpoint.sessions.count).toBe(16);
  expect((await bob.call(...echo)).response.status).toBe(200);
});

test('subscriptions/listen: one user opens half of limits.subscriptions, also past limits.perUser', async () => {
  const limits = { subscriptions: 8, perUser: { subscriptions: 100 } };
  const { as } = await start({ limits });
  const listen = (user: string) =>
    postModern(as(user), 'subscriptions/listen', { notifications: { toolsListChanged: true } });
  const statuses = [];
  for (let n = 0; n < 20; n++) statuses.push((await listen('eve')).status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(4);
  expect((await listen('eve')).json()).toMatchObject({
    error: { message: expect.stringContaining('(limits.subscriptions, limits.userShare)') },
  });
  expect((await listen('bob')).status).toBe(200);
});

test('the calls of a tool: relayed calls count at the owner, for their own user or address', async () => {
  const limits = { perTool: { hold: { requests: 4 } } };
  const settings = { face: 'node', auth: userHeader } as const;
  const [owner, other] = await serveFleet(2, { limits }, [settings, settings]);
  const open = async (user: string) => {
    const client = await owner.openSession({}, { headers: { 'x-user': user } });
    return other.join(client, { headers: { 'x-user': user } });
  };
  const [eve, again, bob] = [await open('eve'), await open('eve'), await open('bob')];
  const running = [eve.call(...tool('hold')), again.call(...tool('hold'))];
  await owner.lab.held(1);
  const refused = await again.call(...tool('hold'));
  expect(refused.message.error?.message).toContain('the tool "hold" (limits.perTool, limits.userShare)');
  running.push(bob.call(...tool('hold')));
  await owner.lab.held(2);
  expect(owner.lab.holds.length).toBeLessThanOrEqual(3);
  for (const hold of owner.lab.holds) hold.answer('done');
  await Promise.all(running);
});

test('calls that one user leaves running on many sessions count in its share of the memory', async () => {
  const { lab, as } = await start({ limits: { memoryBytes: 2 * 1_048_576 } });
  const body = (id: number) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: tool('hold')[1] });
  let refused = 0;
  for (let n = 0; n < 5; n++) {
    const eve = as('eve');
    await eve.initialize();
    await times(60, 20, async (at) => {
      const response = await eve.post(body(at + 10));
      // Its client may resume, so it continues without a connection.
      if (response.sse) await response.next();
      else refused += 1;
      response.abort();
    });
  }
  // Each takes 12 KiB and more of 1.25 MiB: small requests use the reserve.
  expect(lab.holds.length).toBeLessThan(128);
  expect(lab.holds.length + refused).toBe(300);
  expect(textOf((await callModern(as('bob'), ...echo)).message)).toBe('served');
  for (const hold of lab.holds) hold.answer('done');
});

test('the long answers of one user drop none of another from the event log (memory store)', async () => {
  const { lab, as } = await start({ limits: { eventLogBytes: 1_000_000 } });
  const bob = as('bob');
  await bob.initialize();
  const call = await bob.post(toolCall(1, 'hold'));
  const { id } = await call.next();
  call.abort();
  (await lab.held()).answer('missed');
  // 3 MB in 30 sessions.
  for (let n = 0; n < 30; n++) {
    const eve = as('eve');
    await eve.initialize();
    await eve.call(...tool('echo', { text: 'x'.repeat(100_000) }));
    if (n % 2 === 0) await eve.delete();
  }
  expect(textOf(await (await bob.get({ lastEventId: id })).nextMessage())).toBe('missed');
});

test.each(bothFaces)('callers without a user share by the address of their connection, over %s', async (face) => {
  const { client } = await serve(createLab().factory, { limits: { sessions: 8 } }, { face });
  const from = async (address: string): Promise<number> => opened(client({ from: address }));
  const statuses = await times(20, 4, () => from('127.0.0.2'));
  expect(statuses.filter((status) => status === 200)).toHaveLength(4);
  expect(await from('127.0.0.3')).toBe(200);
});
