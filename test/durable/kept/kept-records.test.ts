/** What users make the store keep: how it is counted, on all instances together, and what goes first. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, test, vi } from 'vitest';
import { keptFull, storeAway } from '../../../src/base/errors.ts';
import { endpointStore } from '../../../src/endpoint/endpoint-store.ts';
import {
  type EndpointStore,
  FIGURES,
  KEPT,
  ONCE,
  RESULTS,
  sessionKind,
  TASKS,
} from '../../../src/session/record/record-kinds.ts';
import { KeptShare } from '../../../src/durable/kept/kept-share.ts';
import { RecordQueues } from '../../../src/stores/shared/record-queues.ts';
import { openView } from '../../../src/stores/kernel/open-view.ts';
import { EventBudget } from '../../../src/stores/memory/event-budget.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { MemoryMailboxes } from '../../../src/stores/memory/mailboxes.ts';
import { MemoryBackend } from '../../../src/stores/memory/memory-backend.ts';
import { type Fence, isEnded, type OpenStore, type Records } from '../../../src/stores/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { systemRandom } from '../../../src/base/system.ts';
import { gc } from '../../kit/gc.ts';
import { createLog } from '../../kit/log.ts';
import { until } from '../../kit/until.ts';
import { plainRecord } from '../../stores/contract/plain-record.ts';

const MIB = 1_048_576;
const HOUR_MS = 3_600_000;
const FENCE = { epoch: 1, owner: 'me' };
const SHORT = '{"is":"large"}';

interface Given {
  readonly keptBytes?: number;
  readonly storeBytes?: number;
  /** Bytes that the store can hold, as it says; `undefined`: it says nothing. */
  readonly room?: number | undefined;
  /** It also says how many it holds. */
  readonly counts?: boolean;
}

/** Instances on one store. `left`: how many records tell what users keep, and how many results are apart. */
function deployment({
  keptBytes = 4 * MIB,
  storeBytes = Infinity,
  room,
  counts = false,
}: Given = {}) {
  const time = createFakeTime();
  const logger = createLog();
  const store = memory();
  const sessions = sessionKind(false, HOUR_MS);
  const kinds = [sessions, ONCE, TASKS, RESULTS, KEPT, FIGURES];
  const settings = { name: 'mcp', kinds, time, random: systemRandom, logger, leaseMs: 30_000 };
  const bounds = { tombstones: 1_000_000, eventLogBytes: room ?? 1_024 * MIB };
  const backend = new MemoryBackend({ time, ...bounds, budget: new EventBudget(Infinity) });
  const used = (): number =>
    kinds
      .flatMap((kind) => backend.due(kind, [-Infinity, ''], Infinity, 1_000_000))
      .reduce((sum, { value }) => sum + Math.max(1_024, JSON.stringify(value).length), 0);
  const counted = { backend, mailboxes: () => new MemoryMailboxes(new Map()) };
  const start = (change: (records: Records) => void = () => undefined): EndpointStore => {
    const given = { ...settings, ...bounds };
    const { room: says, ...opened } = counts
      ? openView(counted, given)
      : (store.open(given) as OpenStore);
    const records: OpenStore['records'] = (kind) => {
      const made = opened.records(kind);
      change(made);
      return made;
    };
    const holds = counts && room !== undefined ? () => ({ used: used(), size: room }) : says;
    const view = { ...opened, records, ...(room !== undefined && holds && { room: holds }) };
    const limits = { storeBytes, userShare: 0.5 };
    return endpointStore(view, sessions, {
      limits,
      perUser: { keptBytes },
      timeProvider: time,
      logger,
    });
  };
  const left = async (): Promise<readonly number[]> => {
    const view = await store.open({ ...settings, eventLogBytes: 1, tombstones: 1 });
    const counts = [await view.records(KEPT).count(), await view.records(RESULTS).count()];
    await view.close();
    return counts;
  };
  return { time, start, left };
}

let ids = 0;
const share = (user: string): string => `user-${user}`;

async function begin(
  { once }: EndpointStore,
  user: string,
  bytes = 0,
  id = `k${(ids += 1)}`,
): Promise<string> {
  const record = plainRecord(id, FENCE, {
    user,
    share: share(user),
    body: 'b'.repeat(bytes),
    fields: {},
  });
  return (await once.create(record, 24 * HOUR_MS)) === 'created' ? id : 'exists';
}

