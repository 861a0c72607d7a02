/** The store of workers that have none: two stores on one folder are two workers. */
import { join } from 'node:path';
import Libsql from 'libsql';
import { describe, expect, onTestFinished, test } from 'vitest';
import { workersMemory } from '../../src/stores/memory/workers-memory.ts';
import type { AppendRequest, Fence, Kind, Ownership } from '../../src/stores/store.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import type { View } from './contract/view.ts';
import { openView, recordOf, storeOptions } from './views.ts';

const ONE: Fence = { epoch: 1, owner: 'one' };
const SAME_LOG = { streams: ['s'], events: ['a', 'b'] };

const event = (more: Partial<AppendRequest> = {}): AppendRequest => ({
  id: 'x',
  fence: ONE,
  stream: 's',
  from: 0,
  events: ['a', 'b'],
  note: 'of s',
  mark: { name: 'm', stream: 's' },
  ...more,
});

/** Two workers, and a session of the first one with two events of an open stream. */
async function twoWorkers(more: Parameters<typeof openView>[1] = {}) {
  const folder = temporaryFolder();
  const open = (): Promise<View> =>
    openView(workersMemory(folder), { kind: 'sessions', counted: true, ...more });
  const [one, two] = [await open(), await open()];
  const database = new Libsql(join(folder, 'shared.db'));
  onTestFinished(() => void database.close());
  const entries = (): number =>
    (database.prepare('SELECT count(*) AS n FROM log').get() as { n: number }).n;
  /** Records of this id that have not ended: the session, and its log while no worker has it. */
  const living = (): number =>
    (
      database
        .prepare("SELECT count(*) AS n FROM rows WHERE id = 'x' AND fence IS NOT NULL")
        .get() as {
        n: number;
      }
    ).n;
  await one.records.create(recordOf('x', { ...ONE, share: 'user' }));
  expect(one.records.append(event())).toBe('written');
  return { one, two, database, entries, living };
}

/** What a claim answers of the log, and the events that its owner reads. */
async function claimed({ records }: View, from: Ownership, me: string) {
  const claim = await records.claim('x', from, me);
  if (!claim.claimed) return claim.current;
  const replay = await records.replay('x', 's', -1);
  return {
    marks: claim.marks,
    streams: claim.streams.map(({ stream }) => stream),
    events: replay.found ? replay.events.map(({ data }) => data) : [],
    notes: claim.streams.map(({ note }) => note),
  };
}

