import { expect, test } from 'vitest';
import { Lease } from '../../src/cluster/lease.ts';
import { storeUnavailable } from '../../src/base/errors.ts';
import { Notices } from '../../src/base/observe/notices.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLog } from '../kit/log.ts';

const LEASE_MS = 3_000;
const WAIT_MS = 15_000;

type Options = ConstructorParameters<typeof Lease>[0];

interface Given extends Partial<Options['directory'] & Options['messages']> {
  readonly random?: (bytes: number) => Uint8Array;
}

/** A lease that has joined, with a directory that takes every call except for what is given. */
async function join({ random = (bytes) => new Uint8Array(bytes), ...given }: Given) {
  const [time, log] = [createFakeTime(), createLog()];
  const lapsed: string[] = [];
  let cutOffs = 0;
  const lease = new Lease({
    directory: { renew: async () => true, leave: async () => {}, ...given },
    messages: { announce: async () => {}, ...given },
    inProcess: false,
    leaseMs: LEASE_MS,
    random,
    time,
    logger: log,
    notices: new Notices(),
    maxWaitMs: WAIT_MS,
  });
  await lease.join({
    receive: () => {},
    lapsed: () => void lapsed.push(lease.id),
    extended: () => {},
    storeReachable: () => {},
    cutOff: () => (cutOffs += 1),
  });
  return { time, log, lease, lapsed, cutOffs: () => cutOffs };
}

/** A lease whose store is away at will. */
async function joined() {
  const store: {
    away: boolean;
    tries: number;
    until?: Promise<void> | undefined;
    loseMailbox: () => void;
  } = {
    away: false,
    tries: 0,
    loseMailbox: () => {},
  };
  const ask = async (): Promise<void> => {
    store.tries += 1;
    await store.until;
    if (store.away) throw storeUnavailable('the test says so');
  };
  const all = await join({
    announce: async (_lease, _receive, lost) => {
      store.loseMailbox = lost ?? store.loseMailbox;
      await ask();
    },
    renew: async () => (await ask(), true),
    leave: ask,
  });
  // Just renewed, and the next renewal finds the store away.
  await all.time.advance(LEASE_MS / 3);
  store.away = true;
  return { ...all, store };
}

test('a store that is back shortly before the lease expires finds it renewed in time', async () => {
  const { time, store, lease, lapsed } = await joined();
  await time.advance(LEASE_MS - 300);
  store.away = false;
  await time.advance(300);
  expect(lease.valid).toBe(true);
  expect(lapsed).toEqual([]);
  await lease.leave();
});

test('the first tries after a failure come soon, and an outage costs at most ten tries a second', async () => {
  const { time, store, lease } = await joined();
  await time.advance(LEASE_MS / 3);
  store.tries = 0;
  await time.advance(100);
  expect(store.tries).toBeGreaterThan(1);
  store.tries = 0;
  await time.advance(1_000);
  expect(store.tries).toBeLessThanOrEqual(10);
  store.away = false;
  await time.advance(1_000);
  store.tries = 0;
  await time.advance(LEASE_MS);
  expect(store.tries).toBe(3);
  await lease.leave();
});

type Store = Awaited<ReturnType<typeof joined>>['store'];

test.each([
  // It began just after a renewal here, and just before one elsewhere.
  [
    'an outage that may have cost another instance its lease',
    (_: Store) => {},
    (2 * LEASE_MS) / 3 - 1,
    1,
  ],
  // As those of all instances are when the store restarts. Renewed at once, while another instance may still wait.
  ['a mailbox was lost', (store: Store) => store.loseMailbox(), 0, LEASE_MS / 3],
] as const)(
  'after %s owners may return, also if no renewal here failed',
  async (_, begin, awayMs, afterMs) => {
    const { time, store, lease, lapsed } = await joined();
    store.away = false;
    await time.advance(LEASE_MS / 3);
    expect(lease.ownersMayReturn).toBe(false);
    let back!: () => void;
    store.until = new Promise((resolve) => (back = resolve));
    begin(store);
    await time.advance(awayMs);
    expect(lease.ownersMayReturn).toBe(true);
    back();
    store.until = undefined;
    await time.advance(afterMs);
    expect([lease.valid, lapsed.length, lease.ownersMayReturn]).toEqual([true, 0, true]);
    await time.advance(LEASE_MS);
    expect(lease.ownersMayReturn).toBe(false);
    await lease.leave();
  },
);

test('a renewal that took nearly as long as a lease is followed by the next at once', async () => {
  const { time, store, lease, lapsed } = await joined();
  store.away = false;
  let back!: () => void;
  store.until = new Promise((resolve) => (back = resolve));
  // Sent after a third of the lease, and stored shortly before its end.
  await time.advance(LEASE_MS - 1);
  back();
  store.until = undefined;
  await time.advance(LEASE_MS / 3 - 10);
  // The store is slow again.
  store.until = new Promise((resolve) => (back = resolve));
  await time.advance(20);
  expect(lease.valid).toBe(true);
  expect(lapsed).toEqual([]);
  back();
  store.until = undefined;
  await lease.leave();
});

test('the id that an outage cost its lease is left when the store is back, in case the store still has that lease', async () => {
  const store = { away: false, left: [] as string[] };
  const ask = async (): Promise<void> => {
    if (store.away) throw storeUnavailable('the test says so');
  };
  let drawn = 0;
  const { time, lease } = await join({
    announce: ask,
    renew: async () => (await ask(), true),
    leave: async (id) => {
      await ask();
      store.left.push(id);
    },
    random: (bytes) => new Uint8Array(bytes).fill(drawn++ % 256),
  });
  const { owner } = lease;
  store.away = true;
  await time.advance(3 * LEASE_MS);
  expect(store.left).toEqual([]);
  store.away = false;
  await time.advance(LEASE_MS);
  expect(lease.owner).not.toBe(owner);
  expect(store.left.filter((id) => id === owner)).toEqual([owner]);
  await lease.leave();
});

test('a store that is away for maxWaitMs cuts this instance off, once in an outage', async () => {
  const { time, store, lease, cutOffs } = await joined();
  await time.advance(LEASE_MS / 3 + WAIT_MS - 1);
  expect(cutOffs()).toBe(0);
  await time.advance(500);
  expect(cutOffs()).toBe(1);
  await time.advance(WAIT_MS);
  expect(cutOffs()).toBe(1);
  store.away = false;
  await time.advance(LEASE_MS);
  store.away = true;
  await time.advance(LEASE_MS / 3 + WAIT_MS + 500);
  expect(cutOffs()).toBe(2);
  store.away = false;
  await time.advance(LEASE_MS);
  await lease.leave();
});

test('a mailbox that is lost while the first lease is stored is renewed after that, and is no outage', async () => {
  const renewed: boolean[] = [];
  let stored = false;
  const { time, log, lease } = await join({
    announce: async (_lease, _receive, lost) => {
      lost?.();
      await Promise.resolve();
      stored = true;
    },
    renew: async () => {
      renewed.push(stored);
      if (!stored) throw storeUnavailable('the test says so');
      return true;
    },
  });
  await time.advance(1);
  expect(renewed).toEqual([true]);
  expect(lease.valid).toBe(true);
  expect(log.lines).toEqual([]);
  await lease.leave();
});