const outcomeOf = (bytes: number): string => `{"is":"result"}\n${'x'.repeat(bytes)}`;

/** A key with a result. */
async function keep(
  store: EndpointStore,
  user: string,
  bytes: number,
  keepMs = HOUR_MS,
): Promise<string> {
  const id = await begin(store, user);
  const kept = { share: share(user), short: SHORT };
  expect(await store.once.end(id, FENCE, outcomeOf(bytes), keepMs, kept)).toBe('ended');
  return id;
}

async function found({ once }: EndpointStore, id: string): Promise<string | undefined> {
  const record = await once.read(id);
  return record !== undefined && isEnded(record) ? record.outcome : undefined;
}

async function kept(store: EndpointStore, ...of: readonly string[]): Promise<readonly boolean[]> {
  const outcomes = await Promise.all(of.map((id) => found(store, id)));
  return outcomes.map((outcome) => {
    expect([SHORT, outcome?.slice(0, 15)]).toContain(outcome === SHORT ? SHORT : '{"is":"result"}');
    return outcome !== SHORT;
  });
}

const FULL = {
  code: 'STORE_FULL',
  message: expect.stringContaining('limits.perUser.keptBytes') as string,
};

test('past its bytes a user loses its oldest long results, and no key', async () => {
  const { start, time } = deployment();
  const [a, b] = [start(), start()];
  const all: string[] = [];
  for (const store of [a, b, a, b, a, b]) {
    all.push(await keep(store, 'eve', MIB));
    await time.advance(2_000);
  }
  const others = await keep(a, 'ada', MIB);
  expect(await kept(b, ...all)).toEqual([false, false, false, true, true, true]);
  expect(await kept(b, others)).toEqual([true]);
  expect(await begin(a, 'eve', 0, all[0])).toBe('exists');
});

test('results that are not stored apart are no more than a user may have, and what is more ends with its short text', async () => {
  const { start, time } = deployment({ keptBytes: MIB });
  const [a, b] = [start(), start()];
  const all: string[] = [];
  for (let n = 0; n < 40; n++) {
    try {
      all.push(await keep(n % 2 === 0 ? a : b, 'eve', 40_000));
    } catch (cause) {
      expect(cause).toMatchObject(FULL);
    }
    await time.advance(1_001);
  }
  const whole = (await kept(a, ...all)).filter(Boolean).length;
  expect(whole).toBeGreaterThan(20);
  expect(whole * 40_000).toBeLessThan(MIB);
  // Nothing was forgotten, and after its time there is room.
  await time.advance(2 * HOUR_MS);
  expect(await kept(a, await keep(a, 'eve', 40_000))).toEqual([true]);
});

test.each([
  { full: 'for a moment', refusals: 4, outcome: expect.stringContaining('"result"') as string },
  { full: 'for good', refusals: Infinity, outcome: SHORT },
])(
  'a result that has its room ends whole at a store that is full $full, or short',
  async ({ refusals, outcome }) => {
    const { start, time } = deployment();
    let refused = 0;
    const store = start((records) => {
      const end = records.end.bind(records);
      vi.spyOn(records, 'end').mockImplementation(async (...of) => {
        if (of[2] === SHORT || (refused += 1) > refusals) return end(...of);
        throw keptFull();
      });
    });
    const [id] = await Promise.all([keep(store, 'ada', 4_000), time.advance(2_000)]);
    expect(await found(store, id)).toEqual(outcome);
  },
);

test('many tiny records count a KiB each: past that new ones are refused, and those of others are not', async () => {
  const { start, time } = deployment({ keptBytes: MIB });
  const [a, b] = [start(), start()];
  const first = await keep(a, 'eve', 1);
  let made = 0;
  let refused: unknown;
  while (refused === undefined && made < 3_000) {
    try {
      await keep(made % 2 === 0 ? a : b, 'eve', 1);
      made += 1;
      if (made % 50 === 0) await time.advance(1_001);
    } catch (cause) {
      refused = cause;
    }
  }
  expect(refused).toMatchObject(FULL);
  expect(await begin(a, 'eve', 0, first)).toBe('exists');
  expect(made).toBeGreaterThan(900);
  expect(made).toBeLessThan(1_100);
  expect(await kept(a, await keep(a, 'ada', 1))).toEqual([true]);
});

