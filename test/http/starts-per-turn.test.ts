import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { StartsPerTurn } from '../../src/http/starts-per-turn.ts';

test('four starts of each user begin in a turn, in order, and those of one user do not delay another', async () => {
  const starts = new StartsPerTurn();
  const began: string[] = [];
  for (let n = 0; n < 10; n++) void starts.run('ann', () => void began.push(`ann ${n}`));
  for (let n = 0; n < 2; n++) void starts.run('bob', () => void began.push(`bob ${n}`));
  expect(began).toEqual(['ann 0', 'ann 1', 'ann 2', 'ann 3', 'bob 0', 'bob 1']);
  expect([starts.mustWait('ann'), starts.mustWait('bob'), starts.mustWait('eve')]).toEqual([true, false, false]);
  await turn();
  expect(began.slice(6)).toEqual(['ann 4', 'ann 5', 'ann 6', 'ann 7']);
  await turn();
  expect(began.slice(10)).toEqual(['ann 8', 'ann 9']);
  await turn();
  expect(starts.mustWait('ann')).toBe(false);
});

test('what a start throws reaches its caller, and the next one begins', async () => {
  const starts = new StartsPerTurn();
  for (let n = 0; n < 4; n++) void starts.run('ann', () => {});
  const failing = starts.run('ann', () => {
    throw new Error('refused');
  });
  const next = starts.run('ann', () => 'begun');
  await expect(failing).rejects.toThrow('refused');
  expect(await next).toBe('begun');
});

test('a start that waits runs in the context of its request, whichever request began the turn', async () => {
  const starts = new StartsPerTurn(1);
  const request = new AsyncLocalStorage<string>();
  const began: unknown[] = [];
  for (const name of ['ann', 'bob', 'eve'])
    request.run(name, () => void starts.run('all', () => void began.push(request.getStore())));
  await turn();
  await turn();
  expect(began).toEqual(['ann', 'bob', 'eve']);
});

test('a start whose client has left never begins, is not kept, and takes no place of a turn', async () => {
  const starts = new StartsPerTurn(1);
  const began: number[] = [];
  const clients = Array.from({ length: 50 }, () => ({ closed: false }));
  for (const [n, client] of clients.entries()) void starts.run('ann', () => void began.push(n), client);
  for (const client of clients.slice(1, 49)) client.closed = true;
  await turn();
  expect(began).toEqual([0, 49]);
  // Nothing runs here now, and the next start has a turn.
  await turn();
  expect(starts.mustWait('ann')).toBe(false);
  for (const n of [50, 51]) void starts.run('ann', () => void began.push(n), { closed: n === 51 });
  await turn();
  expect(starts.mustWait('ann')).toBe(false);
  expect(began).toEqual([0, 49, 50]);
});

/** Work that blocks the event loop for longer than a turn should take. */
function works(): void {
  const until = performance.now() + 25;
  while (performance.now() < until);
}

test('where one start makes a turn long, the start of another user is next', async () => {
  const starts = new StartsPerTurn();
  const began: string[] = [];
  const start = (name: string) => (): void => {
    began.push(name);
    works();
  };
  for (let n = 0; n < 4; n++) void starts.later('ann', start(`ann ${n}`));
  void starts.later('bob', start('bob'));
  for (let n = 0; n < 8 && began.length < 5; n++) await turn();
  expect(began).toEqual(['ann 0', 'bob', 'ann 1', 'ann 2', 'ann 3']);
});

test('what a start does in microtasks makes the turn long too, and the next one waits', async () => {
  const starts = new StartsPerTurn();
  const began: number[] = [];
  for (let n = 0; n < 4; n++)
    void starts.later('ann', async () => {
      began.push(n);
      // As a handler that awaits a notification before it answers.
      await Promise.resolve().then(() => undefined);
      works();
    });
  for (const expected of [[0], [0, 1], [0, 1, 2]]) {
    await turn();
    expect(began).toEqual(expected);
  }
});
