// @module-tag per-session
/** Resuming from a log that takes its time, as one over a network does. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { storeUnavailable } from '../../src/base/errors.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { toolCall } from '../kit/lab.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { later as passes, passing } from '../kit/moving-time.ts';
import { until } from '../kit/until.ts';
import { serveFleet } from '../kit/fleet.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { inLab } from '../kit/sessions.ts';

async function serveSlow(options: McpEndpointOptions = {}) {
  const store = watchedStore();
  return { store, ...(await inLab({ store, ...options })) };
}

/** The same, and the id at which a GET stream was left. */
async function left(options: McpEndpointOptions = {}) {
  const served = await serveSlow(options);
  const get = await served.one.get();
  const { id: lastEventId = '' } = await get.next();
  get.abort();
  return { ...served, lastEventId };
}

const data = (...streams: RawResponse[]): unknown[] =>
  streams.flatMap(({ events }) => events.flatMap(({ message }) => message?.params?.['data'] ?? []));

describe('B117 what is sent while the log is being read comes once, in its place', () => {
  test.each(['before', 'after'] as const)('%s the log was read', async (when) => {
    const { store, one, say, lastEventId } = await left();
    await say(1);
    const reading = gate();
    store[when]['sessions.replay'] = reading.hook;
    const resuming = one.get({ lastEventId });
    await until(() => reading.waiting === 1);
    await say(2);
    await say(3);
    reading.open();
    const resumed = await resuming;
    await say(4);
    await until(() => data(resumed).includes(4));
    expect(data(resumed)).toEqual([1, 2, 3, 4]);
  });

  test('with a message that is in the log already and acknowledged late', async () => {
    const { store, one, say, lastEventId } = await left();
    const storing = gate();
    store.after['sessions.append'] = storing.hook;
    void say(1);
    await until(() => storing.waiting === 1);
    const resumed = await one.get({ lastEventId });
    await until(() => data(resumed).length === 1);
    storing.open();
    await say(2);
    await until(() => data(resumed).includes(2));
    expect(data(resumed)).toEqual([1, 2]);
  });

  test('and a GET that a resume overtakes before it began has its head, through another instance', async () => {
    const store = watchedStore();
    const [a, b] = await serveFleet(2, { store });
    const one = a.join(await b.openSession());
    const { id: lastEventId = '' } = await (await one.get()).next();
    const [reading, storing] = [gate(), gate()];
    store.after['sessions.replay'] = reading.hook;
    const resuming = one.get({ lastEventId });
    await until(() => reading.waiting === 1);
    store.before['sessions.append'] = storing.hook;
    const opening = one.get();
    await until(() => storing.waiting === 1);
    reading.open();
    expect((await resuming).status).toBe(200);
    storing.open();
    expect((await opening).status).toBe(200);
  });

  test('when a second reader comes while the first is still being served', async () => {
    const { store, one, say, lastEventId } = await left();
    const reading = gate();
    store.after['sessions.replay'] = reading.hook;
    const first = one.get({ lastEventId });
    await until(() => reading.waiting === 1);
    const second = one.get({ lastEventId });
    expect((await one.call('ping')).response.status).toBe(200); // the server has both requests by now
    await say(1);
    reading.open();
    const [older, newer] = await Promise.all([first, second]);
    await say(2);
    await until(() => data(newer).includes(2));
    expect(data(older)).not.toContain(2);
    expect(data(newer)).toEqual([1, 2]);
  });
});

