import { describe, expect, test } from 'vitest';
import { type Backlog, backlogOf } from '../../src/http/backlog.ts';

const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

/** A reader, and the check that a stream makes before each write. */
function reader(limit: number) {
  let backlog: Backlog | undefined;
  const waiting = { pendingBytes: 0 };
  return {
    waiting,
    /** Whether a write cuts the connection. */
    cutsAt: (pendingBytes: number): boolean => {
      waiting.pendingBytes = pendingBytes;
      backlog = backlogOf(waiting, limit, backlog);
      return backlog?.tooLong === true;
    },
  };
}

describe('a reader', () => {
  test('is not cut for what one turn writes, however much that is', async () => {
    const { cutsAt } = reader(100);
    expect([0, 101, 5_000, 1e9].map(cutsAt)).toEqual([false, false, false, false]);
    await turn();
    expect(cutsAt(100)).toBe(false);
  });

  test('may have the limit once more on top of the bytes that remain of that turn', async () => {
    const { cutsAt } = reader(100);
    expect(cutsAt(1_000)).toBe(false);
    await turn();
    expect([900, 1_100, 1_101].map(cutsAt)).toEqual([false, false, true]);
  });

  test('that catches up begins anew', async () => {
    const { cutsAt } = reader(100);
    cutsAt(1_000);
    await turn();
    expect([100, 5_000].map(cutsAt)).toEqual([false, false]);
  });

  test('behind an instance that takes nothing any more is cut when it writes in a later turn', async () => {
    const { cutsAt } = reader(100);
    expect(cutsAt(Infinity)).toBe(false);
    await turn();
    expect(cutsAt(Infinity)).toBe(true);
  });
});
