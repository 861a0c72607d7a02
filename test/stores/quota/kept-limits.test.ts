/** What users make the store keep: two instances ask before a user keeps more, and what goes first. */
import { expect, test, vi } from 'vitest';
import { type EndpointStore, openEndpointStore } from '../../../src/endpoint/endpoint-store.ts';
import { storeUnavailable } from '../../../src/base/errors.ts';
import { resolveOptions } from '../../../src/base/options/resolve.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { isEnded, type NewRecord } from '../../../src/stores/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { createLog } from '../../kit/log.ts';
import { plainRecord } from '../contract/plain-record.ts';

const [KIB, MIB, HOUR_MS] = [1_024, 1_048_576, 3_600_000];
const FENCE = { epoch: 1, owner: 'me' };
const SHORT = '{"is":"large"}';
const FULL = {
  code: 'STORE_FULL',
  message: expect.stringContaining('limits.perUser.keptBytes') as string,
};

/** Two instances on one store. */
function instances(keptBytes: number, eventLogBytes = 1_024 * MIB) {
  const time = createFakeTime();
  const store = memory();
  const limits = { eventLogBytes, perUser: { keptBytes } };
  const options = resolveOptions({ timeProvider: time, logger: createLog(), limits });
  const open = () => openEndpointStore(store, options) as EndpointStore;
  return { time, both: [open(), open()] as const };
}

let ids = 0;
const recordOf = (share: string, bytes: number, id = `k${(ids += 1)}`): NewRecord =>
  plainRecord(id, FENCE, { share, body: 'b'.repeat(bytes), fields: {} });

/** A key of `once()`. Its id. */
async function begin({ once }: EndpointStore, share: string, bytes = 0): Promise<string> {
  const record = recordOf(share, bytes);
  expect(await once.create(record, HOUR_MS)).toBe('created');
  return record.id;
}

/** … that ends with so long a result. */
async function keep(store: EndpointStore, share: string, bytes: number): Promise<string> {
  const id = await begin(store, share);
  const outcome = `{"is":"result"}${'x'.repeat(bytes)}`;
  expect(
    await store.outcomes.end(store.once, id, FENCE, outcome, HOUR_MS, { share, short: SHORT }),
  ).toBe('ended');
  return id;
}

async function areWhole(store: EndpointStore, of: readonly string[]): Promise<readonly boolean[]> {
  const found = await Promise.all(
    of.map(async (id) => store.outcomes.whole(await store.once.read(id))),
  );
  return found.map((record) => record !== undefined && isEnded(record) && record.outcome !== SHORT);
}

test('past its bytes a user loses its oldest long results, and no key; others lose nothing', async () => {
  const { time, both } = instances(4 * MIB);
  const others = await keep(both[0], 'ada', MIB);
  const all: string[] = [];
  for (let n = 0; n < 6; n++) {
    all.push(await keep(both[n % 2] as EndpointStore, 'eve', MIB));
    await time.advance(10);
  }
  expect(await areWhole(both[1], all)).toEqual([false, false, false, true, true, true]);
  expect(await areWhole(both[1], [others])).toEqual([true]);
  expect(await both[0].once.create(recordOf('eve', 0, all[0]), HOUR_MS)).toBe('exists');
});

test('new records are refused with what fills the share, whichever instance has stored that, and others are not', async () => {
  const { both } = instances(MIB);
  let refused: unknown;
  for (let n = 0; refused === undefined && n < 3_000; n++)
    await begin(both[n % 2] as EndpointStore, 'eve').catch((cause: unknown) => (refused = cause));
  expect(refused).toMatchObject(FULL);
  expect(refused).toMatchObject({
    message: expect.stringMatching(/1\.0 MiB \(keys of once\(\) 1\.0 MiB\)/),
  });
  const { bytes, shares } = await both[0].kept.byAll(10);
  expect([bytes <= MIB && bytes > 0.99 * MIB, shares.map(({ share }) => share)]).toEqual([
    true,
    ['eve'],
  ]);
  await begin(both[0], 'ada');
});

test('what grows is refused; an end, a release, a claim, a smaller write and a short outcome are not', async () => {
  const { both } = instances(MIB);
  const [{ tasks, once }, other] = both;
  const [id, task] = [await begin(both[0], 'eve', 400 * KIB), 'g.1'];
  expect(await tasks.create(recordOf('eve', 300 * KIB, task), HOUR_MS)).toBe('created');
  const text = (bytes: number) => ({ fields: { f: 'x'.repeat(bytes) } });
  const save = async (bytes: number) => once.save(id, FENCE, text(bytes));
  const append = async () =>
    tasks.append({ id: task, fence: FENCE, stream: 's', from: 0, events: ['x'.repeat(MIB)] });
  expect(await save(300 * KIB)).toBe('written');
  for (let n = 0; n < 3; n++) {
    await expect(save(500 * KIB)).rejects.toMatchObject(FULL);
    await expect(
      (async () => other.once.add(id, 'more', 'x'.repeat(200 * KIB)))(),
    ).rejects.toMatchObject(FULL);
    await expect(append()).rejects.toMatchObject(FULL);
    expect(await save(300 * KIB - n)).toBe('written');
  }
  expect((await other.once.claim(id, FENCE, 'me')).claimed).toBe(true);
  const mine = { epoch: 2, owner: 'me' };
  expect(await once.save(id, mine, { release: true, ...text(500 * KIB) })).toBe('written');
  expect(await tasks.end(task, FENCE, 'x'.repeat(2_000), HOUR_MS)).toBe('ended');
  expect(await once.end(id, { epoch: 2, owner: null }, SHORT, HOUR_MS)).toBe('ended');
});

