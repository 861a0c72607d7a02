/** Room for children, on fake time: no child starts. */
import { describe, expect, test } from 'vitest';
import { poolOnFakeTime } from './serving.ts';

describe('a place that waits for room', () => {
  test('B255 is refused after 15 s, and has not run', async () => {
    const { made, time, place, lives } = poolOnFakeTime({ maxChildren: 1 });
    await lives('ann');
    const refused = made.enter(place('bob')).catch((cause: unknown) => cause);
    await time.advance(15_500);
    expect(await refused).toMatchObject({
      code: 'CHILDREN_BUSY',
      data: { reason: 'children_busy' },
    });
    expect(made.figures).toMatchObject({ alive: 1, waiting: 0 });
  });

  test('is refused at once where 64 of its caller wait, and another caller waits', async () => {
    const { made, time, place, lives } = poolOnFakeTime({ maxChildren: 1 });
    await lives('ann');
    const waiting = Array.from({ length: 64 }, () => made.enter(place('ann')));
    const others = [made.enter(place('bob')), ...waiting].map((one) => one.catch(String));
    await expect(made.enter(place('ann'))).rejects.toMatchObject({ code: 'CHILDREN_BUSY' });
    expect(made.figures.waiting).toBe(65);
    await time.advance(15_500);
    expect(new Set(await Promise.all(others)).size).toBeGreaterThan(0);
    expect(made.figures.waiting).toBe(0);
  });

  test('gets the room that another leaves, and owners share it', async () => {
    const { made, place, lives } = poolOnFakeTime();
    const [first] = [await lives('ann'), await lives('ann')];
    let isIn = false;
    const third = made.enter(place('ann')).then(() => (isIn = true));
    await lives('bob');
    expect([isIn, made.figures.alive]).toEqual([false, 3]);
    made.left(first);
    await third;
    expect(made.figures.alive).toBe(3);
  });

  test('takes that of a run whose client has not come back for 10 s', async () => {
    const { made, time, place, lives } = poolOnFakeTime({ maxChildren: 1 });
    const busy = await lives('ann');
    busy.lease();
    const given: string[] = [];
    busy.waiting = { since: made.now, giveUp: (why) => (given.push(why), made.left(busy)) };
    const entered = made.enter(place('bob'));
    await time.advance(9_000);
    expect(given).toEqual([]);
    await time.advance(2_000);
    await entered;
    expect(given).toEqual(['its child was needed']);
  });
});
