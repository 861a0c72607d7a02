/** What the application sends to clients, wherever their sessions and their streams are: `notify`, `sessions.notify`. */
import { describe, expect, test } from 'vitest';
import { EndpointBus } from '../../src/endpoint/bus.ts';
import type { McpEndpointFactory, McpListen } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, serveMember, type Member } from '../kit/fleet.ts';
import { serve } from '../kit/serve.ts';
import { createLab } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { postModern } from '../kit/modern.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

/** A client with a GET stream. */
async function listening(
  member: Member,
): Promise<{ client: RawClient; id: string; stream: RawResponse }> {
  const client = await member.openSession({}, { timeoutMs: 20_000 });
  return { client, id: client.sessionId ?? '', stream: await client.get() };
}

/** The stream of a client of 2026-07-28 that listens to every list. */
async function subscribed(member: Member): Promise<RawResponse> {
  const notifications = {
    toolsListChanged: true,
    promptsListChanged: true,
    resourcesListChanged: true,
  };
  const stream = await postModern(member.client(), 'subscriptions/listen', { notifications });
  await stream.nextMessage(); // the acknowledgement
  return stream;
}

const TOOLS_CHANGED = { method: 'notifications/tools/list_changed' };
const MESSAGE = 'notifications/message';
const log = (level: string, data: string) => ({
  jsonrpc: '2.0',
  method: MESSAGE,
  params: { level, data },
});

