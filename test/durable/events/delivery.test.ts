/** Events from `endpoint.emit` to callbacks: what arrives, in which order, and what a callback that fails costs. */
import { describe, expect, test } from 'vitest';
import type { Notice } from '../../../src/index.ts';
import { createFakeTime } from '../../../src/testing/fake-time.ts';
import {
  ask,
  eventsOf,
  newSecret,
  openCallbacks,
  signatureOf,
  subscription,
  userKeyOf,
} from '../../kit/callback.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { userHeader } from '../../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../../kit/shared-stores.ts';
import { until } from '../../kit/until.ts';

useSharedStores();
const NODE = { face: 'node', auth: userHeader } as const;

describe.each(storeKinds)('on %s', (kind) => {
  test('an event reaches every callback that wants it, once, signed, in order; polls get the same', async () => {
    const match = (args: Readonly<Record<string, unknown>>, { data }: { data: typeof args }) =>
      args['of'] === undefined || args['of'] === data['of'];
    const [a, b] = await serveFleet(
      2,
      { store: sharedStore(kind), ...eventsOf({ note: { match } }) },
      [NODE, NODE],
    );
    const callbacks = await openCallbacks();
    const [all, one] = [callbacks.path('all'), callbacks.path('one')];
    const secret = newSecret();
    const { result } = await ask(a.client(), 'subscribe', subscription(all.url, { secret }), 'ann');
    expect(result).toMatchObject({ id: expect.stringMatching(/^sub_/), truncated: false });
    await ask(b.client(), 'subscribe', subscription(one.url, { arguments: { of: 3 } }), 'bob');
    expect([all.challenges, one.challenges]).toEqual([1, 1]);
    const start = await ask(a.client(), 'poll', { name: 'note', cursor: null });
    const ids: string[] = [];
    for (let of = 0; of < 6; of++)
      ids.push(await (of % 2 === 0 ? a : b).endpoint.emit('note', { of, text: `t${of}` }));
    await until(() => all.events.length === 6 && one.events.length === 1);
    // Events of one instance keep their order; on a server the others follow its clock, as each instance knows it.
    const heard = all.events.map(({ id }) => id);
    expect(heard.toSorted()).toEqual(ids.toSorted());
    for (const rest of [0, 1]) {
      const own = ids.filter((_, n) => n % 2 === rest);
      expect(heard.filter((id) => own.includes(id))).toEqual(own);
    }
    expect(one.events.map(({ text }) => text)).toEqual(['t3']);
    for (const event of all.events) {
      expect(event.signatures).toEqual([signatureOf(secret, event)]);
      expect(event.subscription).toBe(result['id']);
    }
    const polled = await ask(b.client(), 'poll', { name: 'note', cursor: start.result['cursor'] });
    expect(polled.result).toMatchObject({ hasMore: false, truncated: false });
    const events = polled.result['events'] as Array<{ eventId: string }>;
    expect(events.map(({ eventId }) => eventId)).toEqual(heard);
    const again = await ask(a.client(), 'poll', { name: 'note', cursor: polled.result['cursor'] });
    expect(again.result['events']).toEqual([]);
  });

  test('an event for one user reaches no other one', async () => {
    const [a] = await serveFleet(1, { store: sharedStore(kind), ...eventsOf({ note: {} }) }, [
      NODE,
    ]);
    const callbacks = await openCallbacks();
    const [ann, bob] = [callbacks.path('ann'), callbacks.path('bob')];
    await ask(a.client(), 'subscribe', subscription(ann.url), 'ann');
    await ask(a.client(), 'subscribe', subscription(bob.url), 'bob');
    const start = await ask(a.client(), 'poll', { name: 'note' }, 'bob');
    await a.endpoint.emit('note', { text: 'hers' }, { userKey: userKeyOf('ann') });
    await a.endpoint.emit('note', { text: 'of all' });
    await until(() => ann.events.length === 2 && bob.events.length === 1);
    expect(bob.events[0]?.text).toBe('of all');
    const polled = await ask(
      a.client(),
      'poll',
      { name: 'note', cursor: start.result['cursor'] },
      'bob',
    );
    expect(polled.result['events']).toMatchObject([{ data: { text: 'of all' } }]);
  });
});

