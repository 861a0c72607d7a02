// @module-tag per-session
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createLab, saidOn, tool, type Held, toolCall } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { perFace, type LabSession, inLab } from '../kit/sessions.ts';

const VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'];

/** A call of `hold` that runs, with the head of its response. */
async function hold({ lab, one }: LabSession, client: RawClient = one) {
  const id = client.nextId();
  const n = lab.holds.length;
  const stream = await client.post(toolCall(id, 'hold', {}, { progressToken: `t${id}` }));
  return { call: await lab.held(n), stream, id };
}

const progress = (call: Held, n: number): Promise<void> =>
  call.ctx.mcpReq.notify({
    method: 'notifications/progress',
    params: { progressToken: call.ctx.mcpReq._meta?.progressToken ?? '', progress: n },
  });

/** Progress numbers and the text of the answer, in the order in which they came. */
describe.each(perFace)('over the $face face', ({ serve, inLab }) => {
  test('the answer to initialize can be resumed until notifications/initialized shows that the client has read it', async () => {
    const lab = createLab();
    const store = watchedStore();
    const served = await serve(lab.factory, { store });
    const client = served.client();
    const { response } = await client.initialize({ initialized: false });
    const lastEventId = response.events[0]?.id ?? '';
    const again = await client.get({ lastEventId });
    await again.untilEnd();
    expect(again.events.at(-1)?.message).toEqual(response.events.at(-1)?.message);
    const kept = async () =>
      (await store.views[0]?.sessions.replay(client.sessionId ?? '', 'p1_0', -1))?.found;
    expect(await kept()).toBe(true);

    await client.notify('notifications/initialized');
    expect(await kept()).toBe(false);
    expect((await client.get({ lastEventId })).status).toBe(204);
    expect((await client.get({ lastEventId: response.events.at(-1)?.id })).status).toBe(204);
  });

  test.each(VERSIONS)(
    'B29 B112 B115 B116 B123 after a disconnect in the middle of a call every message comes once over all the connections (%s)',
    async (protocolVersion) => {
      const session = await inLab({}, { protocolVersion });
      const { one } = session;
      const { call, stream } = await hold(session);
      await progress(call, 1);
      await stream.nextMessage();
      stream.abort();
      await progress(call, 2);
      const second = await one.get({ lastEventId: stream.lastId });
      await progress(call, 3);
      await until(() => saidOn(second).includes(3));
      expect(second.ending).toBeUndefined();
      second.abort();
      await progress(call, 4);
      call.answer('done');
      const third = await one.get({ lastEventId: second.lastId });
      await third.untilEnd();
      expect([stream, second, third].map(saidOn)).toEqual([[1], [2, 3], [4, 'done']]);
      const ids = [stream, second, third].flatMap(({ events }) =>
        events.flatMap(({ id, message }) => (message === undefined ? [] : [id])),
      );
      expect(new Set(ids).size).toBe(5);
    },
  );
});

test('a batch has no ids: a re-run or an error would end only its first request', async () => {
  const { one } = await inLab({}, { protocolVersion: '2025-03-26' });
  const response = await one.post(['a', 'b'].map((id) => ({ jsonrpc: '2.0', id, method: 'ping' })));
  await response.untilEnd();
  expect(response.events.map(({ id }) => id)).toEqual([undefined, undefined]);
});

test('each resume of a position brings a new id, which leads to the same position', async () => {
  const session = await inLab();
  const { one } = session;
  const { call, stream } = await hold(session);
  await progress(call, 1);
  const { id } = await stream.next(({ message }) => message !== undefined);
  stream.abort();
  const seen = [id];
  for (let n = 0; n < 7; n++) {
    const resumed = await one.get({ lastEventId: seen.at(-1) });
    seen.push((await resumed.next()).id);
    resumed.abort();
  }
  expect(new Set(seen).size).toBe(8);
  await progress(call, 2);
  call.answer('done');
  const last = await one.get({ lastEventId: seen.at(-1) });
  await last.untilEnd();
  expect(saidOn(last)).toEqual([2, 'done']);
});