describe.each(storeKinds)('on the store %s', (kind) => {
  const fleet = async (): Promise<[Member, Member]> =>
    await serveFleet(2, { store: sharedStore(kind) });

  test('a changed list reaches the sessions and the listen streams of every instance', async () => {
    const members = await serveFleet(3, { store: sharedStore(kind) });
    const sessions = await Promise.all(members.map(listening));
    const streams = [
      ...sessions.map(({ stream }) => stream),
      ...(await Promise.all(members.map(subscribed))),
    ];
    for (const { endpoint } of members) {
      endpoint.notify.toolsChanged();
      for (const stream of streams) expect(await stream.nextMessage()).toMatchObject(TOOLS_CHANGED);
    }
  });

  test('a session is not told of what its server does not announce', async () => {
    const store = sharedStore(kind);
    const a = await serveMember({ store: store() });
    const withPrompts = createLab(
      (server) => void server.registerPrompt('new', {}, () => ({ messages: [] })),
    );
    const b = await serveMember({ store: store() }, {}, withPrompts);
    const [none, some] = [await listening(a), await listening(b)];
    a.endpoint.notify.promptsChanged();
    a.endpoint.notify.toolsChanged();
    expect(await none.stream.nextMessage()).toMatchObject(TOOLS_CHANGED);
    expect(await some.stream.nextMessage()).toMatchObject({
      method: 'notifications/prompts/list_changed',
    });
    expect(await some.stream.nextMessage()).toMatchObject(TOOLS_CHANGED);
  });

  test('an event on the bus of an endpoint reaches the listeners of every instance once', async () => {
    const members = await serveFleet(3, { store: sharedStore(kind) });
    const heard: string[] = [];
    members.forEach(({ endpoint }, n) =>
      endpoint.bus.subscribe((event) => void heard.push(`${n} ${event.kind}`)),
    );
    members[1]?.endpoint.bus.publish({ kind: 'tools_list_changed' });
    await until(() => heard.length === 3);
    await members[0]?.client().initialize(); // a whole round trip: nothing comes twice
    expect(heard.toSorted()).toEqual([
      '0 tools_list_changed',
      '1 tools_list_changed',
      '2 tools_list_changed',
    ]);
  });

  test('a message to one session reaches its client from any instance, and no other client', async () => {
    const [a, b] = await fleet();
    const [one, other] = [await listening(a), await listening(a)];
    expect(await a.endpoint.sessions.notify(one.id, MESSAGE, { level: 'info', data: 'here' })).toBe(
      true,
    );
    expect(await b.endpoint.sessions.notify(one.id, 'notifications/acme/sold', { item: 7 })).toBe(
      true,
    );
    expect(await b.endpoint.sessions.notify(one.id, 'notifications/acme/closed')).toBe(true);
    expect(await one.stream.nextMessage()).toEqual(log('info', 'here'));
    expect(await one.stream.nextMessage()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/acme/sold',
      params: { item: 7 },
    });
    expect(await one.stream.nextMessage()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/acme/closed',
    });
    expect(
      await a.endpoint.sessions.notify(other.id, MESSAGE, { level: 'info', data: 'last' }),
    ).toBe(true);
    expect(await other.stream.nextMessage()).toEqual(log('info', 'last'));
  });

  test('false where no instance has the session live', async () => {
    const [a, b] = await fleet();
    const { client, id } = await listening(a);
    const ask = (one: string) =>
      Promise.all(
        [a, b].map(({ endpoint }) =>
          endpoint.sessions.notify(one, MESSAGE, { level: 'info', data: 'x' }),
        ),
      );
    for (const unknown of ['unknown', '', '__proto__', `${id} `, 'x'.repeat(10_000)])
      expect(await ask(unknown)).toEqual([false, false]);
    await client.delete();
    expect(await ask(id)).toEqual([false, false]);
    // A message of a closed endpoint goes nowhere, and is no outage of the store.
    await b.endpoint.close({ timeoutMs: 0 });
    b.endpoint.notify.message({ level: 'info', data: 'late' });
    await (await listening(a)).client.delete();
    expect(b.log.matching(/./, 'warn')).toEqual([]);
  });

  test('a message to all reaches the sessions of each instance once, from the level on that they asked for', async () => {
    const [a, b] = await fleet();
    const sessions = [await listening(a), await listening(b)];
    const quiet = await listening(b);
    await quiet.client.call('logging/setLevel', { level: 'error' });
    a.endpoint.notify.message({ level: 'info', data: 'first' });
    a.endpoint.notify.message({ level: 'critical', data: 'second', logger: 'shop' });
    for (const { stream } of sessions) {
      expect(await stream.nextMessage()).toEqual(log('info', 'first'));
      expect(await stream.nextMessage()).toMatchObject({
        params: { data: 'second', logger: 'shop' },
      });
    }
    expect(await quiet.stream.nextMessage()).toMatchObject({ params: { data: 'second' } });
    // Nothing came twice.
    for (const { id, stream } of [...sessions, quiet]) {
      await b.endpoint.sessions.notify(id, MESSAGE, { level: 'info', data: 'end' });
      expect(await stream.nextMessage()).toEqual(log('info', 'end'));
    }
  });
});

test('a listener hears of a change once the other instances were told, or after a second: its client may ask any of them', async () => {
  const [store, time] = [watchedStore({ durable: true }), createFakeTime()];
  const [{ endpoint }] = await serveFleet(2, { store, timeProvider: time });
  let heard = 0;
  endpoint.bus.subscribe(() => (heard += 1));
  for (const answers of [true, false]) {
    const sending = gate();
    store.before['instances.publish'] = sending.hook;
    endpoint.notify.toolsChanged();
    await time.advance(500);
    expect([sending.waiting, heard]).toEqual([1, answers ? 0 : 1]);
    if (answers) sending.open();
    await time.advance(answers ? 0 : 500);
    expect(heard).toBe(answers ? 1 : 2);
    sending.open();
    await time.advance(0);
  }
  expect(heard).toBe(2);
});

