import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { storeAway, storeWithoutRoom } from '../../../src/errors.ts';
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

const full = storeWithoutRoom('no room');
const away = storeAway('the answer was lost');
const refused = (reason: Error) => ({ status: 'rejected', reason });
const fulfilled = (value: boolean) => ({ status: 'fulfilled', value });

test.each([
  {
    behind: 'an entry that is refused, those of its log are not sent, and their callers read it again',
    answer: async () => [full],
    outcomes: [refused(full), fulfilled(false), fulfilled(true), fulfilled(false)],
    sent: [['s'], ['t']],
  },
  {
    behind: 'a trip that fails, all are refused, and none is sent',
    answer: () => Promise.reject(away),
    outcomes: [refused(away), refused(away), refused(away), refused(away)],
    sent: [['s']],
  },
])('of writes that wait behind $behind', async ({ answer, outcomes, sent }) => {
  const trips: Write[][] = [];
  let arrives = (): void => undefined;
  const arrived = new Promise<void>((resolve) => (arrives = resolve));
  const write = async (writes: readonly Write[]): Promise<readonly Written[]> => {
    trips.push([...writes]);
    if (trips.length > 1) return writes.map(() => true);
    await arrived;
    return answer();
  };
  const writes = new TurnWrites({ where: 'here', write } as unknown as Backend, false);
  const first = writes.write(entry('s', 1));
  await turn();
  expect(trips).toHaveLength(1);
  const later = [writes.write(entry('s', 2)), writes.write(entry('t', 1)), writes.write(entry('s', 3))];
  const settled = Promise.allSettled([first, ...later]);
  arrives();
  expect(await settled).toEqual(outcomes);
  expect(trips.map((trip) => trip.map(({ id }) => id))).toEqual(sent);
  await writes.settled();
});

test('at most 64 MiB wait for a store that does not answer, and what is more is refused at once', async () => {
  const trips: Array<() => void> = [];
  const write = (all: readonly Write[]) =>
    new Promise<readonly Written[]>((resolve) => trips.push(() => resolve(all.map(() => true))));
  const writes = new TurnWrites({ where: 'here', write } as unknown as Backend, false);
  const large = async (no: number) =>
    writes.write({ ...entry('s', no), entries: [{ no, stream: 'p', head: [no, 1, 1_048_576, 0], events: ['x'] }] });
  const settling = Promise.allSettled(Array.from({ length: 70 }, (_, n) => large(n)));
  for (await turn(); trips.length > 0; await turn()) trips.shift()?.();
  const settled = await settling;
  const refusal = refused(expect.objectContaining({ message: expect.stringMatching(/further commands are refused/) }));
  expect(settled.slice(0, 63)).toEqual(Array(63).fill(fulfilled(true)));
  expect(settled.slice(63)).toEqual(Array(7).fill(refusal));
});
