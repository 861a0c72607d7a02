/** A store that renews leases and refuses other calls, as for a missing right or in a full table. */
import Libsql from 'libsql';
import { createClient } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { redis } from '../../packages/redis/src/index.ts';
import { OutageLog } from '../../src/endpoint/outage-log.ts';
import { WatchedStore } from '../../src/endpoint/watched-store.ts';
import { storeUnavailable, storeRefused } from '../../src/base/errors.ts';
import { Notices } from '../../src/base/observe/notices.ts';
import type { EndpointStore } from '../../src/session/record/record-kinds.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveMember } from '../kit/fleet.ts';
import { tool } from '../kit/lab.ts';
import { createLog, type Log } from '../kit/log.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { cut, mend, watchedStore } from '../kit/watched-store.ts';
import { newPath, recordOf } from '../stores/sqlite-views.ts';

const fence = { epoch: 1, owner: 'me' };
const AWAY =
  'The session store cannot be reached, or refuses calls: requests that need it wait up to maxWaitMs';
const BACK = 'The session store is back';
const told = (log: Log): string[] =>
  log.lines
    .filter(({ level }) => level === 'warn' || level === 'info')
    .map(({ message }) => message);

/** Three sessions, on a clock that the test moves. A lease of 3 s is renewed each second. */
async function opened(inner?: Store, leaseMs = 3_000) {
  const time = createFakeTime();
  const store = watchedStore({ durable: true, ...(inner && { inner }) });
  const shared = { store, timeProvider: time, leaseMs, maxWaitMs: 0, keepAliveMs: Infinity };
  const { endpoint, log, port, openSession } = await serveMember(shared);
  const clients = [await openSession(), await openSession(), await openSession()] as const;
  return {
    time,
    store,
    clients,
    list: () => endpoint.sessions.list(),
    outage: () => told(log).filter((line) => line === AWAY || line === BACK),
    /** Each of these clients calls once a second. */
    every: async (ms: number, ...callers: readonly RawClient[]): Promise<void> => {
      for (let at = 0; at < ms; at += 1_000) {
        await Promise.all(callers.map((client) => client.call(...tool('count'))));
        await time.advance(1_000);
      }
    },
    /** Why the instance is not ready, as `/readyz` says too. */
    reason: async (): Promise<string | undefined> => {
      const { reason, store: state } = endpoint.health();
      // `sojourn_store_up`, by which an alert fires
      expect(state).toBe(reason === undefined ? 'ok' : 'unavailable');
      expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(
        reason === undefined ? 200 : 503,
      );
      return reason;
    },
  };
}

test('is not ready once calls of two sessions have failed for 10 s, until a call of that kind succeeds, or none fails for 10 s', async () => {
  const { store, clients, every, reason, time } = await opened();
  const [a, b] = clients;
  // As a store of Redis says it whose user may not write.
  store.before['sessions.append'] = () => Promise.reject(storeRefused('NOPERM'));
  await every(9_000, a, b);
  expect(await reason()).toBeUndefined();
  await every(2_000, a);
  expect(await reason()).toMatch(/^Each append of the session store has failed for 10 s/);
  await time.advance(10_000);
  expect(await reason()).toBeUndefined();
  await every(12_000, a, b);
  expect(await reason()).toMatch(/^Each append of/);
  mend(store);
  await every(1_000, a);
  expect(await reason()).toBeUndefined();
});

test('is ready, and sweeps and lists all others, where records were written by a newer build', async () => {
  const path = newPath();
  const { store, clients, every, list, reason } = await opened(sqlite(path));
  const sessions = store.views[0]?.sessions;
  for (const id of ['newer', 'other']) await sessions?.create(recordOf(id), 1);
  await sessions?.create(recordOf('newer, and living'));
  const file = new Libsql(path);
  file.exec(`UPDATE rows SET data = json_set(data, '$[0]', 99) WHERE id LIKE 'newer%'`);
  file.close();
  for (let n = 0; n < 6; n += 1) {
    await every(5_000, clients[0]);
    expect((await list()).sessions).toHaveLength(clients.length);
  }
  expect(await reason()).toBeUndefined();
  const ends = store.calls.filter(({ call }) => call === 'sessions.end');
  expect(ends.map(({ args }) => args[0])).toEqual(['other']);
  expect(store.calls.map(({ call }) => call)).toContain('once.trim');
});