test('what is no notification is refused, and a message is a copy', async () => {
  const { endpoint, openSession } = await serve(createLab().factory);
  const one = await openSession();
  const id = one.sessionId ?? '';
  for (const [method, params] of [
    ['tools/call', {}],
    ['', {}],
    [undefined, {}],
    [MESSAGE, 'text'],
    [MESSAGE, null],
    [MESSAGE, []],
  ] as ReadonlyArray<readonly [string, Record<string, unknown>]>)
    await expect(endpoint.sessions.notify(id, method, params)).rejects.toThrow(
      /Option (method|params)/,
    );
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  await expect(endpoint.sessions.notify(id, MESSAGE, cyclic)).rejects.toThrow(TypeError);
  expect(() => endpoint.notify.message({ level: 'loud' as never, data: 1 })).toThrow(
    /Option level/,
  );
  const stream = await one.get();
  const params = { level: 'info', data: 'as given' };
  const sent = endpoint.sessions.notify(id, MESSAGE, params);
  params.data = 'changed';
  expect(await sent).toBe(true);
  expect(await stream.nextMessage()).toEqual(log('info', 'as given'));
});

test('of many events at once a turn of the event loop delivers one, and events that say the same once', async () => {
  const others = { publish: () => Promise.resolve() };
  const options = { bus: undefined, logger: createLog(), timeProvider: createFakeTime() };
  const bus = new EndpointBus({ options, others, lists: undefined });
  const heard: string[] = [];
  bus.subscribe((event) => heard.push('uri' in event ? event.uri : event.kind));
  for (const uri of ['a', 'b', 'a', 'b', 'c']) bus.publish({ kind: 'resource_updated', uri });
  const turn = (): Promise<void> => new Promise((over) => setImmediate(over));
  const turns: string[] = [];
  for (let n = 0; n < 5; n++) {
    await turn();
    turns.push(heard.join(''));
  }
  expect(turns).toEqual(['a', 'ab', 'aba', 'abac', 'abac']);
});

test('events of one resource with other params are all delivered', async () => {
  const { endpoint } = await serve(createLab().factory);
  const heard: unknown[] = [];
  endpoint.bus.subscribe(({ params }) => void heard.push(params?.['_meta']));
  for (const part of [1, 2, 3])
    endpoint.bus.publish({ kind: 'resource_updated', uri: 'a', params: { _meta: { part } } });
  await until(() => heard.length === 3);
  expect(heard).toEqual([{ part: 1 }, { part: 2 }, { part: 3 }]);
});

test('a factory publishes to one listen stream what its client asked for and may read, until it ends', async () => {
  const given: McpListen[] = [];
  const lab = createLab();
  const factory: McpEndpointFactory = (ctx) => {
    if (ctx.listen !== undefined) given.push(ctx.listen);
    return lab.factory(ctx);
  };
  const authorize = (_kind: string, name: string) => name !== 'mem://secret';
  const verify = (token: string) => ({
    token,
    clientId: 'c',
    scopes: [],
    expiresAt: Infinity,
    extra: { sub: token },
  });
  const served = await serve(factory, { auth: { verify, authorize } });
  const listen = (user: string) => {
    const notifications = {
      toolsListChanged: true,
      resourceSubscriptions: ['mem://a', 'mem://secret'],
    };
    const headers = { authorization: `Bearer ${user}` };
    return postModern(served.client({ headers }), 'subscriptions/listen', { notifications });
  };
  const [ann, bob] = [await listen('ann'), await listen('bob')];
  for (const stream of [ann, bob]) await stream.nextMessage();
  expect(given[0]?.resources).toEqual(['mem://a']);
  given[0]?.publish({ kind: 'prompts_list_changed' });
  for (const uri of ['mem://secret', 'mem://b', 'mem://a'])
    given[0]?.publish({ kind: 'resource_updated', uri });
  const { params } = await ann.nextMessage();
  const subscription = ann.messages[0]?.params?.['_meta'];
  expect(params).toEqual({ uri: 'mem://a', _meta: subscription });
  served.endpoint.notify.toolsChanged();
  expect(await bob.nextMessage()).toMatchObject(TOOLS_CHANGED);
  ann.abort();
  await until(() => given[0]?.signal.aborted === true);
  expect(given[1]?.signal.aborted).toBe(false);
});
