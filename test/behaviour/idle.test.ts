// @module-tag per-session
/** Sessions that no client uses: the idle timeout, and the limit of their number. */
import { readFileSync } from 'node:fs';
import type { ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  live,
  type LiveObject,
  type LiveOptions,
  type McpEndpointOptions,
} from '../../src/index.ts';
import { DEFAULTS } from '../../src/base/options/table.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, say, textOf, tool, toolCall } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { gate } from '../kit/watched-store.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';
import { NOT_FOUND } from '../kit/refusals.ts';
import { inLab } from '../kit/sessions.ts';

const SWEEP = 5_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Arguments that may name a handle. */
interface Desk {
  desk?: string | undefined;
}

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

describe('a call that never returns', () => {
  const options = { idleTimeoutMs: MINUTE };

  test.each([
    ['streams', { responseMode: 'sse' }, 0],
    ['json', { responseMode: 'json' }, 0],
    ['streams, of a client at another instance', { responseMode: 'sse' }, 1],
  ] as const)(
    'B43 B57 keeps its session while its client reads; then idleTimeoutMs aborts it (%s)',
    async (_, { responseMode }, at) => {
      const time = createFakeTime();
      const given = { ...options, responseMode, timeProvider: time };
      const members = await serveFleet(2, given);
      const [{ openSession, lab, endpoint, log }] = members;
      const one = await openSession();
      const reader = at === 0 ? one : members[at].join(one);
      reader.post(toolCall(1, 'hold')).catch(() => {});
      const { ctx } = await lab.held();
      const later = async (minutes: number): Promise<void> => {
        for (let n = 0; n < minutes * 12; n++) await time.advance(SWEEP);
      };
      await later(3);
      expect([endpoint.sessions.liveCount, ctx.mcpReq.signal.aborted]).toEqual([1, false]);
      reader.close();
      one.close();
      await until(async () => {
        await later(1);
        return endpoint.sessions.liveCount === 0;
      });
      expect(ctx.mcpReq.signal.aborted).toBe(true);
      expect(log.matching(/^A session ended/)[0]?.fields).toMatchObject({ reason: 'idle' });
    },
  );

  test('B43 is aborted where it runs, at the instance of its live object', async () => {
    const signals: AbortSignal[] = [];
    const desks: LiveOptions<object, Desk> = {
      kind: 'desk',
      id: (args) => args.desk,
      open: () => ({}),
    };
    const sit = live(
      desks,
      ({ desk }: Desk, ctx: ServerContext, { handle }: LiveObject<object>) => {
        if (desk === undefined) return said(handle.id);
        signals.push(ctx.mcpReq.signal);
        return new Promise<ReturnType<typeof said>>(() => {});
      },
    );
    const inputSchema = z.object({ desk: z.string().optional() });
    const labs = [1, 2].map(() =>
      createLab((server) => void server.registerTool('sit', { inputSchema }, sit)),
    );
    const time = createFakeTime();
    const [here, there] = await serveFleet(2, { ...options, timeProvider: time }, [], labs);
    const desk = await say(await there.openSession(), 'sit');
    const one = await here.openSession();
    const stream = await one.post(toolCall(1, 'sit', { desk }));
    await until(() => signals.length === 1);
    stream.abort();
    await until(async () => {
      await time.advance(SWEEP);
      return signals[0]?.aborted;
    });
    expect(here.endpoint.sessions.liveCount).toBe(0);
  });

  test.skipIf(process.platform !== 'linux')(
    'B43 which waits for a JSON answer is silent, so TCP probes the connection of its client',
    async () => {
      const { one, lab } = await inLab({ responseMode: 'json' });
      one.post(toolCall(1, 'hold')).catch(() => {});
      await lab.held();
      const port = Number(one.url.port).toString(16).toUpperCase().padStart(4, '0');
      // Local address, remote address, state, queues, timer: 02 is that of probes.
      const timers = (): (string | undefined)[] =>
        readFileSync('/proc/net/tcp', 'latin1')
          .split('\n')
          .map((row) => row.trim().split(/ +/))
          .filter(([, local, , state]) => local?.endsWith(`:${port}`) && state === '01')
          .map(([, , , , , timer]) => timer?.slice(0, 2));
      await until(() => timers().includes('02'), { what: 'a timer of probes' });
    },
  );

  test('B58 keeps it for ever with an infinite timeout, and as long as its client comes back', async () => {
    for (const idleTimeoutMs of [MINUTE, Infinity]) {
      const { time, one, lab, endpoint } = await sessionOnFakeTime({ idleTimeoutMs });
      const stream = await one.post(toolCall(1, 'hold'));
      const { ctx } = await lab.held();
      stream.abort();
      for (let n = 0; n < 10; n++) {
        await time.advance(MINUTE / 2);
        if (idleTimeoutMs === MINUTE) (await one.get({ lastEventId: stream.lastId })).abort();
      }
      expect([endpoint.sessions.liveCount, ctx.mcpReq.signal.aborted]).toEqual([1, false]);
    }
  });
});

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