describeWithServer('redis', 'on Redis', (server) => {
  test('a right that an account loses while it is connected is not ready, until it has the right again', async () => {
    const url = new URL(server().url);
    [url.username, url.password] = ['writer', 'secret'];
    const admin = createClient({ url: server().url });
    await admin.connect();
    onTestFinished(() => admin.destroy());
    const set = (...rights: string[]) => admin.sendCommand(['ACL', 'SETUSER', 'writer', ...rights]);
    await set('on', '>secret', '~*', '&*', '+@all');
    // The lease outlasts a machine that stands still: the server has its own clock.
    const { clients, every, reason } = await opened(redis(url.href), 30_000);
    const [a, b] = clients;
    await set('-rpush');
    await every(12_000, a, b);
    expect(await reason()).toMatch(/^Each append of/);
    await set('+rpush');
    await every(1_000, a);
    expect(await reason()).toBeUndefined();
  });
});

test('is one line of the log, and back when no call has failed for 10 s', async () => {
  const { store, clients, every, outage, time } = await opened();
  cut(store, 'sessions.append');
  await every(30_000, clients[0]);
  expect(outage()).toEqual([AWAY]);
  mend(store);
  await time.advance(8_000);
  expect(outage()).toEqual([AWAY]);
  for (let n = 0; n < 3; n += 1) await time.advance(1_000);
  expect(outage()).toEqual([AWAY, BACK]);
});

test('is back at once where it did not renew leases either', async () => {
  const { store, clients, every, outage, time } = await opened();
  cut(store);
  await every(1_000, clients[0]);
  expect(outage()).toEqual([AWAY]);
  mend(store);
  for (let n = 0; n < 2; n += 1) await time.advance(1_000);
  expect(outage()).toEqual([AWAY, BACK]);
});

test('a session whose own calls fail says nothing about the store, alone or beside another that succeeds', async () => {
  const { store, clients, every, reason } = await opened();
  const [a, b, c] = clients;
  store.before['sessions.append'] = ({ id }: { id: string }): void => {
    if (id !== c.sessionId) throw storeUnavailable('no');
  };
  await every(30_000, a);
  expect(await reason()).toBeUndefined();
  await every(30_000, a, b, c);
  expect(await reason()).toBeUndefined();
});

test('marks that are stored, and appends that are refused, show nothing about events that are not stored', async () => {
  const time = createFakeTime();
  const append = async ({
    id,
    stream,
  }: {
    readonly id: string;
    readonly stream: string | null;
  }): Promise<unknown> => {
    if (id === 'taken') return 'fenced';
    if (stream !== null) throw storeUnavailable('no');
    return 'written';
  };
  const inner = { sessions: { append } } as unknown as EndpointStore;
  const store = new WatchedStore(Promise.resolve(inner), () => inner, {
    timeProvider: time,
    notices: new Notices(),
  });
  await store.open();
  for (let at = 0; at < 12; at += 1) {
    for (const [id, stream] of [
      ['a', 'g'],
      ['b', 'g'],
      ['a', null],
      ['taken', 'g'],
    ] as const)
      await Promise.resolve(
        store.sessions.append({ id, stream, fence, from: 0, events: [] }),
      ).catch(() => {});
    await time.advance(1_000);
  }
  expect(store.reason).toMatch(/^Each append of/);
});

test('calls without a session count alone', async () => {
  const { store, reason, time } = await opened();
  cut(store, 'sessions.due');
  for (let at = 0; at < 20; at += 1) await time.advance(1_000);
  expect(await reason()).toMatch(/^Each due of/);
});

/** The lines of an outage without an endpoint. `full`: what the store says. */
function lines(full: () => boolean = () => false) {
  const [time, log] = [createFakeTime(), createLog()];
  const outage = new OutageLog(
    { logger: log, timeProvider: time, notices: new Notices() },
    { full },
  );
  return { outage, lines: () => told(log) };
}

test('a full store that renews leases is not back before it takes writes', () => {
  let isFull = true;
  const { outage, lines: written } = lines(() => isFull);
  outage.logger.warn({ err: storeUnavailable('it is full') }, 'A call failed');
  outage.renewed(true);
  expect(written()).toEqual([AWAY]);
  isFull = false;
  outage.renewed(true);
  expect(written()).toEqual([AWAY, BACK]);
});

test('an error of the application that is its own cause is a line like any other', () => {
  const { outage, lines: written } = lines();
  let reads = 0;
  const err = Object.defineProperty(new Error('odd'), 'cause', {
    get() {
      if ((reads += 1) > 100) throw new Error('read for ever');
      return err;
    },
  });
  outage.logger.warn({ err }, 'A hook threw');
  expect(written()).toEqual(['A hook threw']);
});
