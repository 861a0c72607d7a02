/**
 * Calls that may run twice, on a store that several processes share: they run while the first event of their stream is
 * being stored.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import { isObject, type RpcRequest } from '../../src/protocol/jsonrpc.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveMember, type Member } from '../kit/fleet.ts';
import { createLab, say, textOf, toolCall } from '../kit/lab.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { refusalOf } from '../kit/refusals.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

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
  return { ...member, another: () => member.client(), store, runs, asked, client, holdAppends, hold, connect };
}

/** Nothing waits for the store. */
const servedAtOnce = (): ReturnType<typeof served> => served(sharedStore('sqlite'), { waitMs: 0 });

const call = ({ client }: Awaited<ReturnType<typeof served>>, name: string, id = 1): Promise<RawResponse> =>
  client.post(toolCall(id, name, { text: 'x' }));

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
    expect([primed?.id !== undefined, primed?.data, textOf(answer?.message)]).toEqual([true, '', 'seen']);
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
      return Promise.reject(storeAway('for a test'));
    };
    const waiting = call(one, 'peek');
    await until(() => failed >= 2);
    delete one.store.before['sessions.append'];
    const stream = await waiting;
    await stream.untilEnd();
    expect([textOf(stream.events.at(-1)?.message), one.runs]).toEqual(['seen', ['peek']]);
  });

  test('is refused with waitMs 0 when the store cannot be asked before anything was sent; tried again it runs again', async () => {
    const one = await servedAtOnce();
    await one.client.call('tools/list');
    one.store.before['sessions.append'] = () => Promise.reject(storeAway('for a test'));
    const refused = await call(one, 'peek');
    expect(refusalOf(refused, 1)).toBe('store_away');
    expect(refused.json()).toMatchObject({ error: { code: -32000, data: { reason: 'store_away' } } });
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
    one.store.before['sessions.append'] = () => Promise.reject(storeAway('for a test'));
    expect(refusalOf(await call(one, 'speak'), 1)).toBe('store_away');
    delete one.store.before['sessions.append'];
    const second = one.hold();
    const called = call(one, 'speak');
    await until(() => one.runs.length === 2);
    first.open();
    await until(() => one.asked.length === 1);
    expect(one.runs).toEqual(['speak 1', 'speak 2', 'speak 1, stopped']);
    expect(one.asked).toMatchObject([{ code: 'STORE_AWAY' }]);
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
      new Set(reader.events.flatMap(({ message }) => message ?? []).map((message) => (message as RpcRequest).method)),
    ).toEqual(new Set(['notifications/tools/list_changed']));
  });

  test('ends with that error on its stream when its head has gone', async () => {
    const one = await servedAtOnce();
    await one.client.call('tools/list');
    const storing = gate();
    one.store.before['sessions.append'] = () => storing.hook()?.then(() => Promise.reject(storeAway('for a test')));
    const stream = await call(one, 'peek');
    storing.open();
    await stream.untilEnd();
    expect([stream.status, stream.ending]).toEqual([200, 'complete']);
    expect(stream.events.map(({ message }) => message)).toMatchObject([
      { id: 1, error: { data: { reason: 'store_away' } } },
    ]);
    delete one.store.before['sessions.append'];
    expect((await one.client.call('ping')).message.result).toEqual({});
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
        await until(() => one.endpoint.sessions.count === 0);
      }
      storing.open();
      const stream = await called;
      await stream.untilEnd();
      waiting.open();
      expect(stream.events.flatMap(({ message }) => (message === undefined ? [] : [textOf(message)]))).toEqual([
        'seen',
      ]);
      expect([one.runs, two.runs]).toEqual([['peek'], ['peek']]);
    },
  );
});
