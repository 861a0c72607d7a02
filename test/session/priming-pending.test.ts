/**
 * Calls that may run twice, on a store that several processes share: they run while the first event of their stream is
 * being stored.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { storeUnavailable } from '../../src/base/errors.ts';
import { isObject, type RpcRequest } from '../../src/base/protocol/jsonrpc.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { type Member, serveFleet, serveMember } from '../kit/fleet.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLab, say, textOf, toolCall } from '../kit/lab.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { refusalOf } from '../kit/refusals.ts';
import { gate, loseLease, watchedStore } from '../kit/watched-store.ts';

useSharedStores();

/** `peek` may run twice; `runs` counts it on this instance, and `answer` lets those that wait go on. */
async function served(connect = sharedStore('sqlite'), options: McpEndpointOptions = {}) {
  const store = watchedStore({ durable: true, inner: connect() });
  const runs: string[] = [];
  const asked: unknown[] = [];
  const answers = gate();
  answers.open();
  let waits = answers;
  const lab = createLab((server) => {
    server.registerTool('peek', { annotations: { readOnlyHint: true } }, async () => {
      runs.push('peek');
      await waits.hook();
      return { content: [{ type: 'text', text: 'seen' }] };
    });
    // Says a lot, also when it was told to stop.
    server.registerTool('speak', { annotations: { readOnlyHint: true } }, async ({ mcpReq }) => {
      const run = `speak ${runs.length + 1}`;
      runs.push(run);
      await waits.hook();
      if (mcpReq.signal.aborted) runs.push(`${run}, stopped`);
      await mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken: 't', progress: 1, message: run },
      });
      await mcpReq.send({ method: 'ping' }).catch((error: unknown) => asked.push(error));
      server.sendToolListChanged();
      return { content: [{ type: 'text', text: run }] };
    });
  });
  const member: Member = await serveMember({ store, ...options }, {}, lab);
  const client = await member.openSession({ protocolVersion: '2025-11-25' });
  /** Appends wait from here on. */
  const holdAppends = () => {
    const storing = gate();
    store.before['sessions.append'] = storing.hook;
    onTestFinished(() => storing.open());
    return storing;
  };
  const hold = () => (waits = gate());
  return {
    ...member,
    another: () => member.client(),
    store,
    runs,
    asked,
    client,
    holdAppends,
    hold,
    connect,
  };
}

/** Nothing waits for the store. */
const servedAtOnce = (): ReturnType<typeof served> =>
  served(sharedStore('sqlite'), { maxWaitMs: 0 });

const call = (
  { client }: Awaited<ReturnType<typeof served>>,
  name: string,
  id = 1,
): Promise<RawResponse> => client.post(toolCall(id, name, { text: 'x' }));

