// @module-tag per-session
/** Sessions that no client uses: the idle timeout, and the limit of their number. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { DEFAULTS } from '../../src/base/options/table.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { gate } from '../kit/watched-store.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';
import { NOT_FOUND } from '../kit/refusals.ts';
import { inLab } from '../kit/sessions.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A session that begins now, on a clock that the test moves. */
async function sessionOnFakeTime(options: McpEndpointOptions = {}) {
  const time = createFakeTime();
  return { time, ...(await inLab({ timeProvider: time, ...options })) };
}

test('B55 the idle timeout is 2 h and the idle limit 10,000 by default', async () => {
  const { time, endpoint } = await sessionOnFakeTime();
  await time.advance(2 * HOUR - 1);
  expect(endpoint.sessions.liveCount).toBe(1);
  await time.advance(1);
  expect(endpoint.sessions.liveCount).toBe(0);
  expect(DEFAULTS.maxIdleSessionCount).toBe(10_000);
});

test('B55 idle sessions are looked at every 5 s', async () => {
  const { time, one, endpoint } = await sessionOnFakeTime({ idleTimeoutMs: MINUTE });
  await time.advance(1);
  await one.call('ping'); // idle from 1 ms after the first sweep was planned
  await time.advance(MINUTE + 4_998);
  expect(endpoint.sessions.liveCount).toBe(1);
  await time.advance(1);
  expect(endpoint.sessions.liveCount).toBe(0);
});

test('B56 a session idle for longer than the timeout ends: one info line with the hash of its id, then 404', async () => {
  const { time, one, lab, log } = await sessionOnFakeTime({ idleTimeoutMs: MINUTE });
  await time.advance(MINUTE);
  expect(log.matching(/idle|ended/i)).toEqual([
    {
      level: 'info',
      fields: { reason: 'idle', sessionId: hashOf(one.sessionId) },
      message: 'A session ended: no request came for longer than idleTimeoutMs',
    },
  ]);
  const { response, message } = await one.call('ping');
  expect(response.status).toBe(404);
  expect(message).toEqual(NOT_FOUND);
  expect(lab.made.map(({ closed }) => closed)).toEqual([true]);
});

test('B57 the idle clock starts when a request starts, and again when it ends', async () => {
  const { time, one, lab, endpoint } = await sessionOnFakeTime({ idleTimeoutMs: MINUTE });
  const called = one.call(...tool('hold'));
  const call = await lab.held();
  await time.advance(3 * MINUTE);
  expect(endpoint.sessions.liveCount).toBe(1);
  call.answer('late');
  expect(textOf((await called).message)).toBe('late');
  await time.advance(MINUTE - 1);
  expect(endpoint.sessions.liveCount).toBe(1);
  await time.advance(5_000);
  expect(endpoint.sessions.liveCount).toBe(0);
});

test('B58 an infinite timeout ends no session', async () => {
  const { time, one } = await sessionOnFakeTime({ idleTimeoutMs: Infinity, keepAliveMs: Infinity });
  // The default is 2 h, and tombstones last 24 h.
  await time.advance(26 * HOUR);
  expect((await one.call('ping')).response.status).toBe(200);
});

describe('an open stream', () => {
  test('B43 B57 keeps its session; when its client goes away, the idle clock starts', async () => {
    const { time, one, endpoint } = await sessionOnFakeTime({ idleTimeoutMs: MINUTE });
    const stream = await one.get();
    await time.advance(10 * MINUTE);
    expect(endpoint.sessions.liveCount).toBe(1);
    stream.abort();
    // The server hears of it a little later; a sweep cannot come before, because the clock does not move.
    await until(async () => {
      await time.advance(MINUTE);
      return endpoint.sessions.liveCount === 0;
    });
  });
});

const SWEEP = 5_000;

async function onFakeTime(options: McpEndpointOptions) {
  const time = createFakeTime();
  const lab = createLab();
  const served = await serve(lab.factory, { timeProvider: time, ...options });
  const open = async (): Promise<RawClient> => {
    const client = await served.openSession();
    await time.advance(1); // so that no two became idle at the same time
    return client;
  };
  return { time, lab, open, ...served };
}

const status = async (client: RawClient): Promise<number> =>
  (await client.call('ping')).response.status;

test('B60 B65 a limit of 0 is allowed: a session lives while it is used, and its creation never ends it', async () => {
  const { time, open, lab, endpoint } = await onFakeTime({ maxIdleSessionCount: 0 });
  const first = await open();
  expect(await status(first)).toBe(200);
  const second = await open();
  expect(await status(first)).toBe(404);
  expect(await status(second)).toBe(200);
  const called = second.call(...tool('hold'));
  const call = await lab.held();
  await time.advance(SWEEP);
  expect(endpoint.sessions.liveCount).toBe(1);
  call.answer('done');
  expect(textOf((await called).message)).toBe('done');
  await time.advance(SWEEP);
  expect(await status(second)).toBe(404);
});

test('B61 past the limit a new session ends the least recently used session; the others live', async () => {
  const { open } = await onFakeTime({ maxIdleSessionCount: 2 });
  const [a, b] = [await open(), await open()];
  expect(await status(a)).toBe(200); // b is now idle the longest
  const c = await open();
  expect([await status(b), await status(a), await status(c)]).toEqual([404, 200, 200]);
});

