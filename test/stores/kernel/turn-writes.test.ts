import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { storeWithoutRoom } from '../../../src/errors.ts';
import type { Backend, LogWrite, Write, Written } from '../../../src/stores/kernel/backend.ts';
import { TurnWrites } from '../../../src/stores/kernel/turn-writes.ts';
import type { Kind } from '../../../src/stores/store.ts';

const KIND: Kind = { name: 'things', log: false, keepMs: 0, listed: true };

const entry = (id: string, no: number): LogWrite => ({
  kind: KIND,
  id,
  fence: '1 me',
  entries: [{ no, stream: 'p', head: [no - 1, 1, 1, 0], events: ['x'] }],
  cut: 0,
  share: undefined,
});

test('an entry that waits behind a refused one of its log is refused too, and those of other logs are sent', async () => {
  const full = storeWithoutRoom('no room');
  const trips: Write[][] = [];
  let answer: (answers: readonly Written[]) => void = () => undefined;
  const write = (writes: readonly Write[]): Promise<readonly Written[]> => {
    trips.push([...writes]);
    if (trips.length > 1) return Promise.resolve(writes.map(() => true));
    return new Promise((resolve) => (answer = resolve));
  };
  const writes = new TurnWrites({ where: 'here', write } as unknown as Backend, false);
  const first = writes.write(entry('s', 1));
  await turn();
  expect(trips).toHaveLength(1);
  const later = [writes.write(entry('s', 2)), writes.write(entry('t', 1)), writes.write(entry('s', 3))];
  const settled = Promise.allSettled([first, ...later]);
  answer([full]);
  expect(await settled).toEqual([
    { status: 'rejected', reason: full },
    { status: 'rejected', reason: full },
    { status: 'fulfilled', value: true },
    { status: 'rejected', reason: full },
  ]);
  expect(trips.map((trip) => trip.map(({ id }) => id))).toEqual([['s'], ['t']]);
  await writes.settled();
});
