/** A link whose other end takes nothing: no stream over it may fill the memory of the owner. */
import { expect, test } from 'vitest';
import { CREDIT_BYTES, Link } from '../../src/cluster/instance-link.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { LinkSink } from '../../src/relay/link-sink.ts';
import { Relay } from '../../src/relay/relay.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { serveFleet } from '../kit/fleet.ts';
import { textOf } from '../kit/lab.ts';
import { turns } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

const MESSAGE = 'x'.repeat(CREDIT_BYTES / 4);
const quiet = { send: () => {}, receive: () => {}, onDoubt: () => {} };

test('a stream is cut once the link is over twice its credit, and what one turn sends is not cut', async () => {
  const time = createFakeTime();
  const link = new Link({ peer: 'b', time, leaseMs: 10_000, ...quiet });
  const sink = new LinkSink({
    link,
    n: 1,
    memory: memoryRows(Infinity).requests,
    share: 'a',
    report: (cause) => {
      throw cause;
    },
    finished: () => {},
  });
  let left = 0;
  sink.onClose(() => (left += 1));
  sink.begin({ form: 'events' });
  for (let n = 0; n < 12; n++) sink.message(MESSAGE);
  expect(sink.isOpen).toBe(true);
  await new Promise((next) => setImmediate(next));
  sink.message(MESSAGE);
  expect([sink.isOpen, left]).toEqual([false, 1]);
  link.fail();
});

test('calls that wait for room are sent as there is room for them, however many wait', async () => {
  const time = createFakeTime();
  const link = new Link({ peer: 'b', time, leaseMs: 10_000, ...quiet });
  const options = { relayedHeaders: [], timeProvider: time, notices: { wanted: {} } };
  const relay = new Relay({
    options,
    instance: { lease: { valid: true }, links: { to: () => link } },
    lifecycle: {},
  } as never);
  const caller = { headers: {}, absoluteUrl: '', onClose: () => {} };
  const post = { messages: [{ kind: 'request' }], text: MESSAGE };
  link.push({ t: 'ping' }, CREDIT_BYTES);
  for (let n = 0; n < 20; n++) void relay.send('b', { kind: 'post', caller, post, sink: {} } as never);
  link.receive({ kind: 'link', v: 1, to: 'a', first: 0, items: [], ack: 1 });
  await new Promise((next) => setImmediate(next));
  expect(link.unackedBytes).toBeGreaterThan(CREDIT_BYTES / 2);
  expect(link.unackedBytes).toBeLessThanOrEqual(CREDIT_BYTES);
  link.fail();
});

test('long answers that are stored at the same time all arrive: each waits until the link has room', async () => {
  const store = watchedStore({ durable: true });
  store.before['sessions.append'] = () => turns(20);
  const [a, b] = await serveFleet(2, { store });
  const clients = await Promise.all(Array.from({ length: 16 }, async () => b.join(await a.openSession())));
  const calls = clients.map((one) => one.call('tools/call', { name: 'hold', arguments: {} }));
  await a.lab.held(clients.length - 1);
  const answer = 'x'.repeat(1_500_000);
  for (const held of a.lab.holds) held.answer(answer);
  const texts = (await Promise.all(calls)).map(({ message }) => textOf(message) === answer);
  expect(texts).toEqual(clients.map(() => true));
});
