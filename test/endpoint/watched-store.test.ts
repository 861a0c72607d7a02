/** An instance whose store renews leases and refuses what sessions need is not ready. */
import { createClient } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { WatchedStore } from '../../src/endpoint/watched-store.ts';
import { storeAway } from '../../src/errors.ts';
import type { EndpointStore } from '../../src/session/record/record-kinds.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { Notices } from '../../src/observe/notices.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveMember } from '../kit/fleet.ts';
import { tool } from '../kit/lab.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';

describeWithServer('redis', 'on Redis', (server) => {
  async function loses(command: string): Promise<void> {
    const admin = createClient({ url: server().url });
    await admin.connect();
    onTestFinished(() => admin.destroy());
    await admin.sendCommand(['ACL', 'SETUSER', command, 'on', '>secret', '~*', '&*', '+@all']);
    const url = new URL(server().url);
    [url.username, url.password] = [command, 'secret'];
    const member = await serveMember({
      store: redis(url.href),
      name: `health-${command}`,
      leaseMs: 3_000,
      waitMs: 500,
    });
    const clients = [member.client(), member.client()];
    for (const client of clients) await client.initialize();
    const status = async (): Promise<number> => (await fetch(`http://127.0.0.1:${member.port}/readyz`)).status;
    const calls = async (): Promise<void> => {
      await Promise.allSettled(clients.map((client) => client.call(...tool('count'))));
      await Promise.allSettled([member.client().get({ headers: { 'mcp-session-id': 'unknown' } })]);
    };
    await calls();
    expect([command, await status()]).toEqual([command, 200]);

    await admin.sendCommand(['ACL', 'SETUSER', command, `-${command}`]);
    await until(async () => (await calls(), (await status()) === 503), {
      what: `to be not ready without ${command}`,
      timeoutMs: 60_000,
      pollMs: 50,
    });
    const { state, reason } = member.endpoint.health();
    expect([command, state, reason]).toEqual([command, 'serving', expect.stringMatching(/has failed for 10 s/)]);

    await admin.sendCommand(['ACL', 'SETUSER', command, `+${command}`]);
    await until(async () => (await calls(), (await status()) === 200), {
      what: `to be ready with ${command}`,
      timeoutMs: 8_000,
    });
  }

  test(
    'an account that may not write to the event log, or look for due records, is not ready until the first success',
    { timeout: 120_000 },
    async () => {
      // Two endpoints that wait for 10 s each.
      await Promise.all(['rpush', 'zrangebyscore'].map(loses));
    },
  );
});

async function watched() {
  const time = createFakeTime();
  let away = true;
  const call = async (): Promise<unknown> => {
    if (away) throw storeAway('no');
    return 'written';
  };
  const opened = { sessions: { save: call, due: call, append: call } } as unknown as EndpointStore;
  const store = new WatchedStore(Promise.resolve(opened), () => opened, { timeProvider: time, notices: new Notices() });
  await store.open();
  const fence = { epoch: 1, owner: 'me' };
  const append = (id: string): unknown => store.sessions.append({ id, fence, stream: 'g', from: 0, events: [] });
  const every = async (ms: number, ...calls: Array<() => unknown>): Promise<void> => {
    for (let at = 0; at < ms; at += 1_000) {
      await Promise.allSettled(calls.map((one) => one()));
      await time.advance(1_000);
    }
  };
  return { store, append, fence, every, works: (is: boolean) => (away = !is), time };
}

test('a session whose own calls fail says nothing about the store, however long', async () => {
  const { store, append, every } = await watched();
  await every(60_000, () => append('a'));
  expect(store.reason).toBeUndefined();
});

test('calls of two sessions that fail for 10 s do, until a call of the same kind succeeds', async () => {
  const { store, append, fence, every, works } = await watched();
  await every(
    9_000,
    () => append('a'),
    () => append('b'),
  );
  expect(store.reason).toBeUndefined();
  await every(2_000, () => append('a'));
  expect(store.reason).toMatch(/^Each append of/);
  works(true);
  await store.sessions.save('a', fence, {});
  expect(store.reason).toMatch(/^Each append of/);
  await append('a');
  expect(store.reason).toBeUndefined();
});

test('marks that are stored show nothing about events that are not', async () => {
  const { store, append, fence, every, works } = await watched();
  const mark = { id: 'a', fence, stream: null, from: 0, events: [] };
  await every(
    12_000,
    () => append('a'),
    () => append('b'),
    () => (works(true), store.sessions.append(mark)),
    () => works(false),
  );
  expect(store.reason).toMatch(/^Each append of/);
});

test('a session that fails beside another that succeeds does not count', async () => {
  const { store, append, every, works } = await watched();
  await every(
    30_000,
    () => append('a'),
    () => append('b'),
    () => (works(true), append('c')),
    () => works(false),
  );
  expect(store.reason).toBeUndefined();
});

test('calls without a session count alone, and are forgotten 10 s after the last failure', async () => {
  const { store, every, time } = await watched();
  await every(12_000, () => store.sessions.due(1));
  expect(store.reason).toMatch(/^Each due of/);
  await time.advance(10_000);
  expect(store.reason).toBeUndefined();
});
