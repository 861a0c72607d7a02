import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Link } from '../../src/cluster/instance-link.ts';
import type { LinkItem, LinkMessage } from '../../src/cluster/messages.ts';
import { CREDIT_BYTES } from '../../src/cluster/send-queue.ts';
import { createFakeTime, type FakeTime } from '../../src/testing/index.ts';

const LEASE_MS = 3_000;

/** What happens to a message: it is lost, or delivered after these delays in ms, once or twice. */
type Fate = 'lost' | { readonly delays: readonly number[] };

interface End {
  readonly link: Link;
  readonly got: LinkItem[];
  readonly sent: LinkMessage[];
  doubts: number;
}

/** Two ends. `fate` decides about each message, in the order of sending. */
function pair(
  time: FakeTime,
  fate: (message: LinkMessage) => Fate = () => ({ delays: [0] }),
): { a: End; b: End } {
  const make = (peer: string, other: () => End): End => {
    const end: End = {
      got: [],
      sent: [],
      doubts: 0,
      link: new Link({
        peer,
        time,
        leaseMs: LEASE_MS,
        send: (message) => {
          end.sent.push(message);
          const copy = JSON.parse(JSON.stringify(message)) as LinkMessage;
          const become = fate(message);
          if (become === 'lost') return;
          for (const ms of become.delays) {
            if (ms === 0) queueMicrotask(() => other().link.receive(copy));
            else time.setTimeout(() => other().link.receive(copy), ms);
          }
        },
        receive: (item) => void end.got.push(item),
        onDoubt: () => {
          end.doubts += 1;
          end.link.sawLease();
        },
      }),
    };
    return end;
  };
  const a: End = make('b', () => b);
  const b: End = make('a', () => a);
  return { a, b };
}

const item = (n: number): LinkItem => ({ t: 'gone', n });
const numbers = ({ got }: End): unknown[] => got.map((each) => 'n' in each && each.n);

describe('over mailboxes that lose, double, delay and reorder', () => {
  const fate: fc.Arbitrary<Fate> = fc.oneof(
    { weight: 3, arbitrary: fc.constant<Fate>({ delays: [0] }) },
    { weight: 2, arbitrary: fc.constant<Fate>('lost') },
    {
      weight: 2,
      arbitrary: fc.record({
        delays: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 3 }),
      }),
    },
  );
  const users = ['ann', 'bob', 'cyd'] as const;
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        push: fc.constantFrom('a' as const, 'b' as const),
        user: fc.constantFrom(...users),
      }),
    },
    // In two parts.
    {
      weight: 1,
      arbitrary: fc.record({
        push: fc.constant('a' as const),
        user: fc.constantFrom(...users),
        length: fc.constant(270_000),
      }),
    },
    { weight: 1, arbitrary: fc.record({ withdraw: fc.constantFrom(...users) }) },
    { weight: 4, arbitrary: fc.record({ pass: fc.nat({ max: 15 }) }) },
  );
  const own = (got: readonly LinkItem[], user: string): unknown[] =>
    got.flatMap((one) => (one.t === 'answer' && one.values[0]?.[1] === user ? [one.n] : []));

  test('all that users push arrives once, in the order of each, and is known to; what is taken back may not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fate, { minLength: 10, maxLength: 60 }),
        fc.array(step, { maxLength: 40 }),
        async (fates, steps) => {
          const time = createFakeTime();
          let sent = 0;
          // After the given fates, every message arrives.
          const ends = pair(time, () => fates[sent++] ?? { delays: [0] });
          const pushed = { a: [] as LinkItem[], b: [] as LinkItem[] };
          const taken = { a: new Set<LinkItem>(), b: new Set<LinkItem>() };
          const back = new Set<LinkItem>();
          for (const one of steps) {
            if ('pass' in one) await time.advance(one.pass);
            else if ('withdraw' in one) {
              const last = pushed.a.findLast((each) => own([each], one.withdraw).length > 0);
              if (last === undefined || taken.a.has(last)) continue;
              back.add(last);
              ends.a.link.withdraw((each) => each === last);
            } else {
              const { push, user } = one;
              const length = 'length' in one ? one.length : 1;
              const values = [['message', user, 'x'.repeat(length)]] as const;
              const next: LinkItem = { t: 'answer', n: pushed[push].length, values };
              pushed[push].push(next);
              ends[push].link.push(next, length, user, () => taken[push].add(next));
            }
          }
          await time.advance(60 * LEASE_MS);
          for (const user of users) {
            expect(own(ends.a.got, user)).toEqual(own(pushed.b, user));
            const arrived = own(ends.b.got, user);
            const wanted = pushed.a.filter(
              (each) => !back.has(each) || arrived.includes((each as { n: number }).n),
            );
            expect(arrived).toEqual(own(wanted, user));
          }
          const kept = pushed.a.filter((each) => !back.has(each));
          expect(
            [kept, pushed.b].map((all, n) =>
              all.every((each) => (n === 0 ? taken.a : taken.b).has(each)),
            ),
          ).toEqual([true, true]);
          expect([taken.a.size, taken.b.size]).toEqual([kept.length, pushed.b.length]);
          expect([ends.a.link.unackedBytes, ends.b.link.unackedBytes, time.pendingTimers]).toEqual([
            0, 0, 0,
          ]);
        },
      ),
      { numRuns: 200 },
    );
  });
});

