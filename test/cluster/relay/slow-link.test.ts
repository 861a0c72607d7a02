/** A link whose other end takes nothing: no stream over it may fill the memory of the owner. */
import { expect, test } from 'vitest';
import { Link } from '../../../src/cluster/instance-link.ts';
import { CREDIT_BYTES } from '../../../src/cluster/send-queue.ts';
import { memoryRows } from '../../../src/http/limits/memory-rows.ts';
import type { LinkSink } from '../../../src/cluster/relay/link-sink.ts';
import { Relay } from '../../../src/cluster/relay/relay.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { say, textOf, tool } from '../../kit/lab.ts';
import { userHeader } from '../../kit/serve.ts';
import { turns } from '../../kit/until.ts';
import { watchedStore } from '../../kit/watched-store.ts';

const MESSAGE = 'x'.repeat(CREDIT_BYTES / 4);
const quiet = { send: () => {}, receive: () => {}, onDoubt: () => {} };

/** A link, and the sinks of calls that another instance relayed to this one; `user` of each. */
function answering() {
  const time = createFakeTime();
  const link = new Link({ peer: 'b', time, leaseMs: 10_000, ...quiet });
  const sinks: LinkSink[] = [];
  const left: string[] = [];
  const relay = new Relay({
    options: { relayedHeaders: [], timeProvider: time, notices: { wanted: {} } },
    instance: { lease: { valid: true }, links: { to: () => link } },
    lifecycle: {},
    memory: memoryRows(Infinity).requests,
    server: {
      serveRelayed: (_item: unknown, _caller: unknown, sink: LinkSink) => void sinks.push(sink),
    },
  } as never);
  const stream = (user: string, name = user): LinkSink => {
    relay.serve(link, { t: 'call', n: sinks.length, user, headers: {} } as never);
    const sink = sinks.at(-1) as LinkSink;
    sink.onClose(() => left.push(name));
    sink.begin({ form: 'events' });
    return sink;
  };
  return { link, relay, stream, left };
}

const turn = (): Promise<void> => new Promise((next) => setImmediate(next));
const write = (sink: LinkSink, messages: number): void => {
  for (let n = 0; n < messages; n++) sink.message(MESSAGE);
};

test('above twice its credit the stream with most on the link is cut, also for what one turn sends', async () => {
  const { link, stream, left } = answering();
  const [most, less, other] = [stream('ann', 'most'), stream('ann', 'less'), stream('bob')];
  write(most, 6);
  write(less, 2);
  expect(left).toEqual([]);
  await turn();
  // Bob has less than his part of the credit.
  write(other, 1);
  await turn();
  expect(left).toEqual([]);
  less.message('x');
  expect([most.isOpen, less.isOpen, left]).toEqual([false, true, ['most']]);
  expect(link.unackedBytes).toBeLessThan(2 * CREDIT_BYTES);
  write(less, 12);
  expect([less.isOpen, left]).toEqual([false, ['most', 'less']]);
  expect(link.unackedBytes).toBeLessThan(2 * CREDIT_BYTES);
  expect(other.isOpen).toBe(true);
  link.fail();
});

test('an answer that is complete adds nothing and is not cut: of its user no other call writes until it has left', async () => {
  const { link, stream, left } = answering();
  const [large, next, other] = [stream('ann', 'large'), stream('ann', 'next'), stream('bob')];
  large.message(MESSAGE.repeat(9));
  large.end();
  other.message('x');
  await turn();
  next.message('x');
  other.message('x');
  expect(left).toEqual(['next']);
  expect(link.unackedBytes).toBeGreaterThan(2 * CREDIT_BYTES);
  link.fail();
});

test('calls that wait for room are sent as there is room for them, however many wait, and no other user waits', async () => {
  const { link, relay } = answering();
  const send = (user: string, text: string): void => {
    const caller = { headers: {}, absoluteUrl: '', user, onClose: () => {} };
    const post = { messages: [{ kind: 'request' }], requests: [{}], text };
    void relay.send('b', { kind: 'post', caller, post, sink: {} } as never);
  };
  link.push({ t: 'ping' }, CREDIT_BYTES, 'user ann');
  for (let n = 0; n < 20; n++) send('ann', MESSAGE);
  const before = link.unackedBytes;
  send('bob', 'x');
  await turn();
  expect(link.unackedBytes - before).toBeGreaterThan(0);
  expect(link.unackedBytes - before).toBeLessThan(MESSAGE.length);
  link.receive({ kind: 'link', v: 1, to: 'a', first: 0, items: [], ack: 1 });
  await turn();
  expect(link.unackedBytes).toBeGreaterThan(CREDIT_BYTES / 4);
  expect(link.unackedBytes).toBeLessThanOrEqual(CREDIT_BYTES);
  link.fail();
});

test('beside large answers of one user no small call of another is cut', async () => {
  const settings = { face: 'node', auth: userHeader } as const;
  const store = watchedStore({ durable: true });
  const options = { store, responseMode: 'json' } as const;
  const [a, b] = await serveFleet(2, options, [settings, settings]);
  const as = (user: string) => ({ headers: { 'x-user': user }, timeoutMs: 30_000 });
  const open = async (user: string) => b.join(await a.openSession({}, as(user)), as(user));
  const bob = await open('bob');
  const ann = await Promise.all(Array.from({ length: 8 }, () => open('ann')));
  const large = 'x'.repeat(4_000_000);
  // Past twice the credit her own calls are cut, and those before are whole.
  const calls = Promise.all(
    ann.map((one) =>
      one.call(...tool('hold')).then(
        ({ message }) => textOf(message) === large || 'other',
        () => 'cut',
      ),
    ),
  );
  await a.lab.held(ann.length - 1);
  store.before['instances.send'] = () => turns(100);
  const small = Array.from({ length: 50 }, (_, n) => say(bob, 'echo', { text: `${n}` }));
  for (const held of a.lab.holds) held.answer(large);
  expect(await Promise.all(small)).toEqual(small.map((_, n) => `${n}`));
  expect((await calls).filter((one) => one !== 'cut')).toEqual(Array(5).fill(true));
});

test('long answers that are stored at the same time all arrive: each waits until the link has room', async () => {
  const store = watchedStore({ durable: true });
  store.before['sessions.append'] = () => turns(20);
  const [a, b] = await serveFleet(2, { store });
  const clients = await Promise.all(
    Array.from({ length: 16 }, async () => b.join(await a.openSession())),
  );
  const calls = clients.map((one) => one.call('tools/call', { name: 'hold', arguments: {} }));
  await a.lab.held(clients.length - 1);
  const answer = 'x'.repeat(1_500_000);
  for (const held of a.lab.holds) held.answer(answer);
  const texts = (await Promise.all(calls)).map(({ message }) => textOf(message) === answer);
  expect(texts).toEqual(clients.map(() => true));
});
