/** What clients send that is wrong, who may do what, and the same methods with and without a session. */
import { expect, test } from 'vitest';
import type { EventsOptions } from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { createFakeTime } from '../../../src/testing/fake-time.ts';
import { z } from 'zod';
import {
  ask,
  type CallbackPath,
  eventsOf,
  newSecret,
  openCallbacks,
  subscription,
  userKeyOf,
} from '../../kit/callback.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { userHeader } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';

const NODE = { face: 'node', auth: userHeader } as const;
const TYPES: EventsOptions['types'] = {
  note: { arguments: z.object({ of: z.string().optional() }) },
  polled: { delivery: ['poll'] },
  live: { keepMs: 0 },
};

type Case = readonly [
  what: string,
  method: string,
  params: (url: string) => Readonly<Record<string, unknown>>,
  code: number,
  message: string,
  data: unknown,
];

const delivery = (more: Readonly<Record<string, unknown>>) => (url: string) => ({
  name: 'note',
  delivery: { mode: 'webhook', url, secret: newSecret(), ...more },
});
const bad = (field: string, reason: unknown) =>
  [-32602, 'InvalidParams', { field, reason }] as const;
const refused = [-32015, 'CallbackEndpointError', { reason: 'connection_refused' }] as const;
const INVALID = 'invalid_url';

const CASES: readonly Case[] = [
  ['an unknown name', 'poll', () => ({ name: 'other' }), -32011, 'NotFound', { kind: 'event' }],
  ['no name', 'subscribe', () => ({}), -32011, 'NotFound', { kind: 'event' }],
  [
    'arguments against the schema',
    'poll',
    () => ({ name: 'note', arguments: { of: 1 } }),
    ...bad('arguments', expect.any(String)),
  ],
  [
    'arguments that are no object',
    'poll',
    () => ({ name: 'note', arguments: [] }),
    ...bad('arguments', expect.any(String)),
  ],
  [
    'large arguments',
    'subscribe',
    (url) => ({ ...delivery({})(url), arguments: { of: 'x'.repeat(5_000) } }),
    ...bad('arguments', 'too_large'),
  ],
  ['no delivery', 'subscribe', () => ({ name: 'note' }), ...bad('delivery', 'required')],
  [
    'http',
    'subscribe',
    delivery({ url: 'http://example.com/x' }),
    ...bad('delivery.url', 'https_required'),
  ],
  [
    'another scheme',
    'subscribe',
    delivery({ url: 'file:///etc/passwd' }),
    ...bad('delivery.url', 'https_required'),
  ],
  [
    'credentials',
    'subscribe',
    delivery({ url: 'https://a:b@example.com/x' }),
    ...bad('delivery.url', INVALID),
  ],
  [
    'a fragment',
    'subscribe',
    delivery({ url: 'https://example.com/x#a' }),
    ...bad('delivery.url', INVALID),
  ],
  [
    'a long URL',
    'subscribe',
    delivery({ url: `https://example.com/${'x'.repeat(2_048)}` }),
    ...bad('delivery.url', INVALID),
  ],
  ['no URL', 'subscribe', delivery({ url: 7 }), ...bad('delivery.url', INVALID)],
  [
    'a short secret',
    'subscribe',
    delivery({ secret: 'whsec_AAAA' }),
    ...bad('delivery.secret', 'invalid_secret'),
  ],
  ['a private address', 'subscribe', delivery({ url: 'https://10.0.0.1/' }), ...refused],
  [
    'a private address in IPv6',
    'subscribe',
    delivery({ url: 'https://[::ffff:10.0.0.1]/' }),
    ...refused,
  ],
  ['a number as address', 'subscribe', delivery({ url: 'https://2130706434/' }), ...refused],
  ['a name of this machine', 'subscribe', delivery({ url: 'https://localhost/' }), ...refused],
  [
    'a mode that is not offered',
    'subscribe',
    (url) => ({ ...delivery({})(url), name: 'polled' }),
    -32014,
    'Unsupported',
    { feature: 'deliveryMode', value: 'webhook' },
  ],
  [
    'an unknown mode',
    'subscribe',
    delivery({ mode: 'pigeon' }),
    -32014,
    'Unsupported',
    { feature: 'deliveryMode', value: 'pigeon' },
  ],
  [
    'a cursor of another shape',
    'poll',
    () => ({ name: 'note', cursor: 'x' }),
    ...bad('cursor', 'invalid'),
  ],
  [
    'a time to live of 0',
    'subscribe',
    (url) => ({ ...delivery({})(url), ttlMs: 0 }),
    ...bad('ttlMs', 'invalid'),
  ],
  [
    'nothing to unsubscribe',
    'unsubscribe',
    delivery({}),
    -32011,
    'NotFound',
    { kind: 'subscription' },
  ],
];