test('users take turns: beside one with much, an item of another is sent next, and a large item is whole between them', async () => {
  const time = createFakeTime();
  const { a, b } = pair(time, () => ({ delays: [10] }));
  const large = (n: number): LinkItem => ({
    t: 'answer',
    n,
    values: [['message', 'x'.repeat(2_000_000)]],
  });
  for (let n = 0; n < 8; n++) a.link.push(large(n), 2_000_000, 'ann');
  await time.advance(1);
  for (let n = 10; n < 20; n++) a.link.push(item(n), 100, n % 2 === 0 ? 'bob' : 'cyd');
  await time.advance(LEASE_MS);
  const order = numbers(b).filter((n) => n !== false);
  // The first window had left when they came.
  expect(order.indexOf(0)).toBe(10);
  expect(order.toSorted((x, y) => Number(x) - Number(y))).toEqual(
    Array.from({ length: 18 }, (_, n) => (n < 8 ? n : n + 2)),
  );
  const lengths = b.got.flatMap((one) =>
    one.t === 'answer' ? [`${one.values[0]?.[1]}`.length] : [],
  );
  expect(lengths).toEqual(Array(8).fill(2_000_000));
});

test('a lost item is sent again as soon as a later one arrives, with all that followed it', async () => {
  const time = createFakeTime();
  let lose = 1;
  const { a, b } = pair(time, () => (lose-- > 0 ? 'lost' : { delays: [0] }));
  for (let n = 0; n < 4; n++) {
    a.link.push(item(n), 1, 'user');
    await Promise.resolve();
  }
  await time.advance(1);
  expect(numbers(b)).toEqual([0, 1, 2, 3]);
  const sentAgain = a.sent.filter(({ first, items }) => first === 0 && items.length > 0);
  expect(sentAgain).toHaveLength(2);
});

test('items of one turn leave in one message, and an answer in that turn carries the acknowledgement', async () => {
  const time = createFakeTime();
  const { a, b } = pair(time);
  a.link.push(item(0), 1, 'user');
  a.link.push(item(1), 1, 'user');
  await Promise.resolve();
  await Promise.resolve();
  b.link.push(item(9), 1, 'user');
  await time.advance(5);
  expect(a.sent.filter(({ items }) => items.length > 0).map(({ items }) => items.length)).toEqual([
    2,
  ]);
  expect(b.sent.map(({ items, ack }) => [items.length, ack])).toEqual([[1, 2]]);
});

test('a ping follows an unacknowledged item after 10 ms, every 20 ms for 200 ms, then every third of the lease', async () => {
  const time = createFakeTime();
  const { a } = pair(time, () => 'lost');
  a.link.push(item(0), 1, 'user');
  const at: number[] = [];
  const start = time.now();
  let seen = 1;
  for (let ms = 0; ms < 2_500; ms++) {
    await time.advance(1);
    for (; seen < a.sent.length; seen++) at.push(time.now() - start);
  }
  const quick = [10, ...Array.from({ length: 10 }, (_, n) => 30 + 20 * n)];
  expect(at.slice(0, 11)).toEqual(quick);
  expect(at.slice(11)).toEqual([1_210, 2_210]);
  expect(a.sent.slice(1).map(({ first, items }) => [first, items])).toEqual(
    Array(13).fill([1, [{ t: 'ping' }]]),
  );
  a.link.fail();
});

test('while something is held on it the peer is doubted every third of the lease, and no longer', async () => {
  const time = createFakeTime();
  const { a } = pair(time);
  const letGo = a.link.hold('stream');
  // Each doubt is followed by a ping, and the peer is silent again from its acknowledgement on.
  await time.advance(LEASE_MS + 50);
  expect(a.doubts).toBe(3);
  letGo();
  letGo();
  await time.advance(LEASE_MS);
  expect([a.doubts, time.pendingTimers]).toEqual([4, 0]);
});

test('while a call waits for its answer a silent peer is checked every 100 ms; a peer that sends messages is not', async () => {
  const time = createFakeTime();
  const { a, b } = pair(time);
  const stream = a.link.hold('stream');
  await time.advance(50);
  const call = a.link.hold('call');
  await time.advance(350);
  expect(a.doubts).toBe(3);
  for (let n = 0; n < 30; n++) {
    b.link.push(item(n), 1, 'user');
    await time.advance(90);
  }
  expect([numbers(a).length, a.doubts]).toEqual([30, 3]);
  call();
  await time.advance(LEASE_MS);
  expect(a.doubts).toBeLessThanOrEqual(7);
  stream();
  await time.advance(LEASE_MS);
  expect(time.pendingTimers).toBe(0);
});

