/** The kernel above a backend that answers later. The memory store's tests are those of one that answers at once. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { storeUnavailable, storeWithoutRoom } from '../../../src/base/errors.ts';
import { isRowWrite, type Write } from '../../../src/stores/kernel/backend.ts';
import { LEASES } from '../../../src/stores/shared/instances.ts';
import type { OpenStore, Records, Store, StoreOptions } from '../../../src/stores/store.ts';
import { isMatrix } from '../../kit/matrix.ts';
import { type Port, SimStore, StoreServer, writes } from '../../simulation/sim-store.ts';
import { createStoreKit, FENCE, readEnded, readLiving, recordOf } from '../contract/store-kit.ts';
import type { StoreUnderTest } from '../contract/store-kit.ts';
import { compareWithModel, modelTests, movedTime } from '../model-runs.ts';

/** Two trips of writes take less. */
const SLOW_TURNS = 12;

/**
 * What befalls a trip of writes: its answer is `lost`, it is `refused`, it arrives again later (`late`), or it takes
 * effect later alone, and nobody hears of it (`stalled`).
 */
type Fault = 'lost' | 'refused' | 'late' | 'stalled' | undefined;

/** Store objects on the same data, behind ports that answer in a later turn. `fault`: asked for each trip of writes. */
function storesLater(now: () => number, fault: () => Fault = () => undefined): () => Store {
  const server = new StoreServer({ now });
  const late: Late[] = [];
  return () => new SimStore(server, laterPort(fault, late));
}

/** What arrives once more: at the next trip of its connection, or of any that deletes a row. */
interface Late {
  readonly connection: object;
  again(): unknown;
}

/** No caller here tries again to announce an instance, so the trips of leases have no faults. */
const isOfRecords = (trip: readonly Write[]): boolean =>
  trip.some(({ kind }) => kind.name !== LEASES.name);

/** A creation is never later than its row is forgotten: then it would make the row again. */
const deletes = (trip: readonly Write[]): boolean =>
  trip.some((write) => isRowWrite(write) && write.row === null);

function laterPort(fault: () => Fault, late: Late[] = []): Port {
  const connection = {};
  const call = async <T>(
    names: readonly string[],
    effect: () => T | Promise<T>,
    about?: unknown,
  ): Promise<T> => {
    const trip = writes(names) ? (about as readonly Write[]) : [];
    const placed = isOfRecords(trip) ? fault() : undefined;
    await turn();
    if (placed === 'refused') throw storeUnavailable('the connection was refused');
    const all = late.splice(0);
    const isDue = (one: Late): boolean =>
      trip.length > 0 && (one.connection === connection || deletes(trip));
    late.push(...all.filter((one) => !isDue(one)));
    for (const one of all) if (isDue(one)) one.again();
    const outcome = placed === 'stalled' ? undefined : await effect();
    if (placed !== undefined) late.push({ connection, again: effect });
    await turn();
    if (placed === 'lost' || placed === 'stalled') throw storeUnavailable('the answer was lost');
    return outcome as Awaited<ReturnType<typeof effect>>;
  };
  return {
    process: { name: 'i' },
    call,
    asked: (_, ask) => ask(),
    arrive: queueMicrotask,
    notice: queueMicrotask,
  };
}

/** PostgreSQL has a connection of its own for logs. */
function slowLogsPort(): Port {
  const port = laterPort(() => undefined);
  const call: Port['call'] = async (names, effect, about) => {
    for (let turns = names.includes('log') ? SLOW_TURNS : 0; turns > 0; turns--) await turn();
    return port.call(names, effect, about);
  };
  return { ...port, call };
}

/** A connection whose writes wait until `letGo`. */
function heldPort() {
  const port = laterPort(() => undefined);
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const call: Port['call'] = async (names, effect, about) => {
    if (writes(names) && isOfRecords(about as readonly Write[])) await held;
    return port.call(names, effect, about);
  };
  return { port: { ...port, call }, letGo: () => letGo() };
}