test('B271 a callback that is down delays no other one, and gets everything in order once it is back', async () => {
  const [a] = await serveFleet(1, eventsOf({ note: {} }), [NODE]);
  const callbacks = await openCallbacks();
  const [good, bad, slow] = [callbacks.path('good'), callbacks.path('bad'), callbacks.path('slow')];
  for (const { url } of [good, bad, slow])
    await ask(a.client(), 'subscribe', subscription(url), 'ann');
  bad.status = 500;
  let letGo = (): void => {};
  slow.hold = new Promise((resolve) => (letGo = resolve));
  for (let n = 0; n < 8; n++) await a.endpoint.emit('note', { text: `t${n}` });
  await until(() => good.events.length === 8);
  await until(() => bad.posts >= 3);
  expect(bad.events).toEqual([]);
  bad.status = 204;
  letGo();
  const all = Array.from({ length: 8 }, (_, n) => `t${n}`);
  await until(() => bad.events.length >= 8 && slow.events.length >= 8);
  expect(bad.events.map(({ text }) => text)).toEqual(all);
  expect([...new Set(slow.events.map(({ text }) => text))]).toEqual(all);
  await a.endpoint.emit('note', { text: 'last' });
  await until(() => [good, bad, slow].every(({ events }) => events.at(-1)?.text === 'last'));
});

test('a timer that fires early stalls no callback that fails', async () => {
  const early = (fn: () => void, ms = 0) => setTimeout(fn, Math.max(0, ms - 20));
  const time = { now: Date.now, setTimeout: early, clearTimeout };
  const [a] = await serveFleet(1, { ...eventsOf({ note: {} }), timeProvider: time }, [NODE]);
  const path = (await openCallbacks()).path('p');
  await ask(a.client(), 'subscribe', subscription(path.url), 'ann');
  path.status = 503;
  await a.endpoint.emit('note', { text: 'kept' });
  await until(() => path.posts === 3);
  path.status = 204;
  await until(() => path.events.length === 1);
});

test('B274 the secret before signs for 10 minutes beside the new one', async () => {
  const time = createFakeTime();
  const [a] = await serveFleet(1, { ...eventsOf({ note: {} }), timeProvider: time }, [NODE]);
  const path = (await openCallbacks()).path('p');
  const [first, second] = [newSecret(), newSecret()];
  await ask(a.client(), 'subscribe', subscription(path.url, { secret: first }), 'ann');
  await ask(a.client(), 'subscribe', subscription(path.url, { secret: second }), 'ann');
  expect(path.challenges).toBe(1);
  const sent = async () => {
    const before = path.events.length;
    await a.endpoint.emit('note', { text: 'x' });
    await until(() => path.events.length > before);
    const event = path.events[before];
    if (event === undefined) throw new Error('no event');
    return [event.signatures, [second, first].map((secret) => signatureOf(secret, event))];
  };
  const [signatures, both] = await sent();
  expect(signatures).toEqual(both);
  await time.advance(601_000);
  const [later, [only]] = (await sent()) as [string[], string[]];
  expect(later).toEqual([only]);
});

test('B290 a callback that keeps failing is suspended: a refresh says why, and brings what it missed', async () => {
  const time = createFakeTime();
  const states: string[] = [];
  const outcomes: string[] = [];
  const observe = (notice: Notice): void => {
    if (notice.kind === 'subscriptionChanged') states.push(notice.state);
    if (notice.kind === 'eventPosted') outcomes.push(notice.outcome);
  };
  const options = { ...eventsOf({ note: {} }), timeProvider: time, observe, metrics: true };
  const [a] = await serveFleet(1, options, [NODE]);
  const path = (await openCallbacks()).path('p');
  const refresh = async () =>
    (await ask(a.client(), 'subscribe', subscription(path.url), 'ann')).result['deliveryStatus'];
  const counted = (): string[] =>
    a.endpoint
      .metrics()
      .split('\n')
      .filter((line) => line.startsWith('sojourn_event_subscriptions') && !line.endsWith(' 0'));
  expect(await refresh()).toBeUndefined();
  await a.endpoint.emit('note', { text: 'first' });
  await until(() => path.events.length === 1);
  expect(counted()).toEqual(['sojourn_event_subscriptions{state="live"} 1']);
  path.status = 503;
  const failedSince = new Date(time.now()).toISOString();
  await a.endpoint.emit('note', { text: 'missed' });
  await until(() => path.posts === 2);
  const failing = { lastDeliveryAt: null, lastError: 'http_5xx', failedSince };
  await until(() => counted()[0] === 'sojourn_event_subscriptions{state="behind"} 1');
  expect(await refresh()).toEqual({ active: true, ...failing });
  await until(async () => {
    await time.advance(121_000);
    return states.includes('suspended');
  });
  const posts = path.posts;
  await time.advance(121_000);
  expect(path.posts).toBe(posts);
  expect(counted()).toEqual(['sojourn_event_subscriptions{state="suspended"} 1']);
  path.status = 204;
  expect(await refresh()).toEqual({ active: false, ...failing });
  await until(() => path.events.length === 2);
  await until(() => states.at(-1) === 'live');
  expect(path.events.map(({ text }) => text)).toEqual(['first', 'missed']);
  expect(await refresh()).toBeUndefined();
  expect(states).toEqual(['added', 'behind', 'suspended', 'live']);
  expect([...new Set(outcomes)]).toEqual(['taken', 'http_5xx']);
});
