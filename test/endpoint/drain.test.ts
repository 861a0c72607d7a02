import { describe, expect, test } from 'vitest';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { say, textOf, tool } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { readScrape } from '../kit/prometheus.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate } from '../kit/watched-store.ts';

async function onFakeTime(size: number, options: McpEndpointOptions = {}) {
  const time = createFakeTime();
  const [a, b] = await serveFleet(size, { timeProvider: time, keepAliveMs: Infinity, ...options });
  return { time, a: a as Member, b: b as Member };
}

/** A session whose call runs while its instance drains. */
async function drainBusy(member: Member) {
  const busy = await member.openSession();
  const called = busy.call(...tool('hold'));
  const call = await member.lab.held();
  return { busy, called, call, draining: member.endpoint.drain({ timeoutMs: 10_000 }) };
}

test('a drain does not wait for a listen stream', async () => {
  const { a } = await onFakeTime(1);
  const listening = await postModern(a.client(), 'subscriptions/listen', {
    notifications: { toolsListChanged: true },
  });
  await listening.nextMessage();
  expect(await a.endpoint.drain({ timeoutMs: 10_000 })).toEqual({ released: 0, interrupted: 0 });
});

test('a drain that is too short ends a call of 2026-07-28 with the reason draining, as one of a session', async () => {
  const { a } = await onFakeTime(2);
  const called = callModern(a.client(), ...tool('hold'));
  await a.lab.held();
  expect(await a.endpoint.drain({ timeoutMs: 0 })).toMatchObject({ interrupted: 1 });
  expect((await called).message.error?.data).toEqual({ reason: 'draining', mayHaveRun: true });
});

test('a drain that is over before the server of a call is made ends the call with the reason draining', async () => {
  const made = gate();
  const serverOf = toolServer({ any: () => said('ran') });
  const factory = async (ctx: McpEndpointContext) => (await made.hook(), serverOf(ctx));
  const { endpoint, client } = await serve(factory, {});
  const called = callModern(client(), ...tool('any'));
  await until(() => made.waiting === 1);
  await endpoint.drain({ timeoutMs: 0 });
  made.open();
  expect((await called).message.error?.data).toEqual({ reason: 'draining', mayHaveRun: false });
});

