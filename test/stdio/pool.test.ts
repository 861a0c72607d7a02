/** Room for children, on fake time: no child starts. */
import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { turns } from '../kit/until.ts';
import { poolOnFakeTime } from './serving.ts';

describe('a place that waits for room', () => {
  test('B255 is refused after 15 s, and has not run', async () => {
    const { made, enter, time, place, lives } = poolOnFakeTime({ maxChildren: 1 });
    await lives('ann');
    const refused = enter(place('bob')).catch((cause: unknown) => cause);
    await time.advance(15_500);
    expect(await refused).toMatchObject({
      code: 'CHILDREN_BUSY',
      data: { reason: 'children_busy' },
    });
    expect(made.figures).toMatchObject({ alive: 1, waiting: 0 });
  });

  test('is refused at once where 64 of its caller wait, and another caller waits', async () => {
    const { made, enter, time, place, lives } = poolOnFakeTime({ maxChildren: 1 });
    await lives('ann');
    const waiting = Array.from({ length: 64 }, () => enter(place('ann')));
    const others = [enter(place('bob')), ...waiting].map((one) => one.catch(String));
    await expect(enter(place('ann'))).rejects.toMatchObject({ code: 'CHILDREN_BUSY' });
    expect(made.figures.waiting).toBe(65);
    await time.advance(15_500);
    expect(new Set(await Promise.all(others)).size).toBeGreaterThan(0);
    expect(made.figures.waiting).toBe(0);
  });

  test('gets the room that another leaves, and owners share it', async () => {
    const { made, enter, place, lives } = poolOnFakeTime();
    const [first] = [await lives('ann'), await lives('ann')];
    let isIn = false;
    const third = enter(place('ann')).then(() => (isIn = true));
    await lives('bob');
    expect([isIn, made.figures.alive]).toEqual([false, 3]);
    made.left(first);
    await third;
    expect(made.figures.alive).toBe(3);
  });

  test('takes that of a run whose client has not come back for 10 s', async () => {
    const { made, enter, time, place, lives } = poolOnFakeTime({ maxChildren: 1 });
    const busy = await lives('ann');
    busy.lease();
    const given: string[] = [];
    busy.waiting = { since: made.now, giveUp: (why) => (given.push(why), made.left(busy)) };
    const entered = enter(place('bob'));
    await time.advance(9_000);
    expect(given).toEqual([]);
    await time.advance(2_000);
    await entered;
    expect(given).toEqual(['its child was needed']);
  });
});

describe('a place that waits for its turn to start', () => {
  const STARTS = Math.max(4, 2 * availableParallelism());
  /** Asks for children of `owner`. `begun`: how many of them started. */
  const asking = (pool: ReturnType<typeof poolOnFakeTime>, owner: string, count: number) => {
    const places = Array.from({ length: count }, () => pool.place(owner));
    const begun: typeof places = [];
    const ends = places.map((place) => pool.enter(place).then(() => void begun.push(place)));
    return { places, begun, ends };
  };

  test('has all starts while nobody else waits, then the next one is of the caller with fewer', async () => {
    const pool = poolOnFakeTime({ maxChildren: 64 });
    const ann = asking(pool, 'ann', 20);
    const bob = asking(pool, 'bob', 2);
    await turns();
    expect([ann.begun.length, bob.begun.length]).toEqual([STARTS, 0]);
    pool.made.started(ann.begun[0]!);
    pool.made.started(ann.begun[1]!);
    await turns();
    expect([ann.begun.length, bob.begun.length]).toEqual([STARTS, 2]);
    pool.made.started(bob.begun[0]!);
    await turns();
    expect([ann.begun.length, bob.begun.length]).toEqual([STARTS + 1, 2]);
  });

  test('is refused at once where 64 of its caller wait, and the error says so', async () => {
    const pool = poolOnFakeTime({ maxChildren: 256 });
    asking(pool, 'ann', STARTS + 64);
    const refused = pool.enter(pool.place('ann'));
    await expect(refused).rejects.toThrow('too many children start at once: 64 calls wait already');
    await expect(pool.enter(pool.place('ann'))).rejects.toMatchObject({
      code: 'CHILDREN_STARTING',
    });
  });

  test('is not refused while others start for 40 s, and after 45 s hears that too many start', async () => {
    const pool = poolOnFakeTime({ maxChildren: 64 });
    const ann = asking(pool, 'ann', STARTS + 1);
    const late = ann.ends.at(-1)?.catch((cause: unknown) => cause);
    await pool.time.advance(44_000);
    expect(pool.made.figures.waiting).toBe(1);
    await pool.time.advance(1_500);
    expect(await late).toMatchObject({
      message: expect.stringContaining('none started for this call within 45 s'),
      code: 'CHILDREN_STARTING',
      data: { reason: 'children_starting' },
    });
  });

  test('is dropped when each call that waits for it has left, and starts nothing', async () => {
    const { made, place, lives } = poolOnFakeTime({ maxChildren: 1 });
    const first = await lives('ann');
    const [one, two] = [new AbortController(), new AbortController()];
    const waiting = place('bob');
    const ends = [one, two].map(({ signal }) => waiting.ready(signal).catch(String));
    await turns();
    one.abort('one left');
    await turns();
    expect(made.figures.waiting).toBe(1);
    two.abort('two left');
    await turns();
    expect(made.figures.waiting).toBe(0);
    made.left(first);
    expect([await Promise.all(ends), made.figures.alive]).toEqual([['one left', 'two left'], 0]);
  });
});