test('B57 B61 a notification is a use too', async () => {
  const { open, time } = await onFakeTime({ maxIdleSessionCount: 2 });
  const [a, b] = [await open(), await open()];
  expect((await a.notify('notifications/roots/list_changed')).status).toBe(202);
  await time.advance(1);
  const c = await open();
  expect([await status(b), await status(a), await status(c)]).toEqual([404, 200, 200]);
});

test('B62 each session that had to go is an info line with the hash of its id; the pass is one fatal line with limit and number', async () => {
  const { time, open, log } = await onFakeTime({ maxIdleSessionCount: 1 });
  const opened = [await open(), await open(), await open()];
  expect(log.matching(/Idle limit/).map(({ level, fields }) => ({ level, fields }))).toEqual(
    opened.slice(0, 2).map(({ sessionId }) => ({
      level: 'info',
      fields: { sessionId: hashOf(sessionId), limit: 1 },
    })),
  );
  expect(log.lines.filter(({ level }) => level === 'fatal')).toEqual([]);
  await time.advance(SWEEP);
  const fatal = () =>
    log.lines.filter(({ level }) => level === 'fatal').map(({ fields }) => fields);
  expect(fatal()).toEqual([{ limit: 1, ended: 2 }]);
  await time.advance(10 * SWEEP);
  expect(fatal().length).toBe(1);
  await open();
  await time.advance(SWEEP);
  expect(fatal()).toEqual([
    { limit: 1, ended: 2 },
    { limit: 1, ended: 1 },
  ]);
});

test('B63 a session with a running request or an open GET neither counts nor goes', async () => {
  const { time, open, lab, log, endpoint } = await onFakeTime({ maxIdleSessionCount: 1 });
  const running = await open();
  const called = running.call(...tool('hold'));
  const call = await lab.held();
  const reading = await open();
  const stream = await reading.get();
  const idle = await open();
  const newest = await open(); // only `idle` counted, and went
  expect(await status(idle)).toBe(404);
  await time.advance(SWEEP);
  expect(endpoint.sessions.liveCount).toBe(3);
  expect(log.matching(/Idle limit/).length).toBe(1);
  call.answer('done');
  expect(textOf((await called).message)).toBe('done');
  expect(stream.ending).toBeUndefined();
  expect(await status(newest)).toBe(200);
});

test('B65 the sweep trims to the limit, the longest idle first', async () => {
  const { time, open, lab, endpoint, log } = await onFakeTime({ maxIdleSessionCount: 2 });
  const clients: RawClient[] = [];
  const calls: Array<Promise<unknown>> = [];
  for (let n = 0; n < 4; n++) {
    const client = await open();
    clients.push(client);
    calls.push(client.call(...tool('hold')));
    await lab.held(n);
  }
  const idleInOrder = [2, 0, 3, 1];
  for (const n of idleInOrder) {
    lab.holds[n]?.answer('done');
    await calls[n];
    await time.advance(1);
  }
  expect(endpoint.sessions.liveCount).toBe(4);
  await time.advance(SWEEP);
  expect(endpoint.sessions.liveCount).toBe(2);
  expect(log.matching(/Idle limit/).map(({ fields }) => fields['sessionId'])).toEqual(
    idleInOrder.slice(0, 2).map((n) => hashOf(clients[n]?.sessionId)),
  );
});

describe('a session that is slow to end', () => {
  async function slowToEnd() {
    const { hook, open: finish } = gate();
    const ended: string[] = [];
    const served = await onFakeTime({
      maxIdleSessionCount: 1,
      runSessionHandler: async (_request, session, run) => {
        ended.push(`${session.id} ${await run()}`);
        await hook();
      },
    });
    return { finish, ended, ...served };
  }

  test('B64 keeps the next one waiting until it is disposed of', async () => {
    const { open, client, lab, ended, finish } = await slowToEnd();
    const victim = await open();
    const next = client();
    let answered = false;
    const opening = next.initialize().then(({ response }) => {
      answered = true;
      return response;
    });
    await until(() => ended[0] === `${victim.sessionId} idle_limit`);
    expect((await client().call('ping', undefined, { sessionId: 'unknown' })).response.status).toBe(
      404,
    );
    expect(answered).toBe(false);
    expect(lab.made.length).toBe(1);
    finish();
    expect((await opening).status).toBe(200);
    expect(lab.made.length).toBe(2);
  });

  test('B64 and a client that disconnects in that time gets no session', async () => {
    const { open, client, lab, ended, finish, endpoint } = await slowToEnd();
    await open();
    const next = client();
    const opening = next.initialize().catch((error: Error) => error);
    await until(() => ended.length === 1);
    next.close();
    expect(await opening).toBeInstanceOf(Error);
    // A round trip on another connection: the server has seen this one close since.
    expect((await client().call('ping', undefined, { sessionId: 'unknown' })).response.status).toBe(
      404,
    );
    finish();
    await client().initialize();
    expect(lab.made.length).toBe(2);
    expect(endpoint.sessions.liveCount).toBe(1);
  });
});