describe('B130 a gap that a slow log shows', () => {
  test('is still found before the head: the GET stream begins anew', async () => {
    const { store, one, say, lastEventId } = await left({ eventRetention: { events: 2 } });
    for (const n of [1, 2, 3]) await say(n);
    const reading = gate();
    store.before['sessions.replay'] = reading.hook;
    const resuming = one.get({ lastEventId });
    await until(() => reading.waiting === 1);
    expect((await one.call('ping')).response.status).toBe(200); // many turns later
    reading.open();
    const anew = await resuming;
    expect(await anew.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
    expect(data(anew)).toEqual([]);
  });

  test('passes the stream from the present reader to a new one: nothing is missed or comes twice', async () => {
    const { store, one, say } = await serveSlow({ eventRetention: { events: 2 } });
    const get = await one.get();
    const { id } = await get.next();
    for (const n of [1, 2, 3]) await say(n);
    const reading = gate();
    store.after['sessions.replay'] = reading.hook;
    const resuming = one.get({ lastEventId: id });
    await until(() => reading.waiting === 1);
    await say(4);
    reading.open();
    const anew = await resuming;
    await say(5);
    await until(() => data(anew).includes(5));
    expect(data(get, anew)).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('a log that cannot be read', () => {
  test('makes its resume wait with a head; the reader that is there stays, and the resume continues when it is back', async () => {
    const { store, one, say } = await serveSlow();
    const get = await one.get();
    const { id } = await get.next();
    let tries = 0;
    store.before['sessions.replay'] = () => {
      tries += 1;
      return Promise.reject(storeUnavailable('reading the log', undefined));
    };
    const resumed = await one.get({ lastEventId: id });
    // A new id for the same position: clients count it as progress.
    expect(await resumed.next()).toEqual({ id: `${id}.r1`, retry: 4_000, data: '' });
    await say(1);
    await until(() => data(get).length === 1 && tries > 1);
    delete store.before['sessions.replay'];
    await until(() => data(resumed).length === 1);
    expect(resumed.events.map((event) => event.id)).toEqual([
      `${id}.r1`,
      `${id}.r2`,
      expect.any(String),
    ]);
  });
});

// session/races has the reader whose stream is complete: that one is answered otherwise.
test('a session that ends while its log is read ends the stream that resumes', async () => {
  const { store, one, lastEventId } = await left();
  const reading = gate();
  store.after['sessions.replay'] = reading.hook;
  const resuming = one.get({ lastEventId });
  await until(() => reading.waiting === 1);
  expect((await one.delete()).status).toBe(200);
  reading.open();
  const resumed = await resuming;
  expect(resumed.status).toBe(200);
  await resumed.untilEnd();
  expect((await one.get({ lastEventId })).status).toBe(404);
});

describe('events that wait for the store', () => {
  /** An event counts four times: the message, its text, and the copies of the store. */
  async function waiting() {
    const store = watchedStore({ durable: true });
    const { one, log, say, lab } = await inLab({ store, limits: { memoryBytes: 8 * 1_048_576 } });
    const get = await one.get();
    await get.next();
    const send = async (count: number, tell = say): Promise<() => void> => {
      const appends = gate();
      store.before['sessions.append'] = appends.hook;
      for (let n = 0; n < count; n++) await tell(`${n}${'x'.repeat(100_000)}`);
      return () => appends.open();
    };
    const dropped = () => log.matching(/Events that wait for the store fill the memory/).length;
    return { one, get, say, send, dropped, lab };
  }

  test('past limits.memoryBytes are dropped, the log and list_changed say so, and the GET stream continues', async () => {
    const { one, get, say, send, dropped } = await waiting();
    const store = await send(30);
    await until(() => dropped() === 1);
    store();
    expect((await one.call('ping')).response.status).toBe(200);
    await get.next(({ data: text = '' }) => text.includes('notifications/tools/list_changed'));
    await say('later');
    await until(() => data(get).includes('later'));
    expect([data(get).length < 30, get.ending]).toEqual([true, undefined]);
  });

  test('are dropped past it although none waits before them', async () => {
    const { get, say, send, dropped } = await waiting();
    (await send(1, () => say('x'.repeat(2_000_000))))();
    await get.next(({ data: text = '' }) => text.includes('notifications/tools/list_changed'));
    await say('later');
    await until(() => data(get).length > 0);
    expect([data(get), dropped()]).toEqual([['later'], 1]);
  });

  test('past it are those of a call dropped: its client, which comes back, gets an error of the call', async () => {
    const { one, send, dropped, lab } = await waiting();
    const call = await one.post(toolCall(7, 'hold'));
    const { ctx, answer } = await lab.held();
    const store = await send(30, (text) => ctx.mcpReq.log('error', text));
    await until(() => dropped() === 1);
    store();
    await call.untilEnd();
    answer('lost');
    await until(async () => {
      const resumed = await one.get({ lastEventId: call.lastId });
      return (await resumed.untilEnd()).some(({ message }) => message?.id === 7);
    });
  });

  test('give their memory back when they are stored', async () => {
    const { get, send, dropped } = await waiting();
    for (let round = 1; round <= 3; round++) {
      (await send(7))();
      await until(() => data(get).length === 7 * round);
    }
    expect(dropped()).toBe(0);
  });
});

test('events that wait for a store that is away are given up when the endpoint closes', async () => {
  const time = createFakeTime();
  const { store, one, say, endpoint } = await serveSlow({ timeProvider: time });
  const get = await one.get();
  await get.next();
  let tries = 0;
  store.before['sessions.append'] = () => {
    tries += 1;
    throw storeUnavailable('appending', undefined);
  };
  void say(1);
  await passes(time, () => tries > 1);
  await passing(time, endpoint.close({ timeoutMs: 0 }), 100);
  const before = tries;
  await time.advance(60_000);
  expect(tries).toBe(before);
});

test('a session whose resume waited in vain can become idle once its reader has left', async () => {
  const { store, one, client, endpoint, lastEventId } = await left({ maxIdleSessionCount: 1 });
  store.before['sessions.replay'] = () =>
    Promise.reject(storeUnavailable('reading the log', undefined));
  const resumed = await one.get({ lastEventId });
  expect(resumed.status).toBe(200);
  resumed.abort();
  await until(async () => {
    await client().initialize();
    return (await one.call('ping')).response.status === 404;
  });
  expect(endpoint.sessions.liveCount).toBe(1);
});