test('a long result is there that was refused under an earlier fence', async () => {
  const store = deployment().start();
  const [id, end] = [await begin(store, 'eve'), { share: share('eve'), short: SHORT }];
  await store.once.claim(id, FENCE, 'me again');
  expect(await store.once.end(id, FENCE, outcomeOf(MIB), HOUR_MS, end)).toBe('fenced');
  expect(
    await store.once.end(id, { epoch: 2, owner: 'me again' }, outcomeOf(MIB), HOUR_MS, end),
  ).toBe('ended');
  expect(await kept(store, id)).toEqual([true]);
});

test('a user with little costs the store nothing', async () => {
  const { start, time, left } = deployment();
  const a = start();
  for (let n = 0; n < 100; n++) await keep(a, `user-${n % 10}`, 10_000);
  await time.advance(10_000);
  expect(await left()).toEqual([0, 0]);
});

test('another instance knows what one that crashed has kept, and forgets what that had open', async () => {
  const { start, time } = deployment({ keptBytes: MIB });
  const [a, b] = [start(), start()];
  for (let n = 0; n < 10; n++) await keep(a, 'eve', 40_000);
  for (let n = 0; n < 5; n++) await begin(a, 'eve', 90_000);
  await time.advance(2_000);
  await expect(begin(b, 'eve', 300_000)).rejects.toMatchObject(FULL);
  await a.close();
  await time.advance(70_000);
  expect(await begin(b, 'eve', 300_000)).toContain('k');
  await expect(begin(b, 'eve', 400_000)).rejects.toMatchObject(FULL);
  await time.advance(HOUR_MS * 2);
  expect(await begin(b, 'eve', 400_000)).toContain('k');
});

test('what an instance has open counts at others as long as it lives', async () => {
  const { start, time } = deployment({ keptBytes: MIB });
  const [a, b] = [start(), start()];
  await begin(a, 'eve', 700_000);
  for (let minute = 0; minute < 5; minute++) {
    await time.advance(60_000);
    await expect(begin(b, 'eve', 400_000)).rejects.toMatchObject(FULL);
  }
});

test('what an instance has open counts once at others, also where the reply to its first save was lost', async () => {
  const { start, time } = deployment({ keptBytes: MIB });
  let saves = 0;
  const a = start((records) => {
    const create = records.create.bind(records);
    vi.spyOn(records, 'create').mockImplementation(async (record, ...more) => {
      const outcome = await create(record, ...more);
      if (Number(record.head) > 0 && (saves += 1) === 1) throw storeAway('the reply is lost');
      return outcome;
    });
  });
  await begin(a, 'eve', 400_000);
  await time.advance(3_000);
  expect(saves).toBeGreaterThan(0);
  expect(await begin(start(), 'eve', 400_000)).toContain('k');
});

test('a field that finds no room is refused as often as it is written, and a smaller one gives room back', async () => {
  const { start } = deployment({ keptBytes: MIB });
  const { once } = start();
  const text = (bytes: number) => ({ fields: { f: 'x'.repeat(bytes) } });
  await once.create(plainRecord('one', FENCE, { user: 'eve' }), HOUR_MS);
  expect(await once.save('one', FENCE, text(900_000))).toBe('written');
  for (let n = 0; n < 5; n++)
    await expect((async () => once.save('one', FENCE, text(1_100_000)))()).rejects.toMatchObject(
      FULL,
    );
  await expect((async () => once.add('one', 'more', 'x'.repeat(200_000)))()).rejects.toMatchObject(
    FULL,
  );
  for (let n = 0; n < 5; n++)
    expect(await once.save('one', FENCE, text(900_000 - n))).toBe('written');
  expect(await once.save('one', FENCE, text(10))).toBe('written');
  // A repeated answer, whose first reply was lost, is charged once.
  for (let n = 0; n < 9; n++)
    expect(await once.add('one', 'more', 'x'.repeat(200_000))).toMatch(/added|exists/);
});

