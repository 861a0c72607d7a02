import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { readInNextTurn } from '../../src/http/read-in-turn.ts';

test('a connection that is gone when its turn comes is not read on, and takes no place of the turn', async () => {
  const resumed: number[] = [];
  const connections = Array.from({ length: 3 }, (_, n) => ({
    destroyed: false,
    pause: () => undefined,
    resume: () => resumed.push(n),
  }));
  for (const connection of connections) readInNextTurn(connection as unknown as Socket);
  for (const connection of connections.slice(0, 2)) connection.destroyed = true;
  await turn();
  expect(resumed).toEqual([2]);
});