describe('a call that may run twice', () => {
  test('runs at once, and is answered when its stream is stored, both in one append', async () => {
    const one = await served();
    await one.client.call('tools/list');
    const storing = one.holdAppends();
    one.store.calls.splice(0);
    const called = call(one, 'peek');
    await until(() => one.runs.length === 1);
    let answered = false;
    void called.then((response) => response.next()).then(() => (answered = true));
    expect((await one.client.notify('notifications/roots/list_changed')).status).toBe(202); // a whole round trip
    expect(answered).toBe(false);
    storing.open();
    const stream = await called;
    await stream.untilEnd();
    const [primed, answer] = stream.events;
    expect([primed?.id !== undefined, primed?.data, textOf(answer?.message)]).toEqual([
      true,
      '',
      'seen',
    ]);
    expect((await one.client.get({ lastEventId: primed?.id })).status).toBe(200);
  });

  test('runs at once after a shared list, for which its server was not asked', async () => {
    const one = await served(sharedStore('sqlite'), { sharedLists: ['tools'] });
    await one.client.call('tools/list');
    const client = one.another();
    await client.initialize({ protocolVersion: '2025-11-25' });
    await client.call('tools/list');
    const storing = one.holdAppends();
    const called = call({ ...one, client }, 'peek');
    await until(() => one.runs.length === 1);
    storing.open();
    await (await called).untilEnd();
  });

  test('B111 waits where its tool does not say that it may run twice, and where it may not', async () => {
    const one = await served();
    const storing = one.holdAppends();
    const unknown = call(one, 'peek');
    await until(() => storing.waiting === 1);
    await one.client.notify('notifications/roots/list_changed');
    expect(one.runs).toEqual([]);
    storing.open();
    await (await unknown).untilEnd();
    await one.client.call('tools/list');
    const again = one.holdAppends();
    const counting = call(one, 'hold', 2);
    await until(() => again.waiting === 1);
    await one.client.notify('notifications/roots/list_changed');
    expect(one.lab.holds.length).toBe(0);
    again.open();
    (await one.lab.held()).answer('done');
    await (await counting).untilEnd();
  });

  test('that may not does not run when it is cancelled before it is stored, and its response ends', async () => {
    const one = await served();
    const storing = one.holdAppends();
    const calls = Array.from({ length: 6 }, (_, n) => call(one, 'hold', n));
    await until(() => storing.waiting === 6);
    // Four start in a turn.
    await one.client.notify('notifications/cancelled', { requestId: 5 });
    storing.open();
    expect(await (await calls[5])?.untilEnd()).toHaveLength(1);
    await one.lab.held(4);
    for (const { answer } of one.lab.holds) answer('done');
    for (const stream of await Promise.all(calls)) await stream.untilEnd();
    expect(one.lab.holds).toHaveLength(5);
  });

  test('waits for a store that is away, and has run once', async () => {
    const one = await served();
    await one.client.call('tools/list');
    let failed = 0;
    one.store.before['sessions.append'] = () => {
      failed += 1;
      return Promise.reject(storeUnavailable('for a test'));
    };
    const waiting = call(one, 'peek');
    await until(() => failed >= 2);
    delete one.store.before['sessions.append'];
    const stream = await waiting;
    await stream.untilEnd();
    expect([textOf(stream.events.at(-1)?.message), one.runs]).toEqual(['seen', ['peek']]);
  });

  test('is refused with maxWaitMs 0 when the store cannot be asked before anything was sent; tried again it runs again', async () => {
    const one = await servedAtOnce();
    await one.client.call('tools/list');
    one.store.before['sessions.append'] = () => Promise.reject(storeUnavailable('for a test'));
    const refused = await call(one, 'peek');
    expect(refusalOf(refused, 1)).toBe('store_unavailable');
    expect(refused.json()).toMatchObject({
      error: { code: -32000, data: { reason: 'store_unavailable' } },
    });
    delete one.store.before['sessions.append'];
    const stream = await call(one, 'peek');
    await stream.untilEnd();
    expect(textOf(stream.events.at(-1)?.message)).toBe('seen');
    expect(one.runs.length).toBe(2);
  });

  test('that was refused so says nothing on the stream of the next try, which has its id', async () => {
    const one = await servedAtOnce();
    const reader = await one.join(one.client).get();
    await one.client.call('tools/list');
    const first = one.hold();
    one.store.before['sessions.append'] = () => Promise.reject(storeUnavailable('for a test'));
    expect(refusalOf(await call(one, 'speak'), 1)).toBe('store_unavailable');
    delete one.store.before['sessions.append'];
    const second = one.hold();
    const called = call(one, 'speak');
    await until(() => one.runs.length === 2);
    first.open();
    await until(() => one.asked.length === 1);
    expect(one.runs).toEqual(['speak 1', 'speak 2', 'speak 1, stopped']);
    expect(one.asked).toMatchObject([{ code: 'STORE_UNAVAILABLE' }]);
    second.open();
    const stream = await called;
    const ping = (await stream.nextMessage(
      (message) => isObject(message) && message['method'] === 'ping',
    )) as RpcRequest;
    await one.client.post({ jsonrpc: '2.0', id: ping.id, result: {} });
    await stream.untilEnd();
    const said = stream.events.flatMap(({ message }) => message ?? []);
    expect(said).toMatchObject([
      { method: 'notifications/progress', params: { message: 'speak 2' } },
      { method: 'ping' },
      { id: 1, result: { content: [{ text: 'speak 2' }] } },
    ]);
    // Both runs send what is about the session: its tools did change.
    await until(() => reader.events.filter(({ message }) => message !== undefined).length === 2);
    expect(
      new Set(
        reader.events
          .flatMap(({ message }) => message ?? [])
          .map((message) => (message as RpcRequest).method),
      ),
    ).toEqual(new Set(['notifications/tools/list_changed']));
  });

  test.each(['before', 'after'] as const)(
    'of a session that was taken over %s its stream was stored is answered by its new owner, in the same response',
    async (when) => {
      // No renewal tells the former owner.
      const one = await served(sharedStore('sqlite'), { leaseMs: 60_000 });
      await one.client.call('tools/list');
      const waiting = one.hold();
      const storing = gate();
      onTestFinished(() => storing.open());
      one.store[when]['sessions.append'] = () => {
        delete one.store[when]['sessions.append'];
        return storing.hook();
      };
      const called = call(one, 'peek');
      await until(() => one.runs.length === 1 && storing.waiting === 1);
      // As if it had been given up: another instance has the session before the store has answered the append.
      const two = await served(one.connect, { leaseMs: 60_000 });
      await one.store.views[0]?.instances.leave(one.id);
      expect((await two.join(one.client).call('ping')).message.result).toEqual({});
      if (when === 'after') {
        // Another write tells its former owner, while the reply to the first one is on its way.
        expect(await say(one.join(one.client), 'count')).toBe('1');
        await until(() => one.endpoint.sessions.liveCount === 0);
      }
      storing.open();
      const stream = await called;
      await stream.untilEnd();
      waiting.open();
      expect(
        stream.events.flatMap(({ message }) => (message === undefined ? [] : [textOf(message)])),
      ).toEqual(['seen']);
      expect([one.runs, two.runs]).toEqual([['peek'], ['peek']]);
    },
  );
});