test('a record that ends while a larger field of it is charged gives everything back', async () => {
  const { start } = deployment();
  const store = start();
  const field = { fields: { more: 'x'.repeat(MIB) } };
  for (let n = 0; n < 4; n++) {
    const id = await begin(store, 'eve', MIB);
    const saved = store.once.save(id, FENCE, field);
    await Promise.all([store.once.end(id, FENCE, '', 0), saved]);
    expect(await saved).toBe('fenced');
  }
  expect(await begin(store, 'eve', 3 * MIB)).not.toBe('exists');
});

test.each([
  { how: 'says how much it holds and can hold', room: 8 * MIB, storeBytes: Infinity, counts: true },
  { how: 'says how much it can hold', room: 8 * MIB, storeBytes: Infinity },
  { how: 'says nothing, with storeBytes', room: undefined, storeBytes: 8 * MIB },
])(
  'in a store that $how, one user leaves half of what is free to others',
  async ({ how: _, ...store }) => {
    const { start, time } = deployment({ keptBytes: Infinity, ...store });
    const [a, b] = [start(), start()];
    const fill = async (user: string): Promise<number> => {
      let bytes = 0;
      for (let n = 0; n < 60; n++) {
        const [made] = await Promise.allSettled([
          keep(n % 2 === 0 ? a : b, user, 60_000),
          time.advance(1_001),
        ]);
        if (made.status === 'rejected') expect(made.reason).toMatchObject({ code: 'STORE_FULL' });
        else if ((await kept(a, made.value))[0] === true) bytes += 60_000;
      }
      return bytes / MIB;
    };
    const [eve, ada] = [await fill('eve'), await fill('ada')];
    expect(eve).toBeGreaterThan(2);
    expect(eve).toBeLessThan(3.7);
    expect(ada).toBeGreaterThan(1);
    expect(eve + ada).toBeLessThan(0.9 * 8);
  },
);

test.each([true, false])(
  'all users together stay within the room of the store, which refuses nothing by itself (counts: %s)',
  async (counts) => {
    const { start, time } = deployment({ keptBytes: Infinity, room: 8 * MIB, counts });
    const store = start();
    let stored = 0;
    for (let n = 0; n < 60; n++) {
      const made = await Promise.allSettled(
        Array.from({ length: 50 }, (_, user) => begin(store, `u${user}`, 8_000)),
      );
      stored += 8_000 * made.filter(({ status }) => status === 'fulfilled').length;
      if (n % 10 === 0) await time.advance(1_001);
    }
    expect([stored > 5 * MIB, stored < 8 * MIB]).toEqual([true, true]);
  },
);

test('results that are forgotten give their bytes back to all', async () => {
  const { start, time } = deployment({ keptBytes: MIB, storeBytes: 8 * MIB });
  const a = start();
  for (let n = 0; n < 50; n++) {
    await keep(a, 'eve', 300_000);
    await time.advance(1_001);
  }
  expect(await kept(a, await keep(a, 'ada', 700_000))).toEqual([true]);
});

test('the sweep deletes what has expired, also of an instance that crashed', async () => {
  const { start, time, left } = deployment();
  const [a, b] = [start(), start()];
  for (let n = 0; n < 3; n++) await keep(a, 'eve', MIB);
  for (let n = 0; n < 10; n++) await keep(a, 'eve', 60_000);
  await time.advance(2_000);
  await a.close();
  await b.once.trim();
  // Three results with a record each, and a record of short ones.
  expect(await left()).toEqual([4, 3]);
  await time.advance(3 * HOUR_MS);
  await b.once.trim();
  expect(await left()).toEqual([0, 0]);
});

test.each(['crashed', 'gave it back'])(
  'a task whose owner %s counts once, until another one has ended it',
  async (how) => {
    const { start, time } = deployment({ keptBytes: MIB });
    const [a, b] = [start(), start()];
    const id = await begin(a, 'eve', 600_000);
    const isFree = how === 'gave it back';
    if (isFree) expect(await a.once.save(id, FENCE, { release: true })).toBe('written');
    await time.advance(120_000);
    await a.once.trim();
    await expect(begin(b, 'eve', 500_000)).rejects.toMatchObject(FULL);
    const { claimed } = await b.once.claim(id, isFree ? { epoch: 1, owner: null } : FENCE, 'other');
    expect(claimed).toBe(true);
    if (!isFree) expect(await a.once.save(id, FENCE, { head: 'late' })).toBe('fenced');
    await time.advance(120_000);
    await a.once.trim();
    await time.advance(2_000);
    await expect(begin(a, 'eve', 500_000)).rejects.toMatchObject(FULL);
    expect(await b.once.end(id, { epoch: 2, owner: 'other' }, '{}', HOUR_MS)).toBe('ended');
    await time.advance(2_000);
    expect(await begin(a, 'eve', 500_000)).toContain('k');
  },
);