test('B114 traffic reads the same with the log and without', async () => {
  const answers = async (options: McpEndpointOptions): Promise<unknown[]> => {
    const { one } = await inLab(options);
    const echo = (text: string) => tool('echo', { text });
    const all: unknown[] = [];
    for (const [method, params] of [
      ['ping'],
      ['tools/list'],
      echo('a'),
      tool('log'),
      echo('b'),
    ] as const) {
      const { response } = await one.call(method, params);
      await response.untilEnd();
      all.push(response.messages);
    }
    return all;
  };
  const logged = await answers({});
  expect(logged).toEqual(await answers({ eventRetention: false }));
  expect((logged[3] as unknown[]).length).toBe(3);
});

test.each(VERSIONS)(
  'B38 B112 B117 what the GET stream missed is replayed once, then it is live (%s)',
  async (protocolVersion) => {
    const { one, say } = await inLab({}, { protocolVersion });
    const get = await one.get();
    await say(1);
    await get.nextMessage();
    get.abort();
    await say(2);
    const again = await one.get({ lastEventId: get.lastId });
    await until(() => saidOn(again).includes(2));
    await say(3);
    await until(() => saidOn(again).includes(3));
    again.abort();
    await say(4);
    const plain = await one.get({ lastEventId: again.lastId });
    await until(() => saidOn(plain).includes(4));
    await say(5);
    await until(() => saidOn(plain).includes(5));
    expect([get, again, plain].map(saidOn)).toEqual([[1], [2, 3], [4, 5]]);
  },
);

test('B121 B210 resumed streams stand beside the plain GET: none ends another', async () => {
  const session = await inLab();
  const { one, server } = session;
  const get = await one.get();
  const [a, b] = [await hold(session), await hold(session)];
  for (const { call, stream } of [a, b]) {
    await progress(call, 1);
    await stream.nextMessage();
    stream.abort();
    await until(() => call.ctx.http?.req?.signal.aborted, {
      what: 'the server to know that its client left',
    });
    await call.ctx.mcpReq.log('error', 'while away');
  }
  const [resumedA, resumedB] = [
    await one.get({ lastEventId: a.stream.lastId }),
    await one.get({ lastEventId: b.stream.lastId }),
  ];
  await server.server.sendResourceListChanged();
  expect(await get.nextMessage()).toMatchObject({ method: 'notifications/resources/list_changed' });
  a.call.answer('a');
  b.call.answer('b');
  await Promise.all([resumedA.untilEnd(), resumedB.untilEnd()]);
  expect([saidOn(resumedA), saidOn(resumedB), get.ending]).toEqual([
    ['while away', 'a'],
    ['while away', 'b'],
    undefined,
  ]);
  // What the calls said while no client read them was for their own streams.
  expect(get.messages).toHaveLength(1);
});

test('B127 a stream is complete with its answer, though its response had ended: resuming replays it and ends', async () => {
  const session = await inLab();
  const { one } = session;
  const { call, stream, id } = await hold(session);
  await stream.next();
  stream.abort();
  call.answer('done');
  const resumed = await one.get({ lastEventId: stream.lastId });
  await resumed.untilEnd();
  expect(resumed.ending).toBe('complete');
  expect(resumed.messages).toEqual([
    { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'done' }] } },
  ]);
  const nothing = await one.get({ lastEventId: resumed.lastId });
  expect([nothing.status, nothing.body]).toEqual([204, '']); // there is nothing to come back for
});

describe('B127 without a GET stream', () => {
  /** Ids of calls that were answered. */
  async function answered(one: RawClient): Promise<string> {
    const { response } = await one.call('ping');
    return (await response.untilEnd()).at(-1)?.id ?? '';
  }

  test('a client that comes back for ever for a finished stream reads the GET stream at last', async () => {
    const { one } = await inLab();
    const lastEventId = await answered(one);
    for (const _ of [1, 2]) expect((await one.get({ lastEventId })).status).toBe(204);
    const get = await one.get({ lastEventId });
    expect(await get.nextMessage()).toMatchObject({
      method: expect.stringContaining('list_changed'),
    });
    expect((await one.get({ lastEventId })).status).toBe(204);
  });

  test('a client that comes back once after each error opens no second GET stream', async () => {
    const { one } = await inLab();
    const ids = [
      await answered(one),
      await answered(one),
      await answered(one),
      await answered(one),
    ];
    for (const lastEventId of [...ids, ...ids])
      expect((await one.get({ lastEventId })).status).toBe(204);
  });
});
