import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { storeUnavailable, storeWithoutRoom } from '../../../src/base/errors.ts';
import {
  type Backend,
  type LogEntry,
  isRowWrite,
  type LogWrite,
  type Write,
  type Written,
} from '../../../src/stores/kernel/backend.ts';
import { TurnWrites } from '../../../src/stores/kernel/turn-writes.ts';
import type { Kind } from '../../../src/stores/store.ts';

const KIND: Kind = { name: 'things', log: false, keepMs: 0, listed: true };

const entryOf = (no: number, bytes: number): LogEntry => ({
  no,
  stream: 'p',
  head: [no - 1, 1, bytes, 0],
  events: ['x'],
});

const entry = (id: string, no: number): LogWrite => ({
  kind: KIND,
  id,
  fence: '1 me',
  entries: [entryOf(no, 1)],
  cut: 0,
  share: null,
  bytes: 0,
});

const full = storeWithoutRoom('no room');
const away = storeUnavailable('the answer was lost');
const refused = (reason: Error) => ({ status: 'rejected', reason });
const fulfilled = (value: boolean) => ({ status: 'fulfilled', value });

test('the writes that wait behind a trip that fails are refused, and none is sent', async () => {
  const trips: Write[][] = [];
  let fails = (): void => undefined;
  const write = (writes: readonly Write[]): Promise<readonly Written[]> => {
    trips.push([...writes]);
    return new Promise((_, reject) => (fails = () => reject(away)));
  };
  const writes = new TurnWrites({ where: 'here', write } as unknown as Backend);
  const first = writes.write(entry('s', 1));
  await turn();
  const later = [
    writes.write(entry('s', 2)),
    writes.write(entry('t', 1)),
    writes.write(entry('s', 3)),
  ];
  const settled = Promise.allSettled([first, ...later]);
  fails();
  expect(await settled).toEqual([refused(away), refused(away), refused(away), refused(away)]);
  expect(trips).toHaveLength(1);
  await writes.settled();
});

test('a row has one write in a trip: a put or appends, and what waits behind a refused append is refused', async () => {
  const trips: string[][] = [];
  const write = async (all: readonly Write[]): Promise<readonly Written[]> => {
    trips.push(
      all.map(
        (one) => `${one.id} ${isRowWrite(one) ? 'put' : one.entries.map(({ no }) => no).join()}`,
      ),
    );
    return all.map((one) =>
      !isRowWrite(one) && one.entries.some(({ no }) => no === 2) ? full : true,
    );
  };
  const writes = new TurnWrites({ where: 'here', write } as unknown as Backend);
  const put = (id: string): Write => ({
    kind: KIND,
    id,
    was: 1,
    row: null,
    clear: true,
    share: null,
    bytes: 0,
    more: 0,
  });
  const sent = [
    entry('s', 1),
    entry('t', 1),
    put('t'),
    entry('s', 2),
    { ...entry('s', 4), fence: '2 you' },
    put('t'),
  ];
  sent.push(entry('t', 2), put('u'), put('s'));
  expect(await Promise.allSettled(sent.map(async (one) => writes.write(one)))).toEqual([
    refused(full),
    fulfilled(true),
    fulfilled(true),
    refused(full),
    fulfilled(false),
    fulfilled(true),
    refused(full),
    fulfilled(true),
    fulfilled(true),
  ]);
  expect(trips).toEqual([['s 1,2', 't 1', 'u put'], ['t put', 's put'], ['t put'], ['t 2']]);
});

test('the event loop turns between trips: long events of one user keep no other client waiting', async () => {
  const began: number[] = [];
  let turns = 0;
  const write = async (all: readonly Write[]): Promise<readonly Written[]> => {
    began.push(turns);
    setImmediate(() => (turns += 1));
    return all.map(() => true);
  };
  const writes = new TurnWrites({ where: 'here', write } as unknown as Backend);
  const long = (id: string) => writes.write({ ...entry(id, 1), entries: [entryOf(1, 3_000_000)] });
  await Promise.all(['s', 't', 'u'].map(long));
  expect(began).toEqual([0, 1, 2]);
});
