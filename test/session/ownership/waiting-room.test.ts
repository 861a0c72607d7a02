import { expect, test } from 'vitest';
import { WaitingRoom } from '../../../src/session/ownership/waiting-room.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { until } from '../../kit/until.ts';

const REQUESTS = 5_000;
/** As `waiting-room.ts` says. */
const WOKEN_PER_TURN = 100;

function patience(): WaitingRoom {
  return new WaitingRoom({
    time: createFakeTime(),
    random: (bytes) => new Uint8Array(bytes),
    // One user takes half of them.
    places: 2 * REQUESTS,
    bytes: 0,
    lifecycle: { refusal: undefined },
    lease: { valid: true, renewNow: () => {} },
  });
}

test('thousands of requests are woken oldest first, some per turn, also when each that is served wakes the others', async () => {
  const waiting = patience();
  const served: number[] = [];
  for (let n = 0; n < REQUESTS; n++) {
    const ticket = waiting.enter('ann', 0, Infinity, () => {});
    if (ticket === undefined) throw new Error('every place is taken');
    void waiting.next(ticket).then(() => {
      served.push(n);
      waiting.remove(ticket);
      waiting.wake();
    });
  }
  const perTurn: number[] = [];
  waiting.wake();
  for (let before = 0; before < REQUESTS; before = served.length) {
    await new Promise(setImmediate);
    perTurn.push(served.length - before);
  }
  expect(served).toEqual(Array.from({ length: REQUESTS }, (_, n) => n));
  // A turn of this test may see the requests of two turns of the queue.
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(2 * WOKEN_PER_TURN);
});

test('a request that tried and failed while others are woken is woken again', async () => {
  const waiting = patience();
  const [first, ...others] = Array.from({ length: 2 * WOKEN_PER_TURN }, () =>
    waiting.enter('ann', 0, Infinity, () => {}),
  );
  if (first === undefined) throw new Error('every place is taken');
  let tries = 0;
  const trying = (async () => {
    while (await waiting.next(first)) {
      tries += 1;
      // The second wake comes while the first is under way.
      if (tries === 2) waiting.remove(first);
    }
  })();
  for (const ticket of others) {
    if (ticket === undefined) throw new Error('every place is taken');
    void waiting.next(ticket).then(() => {
      waiting.remove(ticket);
      waiting.wake();
    });
  }
  waiting.wake();
  await until(() => waiting.size === 0);
  await trying;
  expect(tries).toBe(2);
});

test('a user takes as many places and bytes as are left free, so that the requests of others still wait', () => {
  const waiting = new WaitingRoom({
    time: createFakeTime(),
    random: (bytes) => new Uint8Array(bytes),
    places: 100,
    bytes: 1_000,
    lifecycle: { refusal: undefined },
    lease: { valid: true, renewNow: () => {} },
  });
  const flood = (user: string, bytes: number) =>
    Array.from({ length: 200 }, () => waiting.enter(user, bytes, Infinity, () => {})).flatMap((ticket) => ticket ?? []);
  const eve = flood('eve', 0);
  expect(eve).toHaveLength(50);
  expect(flood('ann', 0)).toHaveLength(25);
  for (const ticket of eve) waiting.remove(ticket);
  expect(flood('eve', 100)).toHaveLength(5);
  const bob = flood('bob', 100);
  expect(bob).toHaveLength(3);
  for (const ticket of bob) waiting.remove(ticket);
  expect(flood('bob', 100)).toHaveLength(3);
});