describe('the memory of workers', () => {
  test('the log of a live session is in its worker alone, and answers in the turn that asks', async () => {
    const { one, entries } = await twoWorkers();
    expect(entries()).toBe(0);
    expect(one.records.append(event({ from: 2, events: ['c'] }))).toBe('written');
    expect(one.records.append(event({ from: 3, fence: { epoch: 2, owner: 'two' } }))).toBe(
      'fenced',
    );
  });

  test('a release hands the log over: the next worker has the events, what is open, and the marks', async () => {
    const { one, two, living } = await twoWorkers();
    expect(await one.records.save('x', ONE, { release: true })).toBe('written');
    expect(one.records.append(event({ from: 2 }))).toBe('fenced');
    const released = { epoch: 1, owner: null };
    const log = { ...SAME_LOG, marks: [{ name: 'm', stream: 's' }], notes: ['of s'] };
    expect(await claimed(two, released, 'two')).toEqual(log);
    // Nothing of it stays behind.
    expect(living()).toBe(1);
    const fence = { epoch: 2, owner: 'two' };
    const more = event({ fence, from: 2, events: ['c'], complete: true, mark: undefined });
    expect(two.records.append(more)).toBe('written');
    // Back and forth, with what came since.
    expect(await two.records.save('x', fence, { release: true })).toBe('written');
    expect(await claimed(one, { epoch: 2, owner: null }, 'one')).toMatchObject({
      streams: [],
      events: ['a', 'b', 'c'],
    });
  });

  test('no worker continues the session of a dead one: it has ended', async () => {
    const { two } = await twoWorkers();
    expect(await claimed(two, ONE, 'two')).toMatchObject({ id: 'x', outcome: 'owner_lost' });
    expect(await two.records.read('x')).toMatchObject({ outcome: 'owner_lost' });
  });

  test('a worker with a new id claims its own session, and keeps the log', async () => {
    const { one } = await twoWorkers();
    expect(await claimed(one, ONE, 'one again')).toMatchObject(SAME_LOG);
    const fence = { epoch: 2, owner: 'one again' };
    expect(one.records.append(event({ fence, from: 2, events: ['c'] }))).toBe('written');
    expect(one.records.append(event({ from: 3 }))).toBe('fenced');
  });

  test('a session that was ended elsewhere is fenced at its worker with the next save', async () => {
    const { one, two } = await twoWorkers();
    expect(await two.records.end('x', ONE, 'terminated')).toBe('ended');
    expect(await one.records.save('x', ONE, { stamp: 2 })).toBe('fenced');
    expect(one.records.append(event({ from: 2 }))).toBe('fenced');
  });

  test('a log that was handed over goes with its session', async () => {
    const { one, two, living } = await twoWorkers();
    await one.records.save('x', ONE, { release: true });
    expect(living()).toBe(2);
    expect(await two.records.end('x', { epoch: 1, owner: null }, 'deleted')).toBe('ended');
    expect(living()).toBe(0);
  });

  test('a release that the file refuses keeps the log here, and the next one replaces what it has handed over', async () => {
    const { one, two, database } = await twoWorkers();
    database.exec(
      "CREATE TRIGGER refused BEFORE UPDATE ON rows BEGIN SELECT RAISE(ABORT, 'refused'); END",
    );
    await expect(one.records.save('x', ONE, { release: true })).rejects.toThrow('refused');
    database.exec('DROP TRIGGER refused');
    expect(await claimed(one, ONE, 'one again')).toMatchObject(SAME_LOG);
    const fence = { epoch: 2, owner: 'one again' };
    void one.records.append(event({ fence, from: 2, events: ['c'] }));
    await one.records.save('x', fence, { release: true });
    expect(await claimed(two, { epoch: 2, owner: null }, 'two')).toMatchObject({
      events: ['a', 'b', 'c'],
    });
  });

  test('the logs of a worker have a budget: the oldest events go, and what is open stays', async () => {
    const { one, two } = await twoWorkers({ eventLogBytes: 20_000 });
    for (let n = 2; n < 40; n++)
      void one.records.append(event({ from: n, events: ['x'.repeat(1_000)], mark: undefined }));
    expect(await one.records.replay('x', 's', 0)).toMatchObject({ found: false, why: 'gap' });
    await one.records.save('x', ONE, { release: true });
    expect(await claimed(two, { epoch: 1, owner: null }, 'two')).toMatchObject({
      streams: ['s'],
      marks: [{ name: 'm', stream: 's' }],
      notes: ['of s'],
    });
    const fence = { epoch: 2, owner: 'two' };
    expect(two.records.append(event({ fence, from: 40, events: ['z'] }))).toBe('written');
  });

  test('secrets, leases and other kinds are those of all workers', async () => {
    const folder = temporaryFolder();
    const kind: Kind = { name: 'once', log: false, keepMs: 0, listed: false };
    const [one, two] = await Promise.all(
      [1, 2].map(async () => {
        const view = await workersMemory(folder).open({ ...storeOptions(), kinds: [kind] });
        onTestFinished(() => view.close());
        return view;
      }),
    );
    expect(await one?.secret('a')).toEqual(await two?.secret('a'));
    expect(await one?.records(kind).create(recordOf('k', { ...ONE }))).toBe('created');
    expect(await two?.records(kind).read('k')).toMatchObject({ id: 'k', owner: 'one' });
  });
});
