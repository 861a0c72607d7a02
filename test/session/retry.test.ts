/** A call that arrives a second time, because its relaying instance lost the link to the owner. */
import { expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore, type WatchedStore } from '../kit/watched-store.ts';

const LEASE_MS = 1_000;

interface Sent {
  readonly first?: number;
  readonly ack?: number;
  readonly items?: ReadonlyArray<{ readonly t: string; readonly again?: boolean }>;
}

const sent = (store: WatchedStore): Sent[] =>
  store.calls.filter(({ call }) => call === 'instances.send').map(({ args }) => args[2] as Sent);

/** Whether the owner has taken a call that was marked as a retry. */
function retryArrived(relaying: WatchedStore, owner: WatchedStore): boolean {
  const message = sent(relaying).find(({ items = [] }) => items.some(({ t, again }) => t === 'call' && again === true));
  if (message === undefined) return false;
  const no = (message.first ?? 0) + (message.items ?? []).findIndex(({ t }) => t === 'call');
  return sent(owner).some(({ ack = 0 }) => ack > no);
}

test('a retry that arrives while the answer of the first attempt is being stored gets that answer', async () => {
  const connect = sharedStore('sqlite');
  const stores = [0, 1].map(() => watchedStore({ durable: true, inProcess: false, inner: connect() }));
  const [ofA, ofB] = stores as [WatchedStore, WatchedStore];
  let next = 0;
  const options = { store: () => stores[next++] as WatchedStore, leaseMs: LEASE_MS };
  const [a, b] = (await serveFleet(2, options)) as [Member, Member];
  const onA = a.client();
  await onA.initialize();
  const first = gate();
  ofA.before['events.append'] = first.hook;
  const called = b.join(onA).call(...tool('hold'));
  await until(() => first.waiting === 1);
  // The relaying instance takes a new id, and cannot know whether the call runs.
  for (const call of ['instances.renew', 'instances.announce'] as const) {
    ofB.before[call] = () => {
      throw storeAway('the test says so');
    };
  }
  await until(() => b.endpoint.health().state === 'lapsed');
  const answer = gate();
  ofA.before['events.append'] = answer.hook;
  first.open();
  (await a.lab.held()).answer('once');
  await until(() => answer.waiting === 1);
  ofB.calls.length = ofA.calls.length = 0;
  delete ofB.before['instances.renew'];
  delete ofB.before['instances.announce'];
  await until(() => retryArrived(ofB, ofA));
  answer.open();
  expect(textOf((await called).message)).toBe('once');
  expect(a.lab.holds).toHaveLength(1);
});

test.each(['2025-11-25', '2025-06-18'])(
  'a retry that arrives after the next owner has run the call again gets the answer of that run (%s)',
  async (protocolVersion) => {
    const ran: string[] = [];
    const lab = (at: 'a' | 'b') =>
      createLab((server) => {
        server.registerTool('look', { annotations: { readOnlyHint: true } }, async () => {
          ran.push(at);
          if (at === 'a') await new Promise(() => {});
          return { content: [{ type: 'text', text: `done by ${at}` }] };
        });
      });
    const store = watchedStore({ durable: true, inProcess: false });
    const [a, b] = (await serveFleet(2, { store }, [{}, {}], [lab('a'), lab('b')])) as [Member, Member];
    const onA = a.client();
    await onA.initialize({ protocolVersion });
    await onA.call('tools/list');
    // The event is stored, but its id does not reach the relaying instance. So that instance sends the call again.
    const stored = gate();
    store.after['events.append'] = stored.hook;
    const called = b.join(onA).call(...tool('look'));
    await until(() => ran.length === 1 && stored.waiting === 1);
    delete store.after['events.append'];
    await store.views[0]?.instances.leave(a.id);
    // Restores the session at the relaying instance, where the call runs again and is answered.
    expect(textOf((await b.join(onA).call(...tool('count'))).message)).toBe('1');
    // Its next write tells the former owner, which then ends its part of the relay.
    expect(textOf((await a.join(onA).call(...tool('count'))).message)).toBe('2');
    stored.open();
    expect(textOf((await called).message)).toBe('done by b');
    expect(ran).toEqual(['a', 'b']);
  },
);