test('copies of what arrived before show nothing about the peer: it is doubted as if it were silent', async () => {
  const time = createFakeTime();
  const { a, b } = pair(time);
  a.link.push(item(0), 1, 'user');
  b.link.push(item(1), 1, 'user');
  a.link.ping();
  b.link.ping();
  await time.advance(10);
  expect(a.link.heardWithin(20)).toBe(true);
  const recorded = [...b.sent];
  expect(recorded.some(({ items }) => items.some(({ t }) => t === 'ping'))).toBe(true);
  const call = a.link.hold('call');
  const before = a.sent.length;
  for (let ms = 0; ms < 400; ms += 10) {
    for (const message of recorded) a.link.receive(structuredClone(message));
    await time.advance(10);
  }
  expect([a.link.heardWithin(400), a.doubts]).toEqual([false, 4]);
  // However many copies arrive, what they bring is acknowledged every 5 ms at most, and never sent again.
  const sent = a.sent.slice(before);
  expect([
    sent.length <= 80,
    sent.filter(({ items }) => items.some(({ t }) => t !== 'ping')),
  ]).toEqual([true, []]);
  b.link.ping();
  await time.advance(1);
  expect(a.link.heardWithin(20)).toBe(true);
  call();
});

test('a peer that is heard is doubted once in a lease time', async () => {
  const time = createFakeTime();
  const { a, b } = pair(time);
  const call = a.link.hold('call');
  for (let n = 0; n < 200; n++) {
    b.link.push(item(n), 1, 'user');
    await time.advance(LEASE_MS / 50);
  }
  expect(a.doubts).toBe(4);
  call();
});

test('a large item travels in parts, a window at a time, and arrives whole between the others', async () => {
  const time = createFakeTime();
  const { a, b } = pair(time);
  const taken = vi.fn<(what: string) => void>();
  const large: LinkItem = {
    t: 'answer',
    n: 1,
    values: [['message', '\u{1F600}"a'.repeat(700_000)]],
  };
  a.link.push(item(0), 1, 'user');
  a.link.push(large, 3_000_000, 'user', () => taken('large'));
  a.link.push(item(2), 1, 'user', () => taken('last'));
  await Promise.resolve();
  expect(JSON.stringify(a.sent).length).toBeLessThan(3_000_000);
  await time.advance(200);
  expect(b.got).toEqual([item(0), large, item(2)]);
  expect(taken.mock.calls).toEqual([['large'], ['last']]);
  expect(Math.max(...a.sent.map((message) => JSON.stringify(message).length))).toBeLessThan(
    3_000_000,
  );
  expect([a.link.unackedBytes, time.pendingTimers]).toEqual([0, 0]);
});

test('behind a full window a slow peer whose answers are lost is asked, and no part is sent again', async () => {
  const time = createFakeTime();
  let losesAcks = true;
  time.setTimeout(() => (losesAcks = false), 400);
  const { a, b } = pair(time, ({ to }) => (to === 'a' && losesAcks ? 'lost' : { delays: [100] }));
  const large: LinkItem = { t: 'answer', n: 1, values: [['message', 'x'.repeat(3_000_000)]] };
  a.link.push(large, 3_000_000, 'user');
  await time.advance(2 * LEASE_MS);
  expect(b.got).toEqual([large]);
  expect(JSON.stringify(a.sent).length).toBeLessThan(3_100_000);
});

test.each([1, 2])(
  'a large item that is taken back never arrives, when %i messages of the link have arrived',
  async (arrive) => {
    const time = createFakeTime();
    let open = arrive;
    const { a, b } = pair(time, () => (open-- > 0 ? { delays: [0] } : 'lost'));
    const large: LinkItem = { t: 'answer', n: 1, values: [['message', 'x'.repeat(3_000_000)]] };
    a.link.push(large, 3_000_000, 'user');
    await time.advance(20);
    a.link.withdraw((one) => one === large);
    for (const next of [item(7), { ...large, n: 2 }]) a.link.push(next, 3_000_000, 'user');
    open = Infinity;
    await time.advance(LEASE_MS);
    expect(b.got).toEqual([item(7), { ...large, n: 2 }]);
  },
);

test('past its credit what is to be pushed waits, until the peer has taken what went before or the link fails', async () => {
  const time = createFakeTime();
  let open = false;
  const { a, b } = pair(time, () => (open ? { delays: [0] } : 'lost'));
  a.link.push(item(0), CREDIT_BYTES, 'user');
  const waiting = vi.fn<() => void>();
  void a.link.room('user', 1).then(waiting);
  await time.advance(100);
  expect(waiting).not.toHaveBeenCalled();
  open = true;
  await time.advance(100);
  expect(waiting).toHaveBeenCalled();
  expect(numbers(b)).toEqual([0]);
  open = false;
  a.link.push(item(1), 1, 'user');
  expect(a.link.fits('user', 2 * CREDIT_BYTES)).toBe(true);
  a.link.push(item(1), CREDIT_BYTES, 'user');
  const failing = a.link.room('user', 1);
  a.link.fail();
  await failing;
  a.link.push(item(2), 1, 'user');
  await time.advance(1_000);
  expect([numbers(b), time.pendingTimers]).toEqual([[0], 0]);
});