/** The records of a caller that tries again for as long as the store is away. */
function patient(store: Store): Store {
  const retrying = (records: Records): Records =>
    new Proxy(records, {
      get: (of, name) => {
        const method = of[name as keyof Records] as unknown as (...args: unknown[]) => unknown;
        return async (...args: unknown[]) => {
          for (;;) {
            try {
              return await method.apply(of, args);
            } catch (error) {
              if ((error as { code?: unknown }).code !== 'STORE_UNAVAILABLE') throw error;
            }
          }
        };
      },
    });
  const open = async (options: StoreOptions): Promise<OpenStore> => {
    const view = await store.open(options);
    return { ...view, records: (kind) => retrying(view.records(kind)) };
  };
  return { ...store, open };
}

/** `around`: what the connections of a run are. */
function underTest(
  fault?: () => Fault,
  around: (store: Store) => Store = (store) => store,
): StoreUnderTest {
  const moved = movedTime();
  const connect = storesLater(moved.time.now, fault);
  return { ...moved, connect: () => around(connect()) };
}

describe('the kernel above a store that answers later', { timeout: 120_000 }, () => {
  const runs = isMatrix ? 400 : 40;
  modelTests(runs, () => underTest());

  test('answers as a plain model when each trip arrives once more later', () =>
    compareWithModel(
      underTest(() => 'late'),
      runs,
      { together: 3 },
    ));

  test('answers as a plain model where a log is read more slowly than rows are written', () => {
    const moved = movedTime();
    const server = new StoreServer({ now: moved.time.now });
    return compareWithModel(
      { ...moved, connect: () => new SimStore(server, slowLogsPort()) },
      runs,
      { together: 40 },
    );
  });

  test.each([
    [['lost']],
    [['refused']],
    [['lost', 'refused']],
    [['stalled', 'stalled', 'lost']],
  ] as const)(
    'answers as a plain model when trips fail (%s), and the callers try again',
    async (kinds) => {
      let trips = 0;
      const faults = [undefined, ...kinds, 'late'] as const;
      const fault = (): Fault => faults[trips++ % faults.length];
      await compareWithModel(underTest(fault, patient), runs);
    },
  );

  test('five thousand creations, and as many appends, are known whose answers were lost in one outage', async () => {
    const moved = movedTime();
    let isLost = true;
    const kit = createStoreKit({
      ...moved,
      connect: storesLater(moved.time.now, () => (isLost ? 'lost' : undefined)),
    });
    const { records } = await kit.open();
    const ids = Array.from({ length: 5_000 }, (_, n) => `s${n}`);
    const append = async (id: string) =>
      records.append({ id, fence: FENCE, stream: 's', from: 0, events: ['1'], complete: true });
    const steps: Array<(id: string) => Promise<unknown>> = [
      async (id) => records.create(recordOf(id)),
      append,
    ];
    for (const [n, step] of steps.entries()) {
      const all = () => Promise.allSettled(ids.map(step));
      isLost = true;
      expect((await all()).filter(({ status }) => status === 'rejected')).toHaveLength(5_000);
      isLost = false;
      const answers = (await all()).map((one) => (one as { value?: unknown }).value);
      expect(new Set(answers)).toEqual(new Set([['created', 'written'][n]]));
    }
  });

  test('an append that is tried again hears that it is stored, also where events of other streams have pushed it out', async () => {
    const moved = movedTime();
    const faults: Fault[] = [undefined, 'lost'];
    const kit = createStoreKit({
      ...moved,
      connect: storesLater(moved.time.now, () => faults.shift()),
    });
    const { records } = await kit.open({ log: { maxAgeMs: 60_000, events: 6, bytes: 40 } });
    await records.create(recordOf('s'));
    const append = async (stream: string, from: number, event: string) =>
      records.append({ id: 's', fence: FENCE, stream, from, events: [event] });
    await expect(append('a', 0, 'first')).rejects.toThrow('the answer was lost');
    expect(await append('b', 0, 'x'.repeat(60))).toBe('written');
    expect(await append('b', 1, 'x'.repeat(60))).toBe('written');
    expect(await append('a', 0, 'first')).toBe('written');
    expect(await records.replay('s', 'a', -1)).toMatchObject({ found: false, why: 'gap' });
    expect(await append('a', 1, 'second')).toBe('written');
    expect([await append('a', 1, 'other'), await append('a', 3, 'too far')]).toEqual([
      'fenced',
      'fenced',
    ]);
  });

  test('what a full store refuses is stored later, also where the log was trimmed meanwhile', async () => {
    const moved = movedTime();
    const port = laterPort(() => undefined);
    let isFull = false;
    const call: Port['call'] = async <T>(
      names: readonly string[],
      effect: () => T | Promise<T>,
      about?: unknown,
    ) => {
      if (!isFull || !writes(names)) return port.call(names, effect, about);
      isFull = false;
      // The log is read for its trim meanwhile.
      for (let n = 0; n < 8; n++) await turn();
      return [storeWithoutRoom('no room')] as T;
    };
    const connect = () => new SimStore(new StoreServer({ now: moved.time.now }), { ...port, call });
    const kit = createStoreKit({ ...moved, connect });
    const { records } = await kit.open({ log: { maxAgeMs: 60_000, events: 4, bytes: 1_000 } });
    await records.create(recordOf('s'));
    const append = async (stream: string, from: number) =>
      records.append({ id: 's', fence: FENCE, stream, from, events: [`${stream}${from}`] });
    expect(await append('a', 0)).toBe('written');
    for (let n = 0; n < 7; n++) expect(await append('b', n)).toBe('written');
    isFull = true;
    await expect(append('a', 1)).rejects.toThrow('no room');
    expect(await append('a', 1)).toBe('written');
    expect(await records.replay('s', 'a', 0)).toMatchObject({ found: true, next: 2 });
  });

  test('a save of an expired record is fenced, also after a claim that was stored and whose answer was lost', async () => {
    const moved = movedTime();
    const faults: Fault[] = [undefined, 'lost'];
    const kit = createStoreKit({
      ...moved,
      connect: storesLater(moved.time.now, () => faults.shift()),
    });
    const { records } = await kit.open();
    await records.create(recordOf('s'), 1_000);
    const claim = async () => records.claim('s', FENCE, 'next');
    await expect(claim()).rejects.toThrow('the answer was lost');
    expect(await claim()).toMatchObject({ claimed: true });
    await moved.pass(1_001);
    expect(await records.save('s', { epoch: 2, owner: 'next' }, { head: 'info' })).toBe('fenced');
  });

  test.each([
    ['renewal', 'written', undefined],
    ['read', 'fenced', ''],
  ] as const)(
    'of a renewal and a read that finds it too late, the %s is stored first',
    async (first, saved, outcome) => {
      const moved = movedTime();
      const server = new StoreServer({ now: moved.time.now });
      const held = { renewal: heldPort(), read: heldPort() };
      const ports = [laterPort(() => undefined), held.renewal.port, held.read.port] as const;
      let opened = 0;
      const kit = createStoreKit({
        ...moved,
        connect: () => new SimStore(server, ports[opened++] ?? ports[0]),
      });
      const [view, owner, reader] = [await kit.open(), await kit.open(), await kit.open()];
      await view.records.create(recordOf('s'), 1_000);
      const renewal = owner.records.save('s', FENCE, { expiresInMs: 5_000 });
      for (let n = 0; n < 20; n++) await turn();
      await moved.pass(1_001);
      const found = reader.records.read('s');
      for (let n = 0; n < 20; n++) await turn();
      const [earlier, later] = first === 'read' ? [found, renewal] : [renewal, found];
      held[first].letGo();
      await earlier;
      for (const { letGo } of Object.values(held)) letGo();
      await later;
      expect([await renewal, ((await found) as { readonly outcome?: unknown }).outcome]).toEqual([
        saved,
        outcome,
      ]);
    },
  );

  test('a record that was created since an end was seen is not forgotten for it, in the same millisecond', async () => {
    const moved = movedTime();
    const server = new StoreServer({ now: moved.time.now });
    const [first, held] = [laterPort(() => undefined), heldPort()];
    const ports = [first, held.port];
    const kit = createStoreKit({
      ...moved,
      connect: () => new SimStore(server, ports.shift() ?? first),
    });
    const kind = { kind: 'letters', listed: false, log: false, keepMs: 0 } as const;
    const [view, late] = [await kit.open(kind), await kit.open(kind)];
    await view.records.create(recordOf('s'));
    await view.records.end('s', FENCE, 'first', 60_000);
    const ended = await readEnded(view, 's');
    const forgotten = late.records.end('s', ended, '');
    await turn();
    expect(await view.records.end('s', ended, '')).toBe('ended');
    expect(await view.records.create(recordOf('s'))).toBe('created');
    held.letGo();
    expect(await forgotten).toBe('fenced');
    await readLiving(view, 's');
  });
});
