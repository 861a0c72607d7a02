/** A call that arrives a second time, because its relaying instance lost the link to the owner. */
import { expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
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