test.each(CASES)('%s is refused', async (_, method, params, code, message, data) => {
  const [a] = await serveFleet(1, eventsOf(TYPES), [NODE]);
  const path = (await openCallbacks()).path('p');
  const { error } = await ask(a.client(), method, params(path.url), 'ann');
  expect(error).toEqual({ code, message, data });
  expect(path.posts).toBe(0);
});

test('a client that declares the extension gets the codes of its specification', async () => {
  const [a] = await serveFleet(1, eventsOf(TYPES), [NODE]);
  const extensions = { 'io.modelcontextprotocol/events': {} };
  const { message } = await a.client().call(
    'events/poll',
    {
      name: 'other',
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': { extensions },
      },
    },
    { headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'events/poll' } },
  );
  expect(message.error?.code).toBe(-32023);
});

async function subscribed(types: EventsOptions['types'] = TYPES, more: object = {}) {
  const [a] = await serveFleet(1, { ...eventsOf(types), ...more }, [NODE]);
  const callbacks = await openCallbacks();
  const open = async (name: string, user: string, params = {}): Promise<CallbackPath> => {
    const path = callbacks.path(name);
    const { result, error } = await ask(
      a.client(),
      'subscribe',
      subscription(path.url, params),
      user,
    );
    expect([error, typeof result['id']]).toEqual([undefined, 'string']);
    return path;
  };
  return { a, callbacks, open };
}

test('B272 no callback gets an event before it has answered a challenge', async () => {
  const { a, callbacks } = await subscribed();
  const path = callbacks.path('lies');
  path.lie = true;
  const { error } = await ask(a.client(), 'subscribe', subscription(path.url), 'ann');
  expect(error).toMatchObject({
    message: 'CallbackEndpointError',
    data: { reason: 'challenge_failed' },
  });
  await a.endpoint.emit('note', { text: 'x' });
  const other = callbacks.path('other');
  await ask(a.client(), 'subscribe', subscription(other.url), 'ann');
  await a.endpoint.emit('note', { text: 'y' });
  await until(() => other.events.length > 0);
  expect([path.posts, path.events]).toEqual([1, []]);
});

test('B275 revoked, a callback hears it once and gets nothing more', async () => {
  const time = createFakeTime();
  const allowed = new Set(['ann', 'bob'].map(userKeyOf));
  const types = {
    note: { authorize: (_: unknown, user: string | undefined) => allowed.has(user ?? '') },
  };
  const { a, callbacks, open } = await subscribed(types, { timeProvider: time });
  const [ann, bob] = [await open('ann', 'ann'), await open('bob', 'bob')];
  allowed.delete(userKeyOf('bob'));
  const again = callbacks.path('again');
  const { error } = await ask(a.client(), 'subscribe', subscription(again.url), 'bob');
  expect([error.message, again.posts]).toEqual(['Forbidden', 0]);
  await time.advance(61_000);
  for (const text of ['one', 'two']) await a.endpoint.emit('note', { text });
  await until(() => ann.events.length === 2 && bob.control.length === 1);
  expect(bob.events).toEqual([]);
  expect(bob.control).toMatchObject([{ type: 'terminated', error: { message: 'Forbidden' } }]);
});

test('B276 forgetUser takes the subscriptions of a user and the events for it, and refuses new ones', async () => {
  const { a, open } = await subscribed();
  const [ann, bob] = [await open('ann', 'ann'), await open('bob', 'bob')];
  await a.endpoint.emit('note', { text: 'hers' }, { userKey: userKeyOf('ann') });
  await until(() => ann.events.length === 1);
  await a.endpoint.forgetUser(userKeyOf('ann'));
  const { error } = await ask(a.client(), 'subscribe', subscription(ann.url), 'ann');
  expect(error.data).toMatchObject({ reason: 'user_forgotten' });
  const emitted = a.endpoint.emit('note', { text: 'no' }, { userKey: userKeyOf('ann') });
  await expect(emitted).rejects.toMatchObject({ code: 'USER_FORGOTTEN' });
  await a.endpoint.emit('note', { text: 'of all' });
  await until(() => bob.events.length === 1);
  const polled = await ask(a.client(), 'poll', { name: 'note', cursor: 'e1' }, 'ann');
  expect(polled.result['events']).toMatchObject([{ data: { text: 'of all' } }]);
  expect(ann.events).toHaveLength(1);
});

test('B277 a subscription of one user is not there for another one', async () => {
  const { a, open } = await subscribed();
  const bob = await open('bob', 'bob');
  const { delivery: given } = subscription(bob.url);
  const params = { name: 'note', delivery: given };
  const { error } = await ask(a.client(), 'unsubscribe', params, 'ann');
  expect(error).toMatchObject({ message: 'NotFound', data: { kind: 'subscription' } });
  await a.endpoint.emit('note', { text: 'x' });
  await until(() => bob.events.length === 1);
  expect((await ask(a.client(), 'unsubscribe', params, 'bob')).result).toEqual({
    resultType: 'complete',
  });
});

