/** What an instance is called and in which state it is, by the leases that are seen. */
import { expect, test } from 'vitest';
import { nameIn } from '../../dashboard/format.ts';
import { Fleet } from '../../src/dashboard/server/fleet.ts';
import type { OwnFigures } from '../../src/dashboard/server/own-figures.ts';
import type { InstanceLease } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';

/** A fleet whose leases the test writes. */
function watched() {
  const time = createFakeTime();
  let own: { awaySince: number | undefined } = { awaySince: undefined };
  const deaf = new Set<string>();
  const left = new Set<string>();
  const lease = { id: 'self', firstId: 'self', ownersMayReturn: false };
  let take: (leases: readonly InstanceLease[]) => void = () => {};
  const instance = {
    lease,
    leases: async () => leases,
    listens: async (id: string) => !deaf.has(id),
    left: async (id: string) => left.has(id),
    watch: (watch: typeof take) => (take = watch),
  };
  let leases: readonly InstanceLease[] = [];
  const records = { read: () => undefined, create: () => 'created', save: () => 'written', trim: () => {} };
  const options = { timeProvider: time, leaseMs: 3_000, store: { inProcess: false } };
  const figures = { read: () => undefined, text: () => '{}', storeTook: () => {}, ...own };
  Object.defineProperty(figures, 'awaySince', { get: () => own.awaySince });
  const fleet = new Fleet(
    { instance, options, store: { figures: records } } as never,
    figures as unknown as OwnFigures,
  );
  let stamp = 0;
  const begun = time.now();
  const of = (id: string, given: { key?: string; pid?: number; host?: string; state?: 'draining' } = {}) => {
    const { key = id, pid = 1, host = `host-${key}`, ...more } = given;
    return leaseOf({ id, key, pid, host, ...more });
  };
  const leaseOf = ({
    id,
    key,
    pid,
    host,
    ...more
  }: {
    id: string;
    key: string;
    pid: number;
    host: string;
  }): InstanceLease => ({
    id,
    state: 'serving',
    version: '1',
    stamp: String((stamp += 1)),
    process: { host, pid, startedAt: begun - 5_000, runtime: 'Node.js', first: key },
    ...more,
  });
  return {
    deaf,
    left,
    lease,
    of,
    away: (since: number | undefined) => (own = { awaySince: since }),
    begun,
    time,
    /** A renewal is seen, and so are these leases. */
    see(...seen: readonly InstanceLease[]) {
      leases = seen;
      take(seen);
    },
    async rows() {
      const { instances, readAt } = await fleet.look();
      const short = instances.map(({ id, state, since }) => [nameIn(instances, id), state, since - begun] as const);
      return { instances, readAt: readAt - begun, short };
    },
  };
}

test('a killed instance is silent at once, and killed since then; one that gave its lease back has left', async () => {
  const { deaf, left, of, see, rows, time } = watched();
  see(of('self'), of('a'), of('b'));
  expect((await rows()).short).toEqual([
    ['host-self', 'serving', -5_000],
    ['host-a', 'serving', -5_000],
    ['host-b', 'serving', -5_000],
  ]);
  await time.advance(1_000);
  const last = of('a');
  see(of('self'), last, of('b', { state: 'draining' }));
  // The process takes no message, and its lease lasts.
  deaf.add('a');
  await time.advance(500);
  expect((await rows()).short.slice(1)).toEqual([
    ['host-a', 'silent', 1_500],
    ['host-b', 'draining', 1_000],
  ]);
  await time.advance(2_500);
  left.add('b');
  see(of('self'));
  await time.advance(30_000);
  see(of('self'));
  const { short } = await rows();
  expect(short.slice(1)).toEqual([
    ['host-a', 'killed', 1_500],
    ['host-b', 'left', 4_000],
  ]);
  await time.advance(100_000);
  see(of('self'));
  expect((await rows()).short).toHaveLength(1);
});

test('a frozen instance takes messages and does not renew: it is silent since its last renewal', async () => {
  const { of, see, rows, time } = watched();
  const last = of('a');
  see(of('self'), last);
  for (let n = 0; n < 3; n++) {
    await time.advance(1_000);
    see(of('self'), last);
  }
  expect((await rows()).short[1]).toEqual(['host-a', 'silent', 0]);
  see(of('self'), of('a'));
  expect((await rows()).short[1]?.[1]).toBe('serving');
});

test('while the store is away nothing changes; an instance that takes another lease then has joined once', async () => {
  const { away, begun, lease, of, see, rows, time } = watched();
  see(of('self'), of('a'));
  await time.advance(200);
  away(begun + 200);
  await time.advance(6_000);
  expect((await rows()).short.map(([, state]) => state)).toEqual(['serving', 'serving']);
  expect((await rows()).readAt).toBe(0);
  // Every lease ran out. The others take theirs again a moment later.
  away(undefined);
  lease.ownersMayReturn = true;
  lease.id = 'self-2';
  see(of('self-2', { key: 'self' }));
  expect((await rows()).short.map(([, state]) => state)).toEqual(['serving', 'serving']);
  await time.advance(1_000);
  lease.ownersMayReturn = false;
  see(of('self-2', { key: 'self' }), of('a-2', { key: 'a' }));
  const { instances } = await rows();
  expect(instances.map(({ id, state }) => [id, state])).toEqual([
    ['self-2', 'serving'],
    ['a-2', 'serving'],
  ]);
  expect(instances.map(({ joinedAt }) => joinedAt - begun)).toEqual([-5_000, -5_000]);
});

test('a host that has several instances is named with their processes', async () => {
  const { of, see, rows } = watched();
  see(of('self'), of('a', { host: 'web' }), of('b', { host: 'web', pid: 2 }));
  expect((await rows()).short.map(([name]) => name)).toEqual(['host-self', 'web 1', 'web 2']);
});