test('records of two addresses count in two shares, also at the instance that takes them over', async () => {
  const { start } = deployment({ keptBytes: MIB });
  const [a, b] = [start(), start()];
  const recordOf = (id: string, address: string, bytes: number) =>
    plainRecord(id, FENCE, { share: share(address), body: 'b'.repeat(bytes), fields: {} });
  for (const [id, address, bytes] of [
    ['eve.one', 'eve', 900_000],
    ['ada.one', 'ada', 1_000],
  ] as const) {
    expect(await a.tasks.create(recordOf(id, address, bytes), HOUR_MS)).toBe('created');
    expect((await b.tasks.claim(id, FENCE, 'b')).claimed).toBe(true);
  }
  await expect(b.once.create(recordOf('eve', 'eve', 500_000), HOUR_MS)).rejects.toMatchObject(FULL);
  const fields = { m: 'x'.repeat(500_000) };
  expect(await b.tasks.save('ada.one', { epoch: 2, owner: 'b' }, { fields })).toBe('written');
});

test('the log of a task counts for its user, up to what it can have, and again for the instance that takes it over', async () => {
  const { start } = deployment({ keptBytes: 6 * MIB });
  const [a, b] = [start(), start()];
  const [id, other] = ['eve.one', 'eve.two'];
  for (const of of [id, other])
    expect(
      await a.tasks.create(plainRecord(of, FENCE, { user: 'eve', share: share('eve') }), HOUR_MS),
    ).toBe('created');
  const append = async (store: EndpointStore, fence: Fence, from: number, of = id) =>
    store.tasks.append({ id: of, fence, stream: 's', from, events: [`"${'x'.repeat(MIB / 2)}"`] });
  // Its log is trimmed to 2 MiB once it has 4 MiB.
  for (let n = 0; n < 20; n++) expect(await append(a, FENCE, n)).toBe('written');
  for (let n = 0; n < 3; n++) expect(await append(a, FENCE, n, other)).toBe('written');
  await expect(append(a, FENCE, 3, other)).rejects.toMatchObject(FULL);
  expect(await a.tasks.end(other, FENCE, SHORT, 0)).toBe('ended');
  const claim = await b.tasks.claim(id, FENCE, 'b');
  expect(claim.claimed).toBe(true);
  const gap = await b.tasks.replay(id, 's', -1);
  if (gap.found || gap.why !== 'gap') throw new Error('nothing was trimmed');
  expect(await b.tasks.replay(id, 's', (gap.first ?? 0) - 1)).toMatchObject({
    found: true,
    next: 20,
  });
  const key = plainRecord('key', FENCE, {
    user: 'eve',
    share: share('eve'),
    body: 'b'.repeat(3.5 * MIB),
    fields: {},
  });
  expect(await b.once.create(key, HOUR_MS)).toBe('created');
  await expect(append(b, { epoch: 2, owner: 'b' }, 20)).rejects.toMatchObject(FULL);
});

test('a share at rest keeps nothing of the calls that made and used it', async () => {
  const current = new AsyncLocalStorage<object>();
  const calls: Array<WeakRef<object>> = [];
  const inCall = <T>(work: () => T): T => {
    const call = {};
    calls.push(new WeakRef(call));
    return current.run(call, work);
  };
  const [share, turns] = inCall(() => [new KeptShare('user ada'), new RecordQueues()] as const);
  const order: number[] = [];
  await Promise.all(
    [1, 2].map((n) => inCall(() => turns.steps(share.key, async () => void order.push(n)))),
  );
  await until(() => {
    gc();
    return calls.every((call) => call.deref() === undefined);
  });
  expect(order).toEqual([1, 2]);
  expect(share.total(0)).toBe(0);
});