describe('drain() beside another instance', () => {
  test('gives idle sessions back at once; their GETs end, and their clients need not wait', async () => {
    const { a, b } = await onFakeTime(2, { retryMs: 777 });
    const reading = await a.openSession();
    const clients = [reading, await a.openSession(), await a.openSession()];
    const stream = await reading.get();
    expect(await a.endpoint.drain()).toEqual({ released: 3, interrupted: 0 });
    await stream.untilEnd();
    const last = stream.events.at(-1);
    expect([stream.ending, last?.retry, last?.data]).toEqual(['complete', 100, '']);
    expect(last?.id).not.toBe(stream.events[0]?.id);
    expect((await b.join(reading).get({ lastEventId: last?.id })).status).toBe(200);
    for (const client of clients)
      expect((await b.join(client).call('ping')).response.status).toBe(200);
    expect([a.endpoint.sessions.liveCount, b.endpoint.sessions.liveCount]).toEqual([0, 3]);
  });

  test('serves a busy session until its call is answered', async () => {
    const { time, a, b } = await onFakeTime(2);
    const idle = await a.openSession();
    const { busy, called, call, draining } = await drainBusy(a);
    await until(() => a.endpoint.sessions.liveCount === 1);
    expect(a.endpoint.health()).toMatchObject({ state: 'draining' });
    // Its own requests are still taken, here and through the other instance; the idle one has moved.
    expect((await busy.call('ping')).response.status).toBe(200);
    expect(await say(b.join(busy), 'count')).toBe('1');
    expect((await idle.call('ping')).response.status).toBe(200);
    expect([a.lab.made.length, b.lab.made.length]).toEqual([2, 1]);
    call.answer('in time');
    expect(textOf((await called).message)).toBe('in time');
    await time.advance(1_000);
    expect(await draining).toEqual({ released: 2, interrupted: 0 });
    expect(await say(b.join(busy), 'count')).toBe('2');
  });

  test.each(['owner', 'other'])(
    'near its end lets a session go whose calls overlap: the next call waits for the running one (client at the %s)',
    async (via) => {
      const { time, a, b } = await onFakeTime(2, { metrics: true });
      const near = await a.openSession();
      const client = via === 'owner' ? near : b.join(near);
      const first = client.call(...tool('hold'));
      const running = await a.lab.held();
      const draining = a.endpoint.drain({ timeoutMs: 10_000 });
      await time.advance(4_000);
      expect(await say(client, 'count')).toBe('1');
      // The drain looks at its clock each 25 ms.
      for (let n = 0; n < 20; n++) await time.advance(100);
      const second = client.call(...tool('hold'));
      await until(() => readScrape(a.endpoint.metrics()).sum('sojourn_waiting_requests') === 1);
      running.answer('in time');
      expect(textOf((await first).message)).toBe('in time');
      await until(async () => (await time.advance(100), b.lab.holds.length === 1));
      b.lab.holds[0]?.answer('moved');
      expect(textOf((await second).message)).toBe('moved');
      await time.advance(1_000);
      expect(await draining).toEqual({ released: 1, interrupted: 0 });
      expect([a.lab.holds.length, b.lab.holds.length]).toEqual([1, 1]);
    },
  );

  test('ends what still runs at the deadline with an error that says so; the session stays', async () => {
    const { time, a, b } = await onFakeTime(2);
    const { busy, called, call, draining } = await drainBusy(a);
    const { ctx } = call;
    await time.advance(9_999);
    expect(ctx.mcpReq.signal.aborted).toBe(false);
    await time.advance(100);
    expect(await draining).toEqual({ released: 1, interrupted: 1 });
    expect(a.log.matching(/interrupted calls/, 'warn')).toMatchObject([
      { fields: { interrupted: 1 } },
    ]);
    // A store in this process has no other instance to join.
    expect(a.log.matching(/joined/)).toEqual([]);
    const { response, message } = await called;
    expect(message.error).toMatchObject({
      code: -32000,
      data: { reason: 'draining', mayHaveRun: true },
    });
    await response.untilEnd();
    expect(ctx.mcpReq.signal.aborted).toBe(true);
    // The error is the stream's last event: a client that had lost the connection reads it at the other instance.
    const onB = b.join(busy);
    const replayed = await onB.get({ lastEventId: response.events[0]?.id });
    await replayed.untilEnd();
    expect(replayed.events.flatMap(({ message: one }) => one ?? [])).toEqual([message]);
    expect((await onB.call('ping')).response.status).toBe(200);
  });

  test('of the last one: it serves on, also the sessions that another gave back as it went', async () => {
    const [a, b] = await serveFleet(2);
    const other = await b.openSession();
    const { called, call, draining } = await drainBusy(a);
    await until(() => a.endpoint.health().state === 'draining');
    expect(await b.endpoint.drain()).toEqual({ released: 1, interrupted: 0 });
    expect((await a.join(other).call('ping')).response.status).toBe(200);
    call.answer('done');
    expect(textOf((await called).message)).toBe('done');
    expect(await draining).toEqual({ released: 2, interrupted: 0 });
  });

  test('once it is drained: an error to a request of a session, no answer to a GET, 503 to the others', async () => {
    const [a] = await serveFleet(2);
    const one = await a.openSession();
    await a.endpoint.drain();
    const { response, message } = await one.call('ping');
    expect([response.status, response.header('sojourn-refused'), message.error]).toMatchObject([
      200,
      'draining',
      { code: -32000, data: { reason: 'draining' } },
    ]);
    await expect(one.get()).rejects.toThrow();
    const answers = [
      (await a.client().initialize()).response,
      (await callModern(a.client(), 'tools/list')).response,
      await one.delete(),
    ];
    for (const answer of answers) {
      expect([answer.status, answer.header('retry-after'), answer.json()]).toMatchObject([
        503,
        '1',
        { error: { code: -32000, data: { reason: 'draining' } } },
      ]);
    }
  });

  test('is one drain, however often it is asked for', async () => {
    const [a] = await serveFleet(2);
    await a.openSession();
    const [first, second] = [a.endpoint.drain(), a.endpoint.drain({ timeoutMs: 0 })];
    expect(await first).toEqual({ released: 1, interrupted: 0 });
    expect(await second).toEqual({ released: 1, interrupted: 0 });
    expect(await a.endpoint.drain()).toEqual({ released: 1, interrupted: 0 });
  });
});

describe('the last instance', () => {
  test('keeps its sessions for an instance that comes after it', async () => {
    const { a, b } = await onFakeTime(2);
    const one = await a.openSession();
    await one.call(...tool('count'));
    await b.endpoint.drain();
    await a.endpoint.drain(); // no instance serves now
    expect((await one.call('ping')).message.error?.data).toEqual({
      reason: 'draining',
      mayHaveRun: false,
    });
    expect(
      (await a.endpoint.sessions.list()).sessions.map(({ id, status }) => [id, status]),
    ).toEqual([[one.sessionId, 'released']]);
  });
});

describe('close()', () => {
  test('finishes a call that runs', async () => {
    const { time, a } = await onFakeTime(1);
    const busy = await a.openSession();
    const called = busy.call(...tool('hold'));
    const call = await a.lab.held();
    const closing = a.endpoint.close();
    await until(() => a.endpoint.health().state !== 'serving');
    call.answer('held');
    expect(textOf((await called).message)).toBe('held');
    await until(async () => {
      await time.advance(25);
      return a.endpoint.health().state === 'closed';
    });
    await closing;
  });

  test('with timeoutMs: 0 cuts a call at once, also one that an earlier close() waits for', async () => {
    const { time, a } = await onFakeTime(1);
    const busy = await a.openSession();
    const called = busy.call(...tool('hold'));
    await a.lab.held();
    const first = a.endpoint.close();
    await a.endpoint.close({ timeoutMs: 0 });
    expect((await called).message).toMatchObject({
      error: { data: { reason: 'endpoint_closed' } },
    });
    await time.advance(100);
    await first;
    expect(() => a.endpoint.close(5 as never)).toThrow('write close({ timeoutMs: 5 })');
  });
});