/**
 * The process of the response may crash at any moment. A client that has the head and no event id waits for its
 * time-out then: it has nothing to resume from. Without the head its call fails at once.
 */
describe('the head of a response leaves with its first event id', () => {
  const WAIT_MS = 15_000;

  /** `a` opened the session. The client calls `peek` with `call`, at an instance that knows its hints. */
  const ways: Record<string, (fleet: Awaited<ReturnType<typeof fleetOf>>) => Promise<RawClient>> = {
    'of a live session': async ({ onA }) => onA,
    'of a session that was restored': async ({ store, a, onB }) => {
      await loseLease(store, a.id);
      await onB.call('tools/list');
      return onB;
    },
    'of a session that woke': async ({ a, onA, time }) => {
      await time.advance(60_000 + 5_000);
      await until(() => a.endpoint.sessions.liveCount === 0, { what: 'the session to hibernate' });
      await onA.call('tools/list');
      return onA;
    },
    'of a relayed call': async ({ onB }) => onB,
  };

  async function fleetOf() {
    const time = createFakeTime();
    const store = watchedStore({ durable: true });
    const labs = [0, 1].map(() =>
      createLab((server) => {
        const annotations = { readOnlyHint: true };
        server.registerTool('peek', { annotations }, () => ({
          content: [{ type: 'text', text: 'seen' }],
        }));
        server.registerTool('stay', { annotations }, () => new Promise(() => {}));
      }),
    );
    const options = {
      store,
      timeProvider: time,
      leaseMs: 86_400_000,
      maxWaitMs: WAIT_MS,
      hibernateAfterMs: 60_000,
    };
    const [a, b] = await serveFleet(2, options, [], labs);
    const onA = await a.openSession({ protocolVersion: '2025-11-25' });
    await onA.call('tools/list');
    /** Posts a call, and waits until its first event is being stored. `then`: what the store does in the end. */
    const call = async (client: RawClient, name: string, then?: () => Promise<never>) => {
      const storing = gate();
      store.before['sessions.append'] = () => storing.hook()?.then(then) ?? then?.();
      onTestFinished(() => storing.open());
      const call: { response?: RawResponse } = {};
      const done = client.post(toolCall(1, name)).then((response) => (call.response = response));
      await until(() => storing.waiting === 1, { what: 'the first append' });
      return { storing, call, done };
    };
    return { time, store, a, b, onA, onB: b.join(onA), call };
  }

  test.each(Object.keys(ways))('%s', async (way) => {
    const fleet = await fleetOf();
    const client = (await ways[way]?.(fleet)) as RawClient;
    const { storing, call, done } = await fleet.call(client, 'peek');
    await fleet.time.advance(WAIT_MS - 1);
    expect(call.response?.status).toBeUndefined();
    storing.open();
    const [first, answer] = await (await done).untilEnd();
    expect([first?.id, first?.retry, textOf(answer?.message)]).toEqual([
      expect.any(String),
      4_000,
      'seen',
    ]);
  });

  test.each(['drain', 'close'] as const)('of a session that leaves with %s()', async (how) => {
    const fleet = await fleetOf();
    const { storing, call, done } = await fleet.call(fleet.onA, 'stay');
    const left =
      how === 'drain'
        ? fleet.a.endpoint.drain({ timeoutMs: 0 })
        : fleet.a.endpoint.close({ timeoutMs: 0 });
    await fleet.time.advance(100);
    expect(call.response?.status).toBeUndefined();
    storing.open();
    const response = await done;
    expect((await response.untilEnd())[0]).toMatchObject({ id: expect.any(String), data: '' });
    await left;
  });

  test('and not later than maxWaitMs: then an error takes its place', async () => {
    const fleet = await fleetOf();
    const { storing, done } = await fleet.call(fleet.onA, 'stay', () =>
      Promise.reject(storeUnavailable('for a test')),
    );
    await fleet.time.advance(WAIT_MS);
    storing.open();
    expect(refusalOf(await done, 1)).toBe('store_unavailable');
    delete fleet.store.before['sessions.append'];
    expect((await fleet.onA.call('ping')).message.result).toEqual({});
  });
});