test('B278 a subscription lasts as long as was granted, and a refresh renews it', async () => {
  const time = createFakeTime();
  const { a, callbacks } = await subscribed(TYPES, { timeProvider: time });
  const [short, long] = [callbacks.path('short'), callbacks.path('long')];
  const ask1 = (url: string) =>
    ask(a.client(), 'subscribe', subscription(url, { ttlMs: 60_000 }), 'ann');
  const { result } = await ask1(short.url);
  expect(Date.parse(String(result['refreshBefore'])) - time.now()).toBe(60_000);
  await ask1(long.url);
  await time.advance(50_000);
  expect((await ask1(long.url)).result['id']).toMatch(/^sub_/);
  await time.advance(30_000);
  await a.endpoint.emit('note', { text: 'x' });
  await until(() => long.events.length === 1);
  expect([short.events, long.challenges]).toEqual([[], 1]);
});

test('a user has as many subscriptions as the limit says, and a cursor brings what was missed', async () => {
  const { a, callbacks, open } = await subscribed(TYPES, {
    limits: { perUser: { eventSubscriptions: 2 } },
  });
  const start = await ask(a.client(), 'poll', { name: 'note' });
  for (const text of ['one', 'two']) await a.endpoint.emit('note', { text });
  await until(async () => {
    const { result } = await ask(a.client(), 'poll', {
      name: 'note',
      cursor: start.result['cursor'],
    });
    return (result['events'] as unknown[]).length === 2;
  });
  const path = await open('one', 'ann', { cursor: start.result['cursor'] });
  await until(() => path.events.length === 2);
  await a.endpoint.emit('note', { text: 'three' });
  await until(() => path.events.length === 3);
  expect(path.events.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
  await open('two', 'ann');
  const third = callbacks.path('three');
  const { error } = await ask(a.client(), 'subscribe', subscription(third.url), 'ann');
  expect(error).toMatchObject({
    message: 'ResourceExhausted',
    data: { limit: 'subscriptions', max: 2 },
  });
  expect(third.posts).toBe(0);
});

test('B281 sessions have the same methods and answers', async () => {
  const [a] = await serveFleet(1, eventsOf(TYPES), [NODE]);
  const path = (await openCallbacks()).path('p');
  const session = a.client();
  const opened = await session.initialize({ headers: { 'x-user': 'ann' } });
  expect(opened).toBeDefined();
  const headers = { 'x-user': 'ann' };
  const inSession = async (method: string, params = {}) =>
    (await session.call(`events/${method}`, params, { headers })).message;
  const without = await ask(a.client(), 'list', {}, 'ann');
  expect((await inSession('list')).result?.['events']).toEqual(without.result['events']);
  const params = subscription(path.url);
  const { result } = await inSession('subscribe', params);
  expect((await ask(a.client(), 'subscribe', params, 'ann')).result['id']).toBe(result?.['id']);
  await a.endpoint.emit('note', { text: 'x' });
  await until(() => path.events.length === 1);
  expect((await inSession('poll', { name: 'other' })).error).toMatchObject({
    code: -32011,
    message: 'NotFound',
  });
  expect((await inSession('unsubscribe', params)).error).toBeUndefined();
});

test('B282 without the option there are no methods and no capability', async () => {
  const [a] = await serveFleet(1, {}, [NODE]);
  expect((await ask(a.client(), 'list')).error.code).toBe(-32601);
  await expect(a.endpoint.emit('note', {})).rejects.toThrow(/needs the option events/);
});

test('wrong emits are errors of the application', async () => {
  const [a] = await serveFleet(1, eventsOf({ note: { data: z.object({ n: z.number() }) } }), [
    NODE,
  ]);
  const { endpoint } = a;
  await expect(endpoint.emit('other', {})).rejects.toThrow(TypeError);
  await expect(endpoint.emit('note', { n: 'x' })).rejects.toThrow(/data of note is wrong/);
  await expect(endpoint.emit('note', { n: 1, x: 'x'.repeat(300_000) })).rejects.toThrow(
    /larger than 262144/,
  );
});

test('B279 an event of a type that the dispatcher does not know waits for an instance that does', async () => {
  const store = memory();
  const [older] = await serveFleet(1, { store, ...eventsOf({ note: {} }) }, [NODE]);
  const callbacks = await openCallbacks();
  const [note, extra] = [callbacks.path('note'), callbacks.path('extra')];
  await ask(older.client(), 'subscribe', subscription(note.url), 'ann');
  await older.endpoint.emit('note', { text: 'first' });
  await until(() => note.events.length === 1);
  const [newer] = await serveFleet(1, { store, ...eventsOf({ note: {}, extra: {} }) }, [NODE]);
  await ask(newer.client(), 'subscribe', subscription(extra.url, { name: 'extra' }), 'ann');
  await newer.endpoint.emit('extra', { text: 'new' });
  await newer.endpoint.emit('note', { text: 'second' });
  await until(() => note.events.length === 2);
  expect(extra.events).toEqual([]);
  await older.endpoint.close();
  await until(() => extra.events.length === 1);
});