test('a result that finds no room ends short, and one whose first try fails is stored once', async () => {
  const { both } = instances(MIB);
  const [store] = both;
  await begin(store, 'eve', MIB - 60 * KIB);
  expect(
    await areWhole(store, [await keep(store, 'eve', 70 * KIB), await keep(store, 'ada', 70 * KIB)]),
  ).toEqual([false, true]);
  const end = vi.spyOn(store.once, 'end').mockImplementationOnce(() => {
    throw storeUnavailable('for the test');
  });
  const id = await begin(store, 'joe');
  const ending = { share: 'joe', short: SHORT };
  const ends = async () =>
    store.outcomes.end(store.once, id, FENCE, 'x'.repeat(MIB / 2), HOUR_MS, ending);
  await expect(ends()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect([await ends(), end.mock.calls.length]).toEqual(['ended', 2]);
  expect(await areWhole(store, [id])).toEqual([true]);
  expect((await store.kept.of('joe'))['results']).toBeLessThan(MIB * 0.6);
});

test('the logs of sessions lose the oldest events of their user, and no entry is refused', async () => {
  const { time, both } = instances(MIB);
  const event = 'x'.repeat(50 * KIB);
  for (const id of ['one', 'two', 'ada']) {
    const record = { ...recordOf(id === 'ada' ? 'ada' : 'eve', 0, id), stamp: ids };
    expect(await both[0].sessions.create(record)).toBe('created');
  }
  const replay = async (id: string) => both[1].sessions.replay(id, 'p', -1);
  for (let n = 0; n < 60; n++) {
    for (const id of n < 20 ? ['one', 'ada'] : ['two'])
      if (id !== 'ada' || n < 5) {
        const from = id === 'two' ? n - 20 : n;
        const append = { id, fence: FENCE, stream: 'p', from, events: [event] };
        expect(await both[n % 2]?.sessions.append(append)).toBe('written');
      }
    await time.advance(10);
    const numbers = await both[0].kept.of('eve');
    expect(Object.values(numbers).reduce((sum, bytes) => sum + bytes)).toBeLessThan(
      MIB + 2 * event.length,
    );
  }
  expect(await replay('ada')).toMatchObject({ found: true, next: 5 });
  expect(await replay('one')).toMatchObject({ found: false, why: 'gap' });
  const newest = await both[0].sessions.replay('two', 'p', 38);
  expect(newest).toMatchObject({ found: true, next: 40 });
});

test('one user leaves half of what is free of the store to others, and all together stay within it', async () => {
  const { time, both } = instances(Infinity, 8 * MIB);
  const fill = async (share: string): Promise<number> => {
    for (let n = 0; n < 400; n++) {
      await begin(both[n % 2] as EndpointStore, share, 30 * KIB).catch((cause: unknown) =>
        expect(cause).toMatchObject({ code: 'STORE_FULL' }),
      );
      if (n % 20 === 0) await time.advance(1_001);
    }
    return ((await both[0].kept.of(share))['once'] ?? 0) / MIB;
  };
  const [eve, ada] = [await fill('eve'), await fill('ada')];
  expect(eve).toBeGreaterThan(3);
  expect(eve).toBeLessThan(3.7);
  expect(ada).toBeGreaterThan(1.5);
  for (let n = 0; n < 6; n++) await fill(`user ${n}`);
  expect((await both[0].kept.byAll(1)).bytes).toBeLessThan(0.91 * 8 * MIB);
});

test('users who come at the same moment are refused nothing while there is room, and then read that others fill the store', async () => {
  const { both } = instances(Infinity, 8 * MIB);
  let refused: unknown;
  for (let n = 0; refused === undefined; n++)
    await begin(both[0], `user ${n}`).catch((cause: unknown) => (refused = cause));
  expect(refused).toMatchObject({
    code: 'STORE_FULL',
    message: expect.stringMatching(/: other users fill the store, .*limits\.storeBytes/) as string,
  });
  expect((await both[0].kept.byAll(0)).bytes).toBeGreaterThan(0.89 * 8 * MIB);
});

test('what a user frees it may use at once, although the store has not told how full it is since', async () => {
  const { both } = instances(Infinity, 4 * MIB);
  const [store] = both;
  const ids: string[] = [];
  let refused: unknown;
  while (refused === undefined)
    await begin(store, 'eve', 30 * KIB).then(
      (id) => ids.push(id),
      (cause: unknown) => (refused = cause),
    );
  for (const id of ids.slice(0, 20)) {
    expect(await store.once.end(id, FENCE, SHORT, HOUR_MS)).toBe('ended');
    await begin(store, 'eve', 29 * KIB);
  }
});
