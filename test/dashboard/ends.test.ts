/** How an end is named: by what the instances saw, by what started the process, and while the store is away. */
import { describe, expect, test } from 'vitest';
import type { NotedEvent } from '../../src/dashboard/server/fleet-events.ts';
import { joinedStops } from '../../src/dashboard/server/joined-stops.ts';
import { KnownInstances } from '../../src/dashboard/server/known-instances.ts';
import type { Report } from '../../src/dashboard/server/report.ts';
import { newStop, type StopPart } from '../../src/dashboard/server/stops.ts';
import { ToldEvents } from '../../src/dashboard/server/told-events.ts';
import type { InstanceLease } from '../../src/stores/store.ts';

const lease = (id: string, host: string, pid: number): InstanceLease =>
  ({ id, state: 'serving', version: '1', process: { host, pid, startedAt: pid, runtime: 'Node.js' } }) as never;

describe('names of instances', () => {
  test('a process that follows another one on its host has its name, and two at one time have their ids', () => {
    const known = new KnownInstances({ id: 'self' });
    known.update([lease('a', 'web-1', 1), lease('b', 'web-2', 2)], 0);
    known.update([lease('a', 'web-1', 1)], 1_000);
    known.update([lease('a', 'web-1', 1), lease('c', 'web-2', 3)], 2_000);
    known.update([lease('a', 'web-1', 1), lease('c', 'web-2', 3), lease('d', 'web-1', 4)], 3_000);
    expect(['a', 'b', 'c', 'd'].map((id) => known.nameOf(id))).toEqual(['web-1', 'web-2', 'web-2', 'web-1 4']);
  });

  test('an instance is silent when its reports stop, and not while the store carries none', () => {
    const known = new KnownInstances({ id: 'self' });
    known.update([lease('a', 'web-1', 1)], 0);
    known.reported('a', { figures: {} } as Report, 0);
    const states = [];
    for (const [at, isAway] of [
      [1_000, false],
      [2_000, true],
      [3_000, false],
      [4_000, false],
    ] as const)
      states.push(known.shown(at, isAway)[0]?.state);
    expect(states).toEqual(['serving', 'serving', 'serving', 'silent']);
  });
});

/** The page's own server froze, and another instance has the page now. */
describe('an instance that reported to the instance which had the page before', () => {
  const others = (): KnownInstances => {
    const known = new KnownInstances({ id: 'self' });
    known.learn([['a', 'web-1', 12]]);
    known.update([lease('a', 'web-1', 1), lease('old', 'web-2', 2)], 0);
    return known;
  };
  const stateOf = (known: KnownInstances, id: string, now: number) =>
    known.shown(now, false).find((one) => one.id === id);

  test('is silent when it does not report here, and lapsed once its lease is gone', () => {
    const known = others();
    expect(stateOf(known, 'a', 1_000)?.state).toBe('serving');
    expect(stateOf(known, 'a', 2_000)?.state).toBe('silent');
    expect(known.update([lease('old', 'web-2', 2)], 3_000).gone).toEqual([{ id: 'a', end: 'lapsed' }]);
    expect(stateOf(known, 'a', 3_100)).toMatchObject({ state: 'gone', end: 'lapsed' });
  });

  test('was removed where its lease goes at once', () => {
    const known = others();
    expect(known.update([lease('old', 'web-2', 2)], 500).gone).toEqual([{ id: 'a', end: 'removed' }]);
  });

  test('an instance without a dashboard is not called silent', () => {
    const known = others();
    expect(stateOf(known, 'old', 60_000)?.state).toBe('serving');
    expect(known.update([], 61_000).gone).toContainEqual({ id: 'old', end: undefined });
  });
});

describe('interruptions', () => {
  const part = (
    by: string,
    kind: StopPart['kind'],
    instance: string | undefined,
    at: number,
    more: Partial<StopPart>,
  ) => ({
    ...newStop(by, kind, instance, at),
    change: 1,
    ...more,
  });
  const join = (parts: readonly StopPart[]) =>
    joinedStops(
      parts,
      (id) => id,
      () => undefined,
    );

  test('what started the process knows best how it ended', () => {
    const parts = [part('b', 'gone', 'a', 10, { end: 'removed' }), part('c', 'gone', 'a', 12, { end: 'killed' })];
    expect(join(parts)).toMatchObject([{ kind: 'gone', instance: 'a', end: 'killed' }]);
  });

  test('leases that lapse while the store is away are a part of that', () => {
    const parts = [
      part('a', 'store', undefined, 1_000, { overAt: 5_000, waited: 2 }),
      part('b', 'store', undefined, 1_100, { overAt: 5_100, waited: 1 }),
      part('a', 'gone', 'a', 4_000, { end: 'lapsed', waited: 4 }),
      part('b', 'gone', 'a', 4_100, { end: 'removed' }),
    ];
    expect(join(parts)).toMatchObject([{ kind: 'store', at: 1_000, overAt: 5_100, waited: 7 }]);
    // A lease that lapsed before has another cause.
    const early = part('c', 'gone', 'c', 1_000 - 10_000, { end: 'lapsed' });
    expect(join([...parts, early]).map(({ kind, instance }) => [kind, instance])).toEqual([
      ['gone', 'c'],
      ['store', undefined],
    ]);
    // An instance that does not say so itself is dead.
    const dead = part('b', 'gone', 'x', 4_000, { end: 'removed' });
    expect(join([...parts, dead]).map(({ kind, instance }) => [kind, instance])).toEqual([
      ['store', undefined],
      ['gone', 'x'],
    ]);
  });
});

describe('events', () => {
  const noted = (kind: NotedEvent['kind'], more: Partial<NotedEvent> = {}): NotedEvent => ({
    id: `${kind}.${JSON.stringify(more)}`,
    at: 0,
    kind,
    instance: 'a',
    by: 'b',
    change: 1,
    ...more,
  });

  test('one end is one event, with the best word for it', () => {
    const told = new ToldEvents({ nameOf: (id) => `web-${id}` });
    const texts = [noted('gone'), noted('gone', { by: 'c' }), noted('gone', { end: 'killed' }), noted('lapsed')].map(
      (event) => told.take(event)?.text,
    );
    expect(texts).toEqual(['web-a is gone: its lease was removed', undefined, 'web-a was killed', undefined]);
    expect(told.all.map(({ text }) => text)).toEqual(['web-a was killed']);
  });

  test('an event waits for the name of who saw it, until the leases were read', () => {
    const names = new Map<string, string>([['a', 'web-a']]);
    const told = new ToldEvents({ nameOf: (id) => names.get(id) });
    expect(told.take(noted('storeBack', { ms: 300 }))).toBeUndefined();
    names.set('b', 'web-b');
    expect(told.named().map(({ text }) => text)).toEqual(['web-b reaches the store again, after 300 ms']);
    expect(told.named()).toEqual([]);
    for (let n = 0; n < 1_000; n++) told.take(noted('joined', { id: `${n}`, by: 'b' }));
    for (let n = 0; n < 1_000; n++) told.take(noted('joined', { id: `u${n}`, by: 'unknown' }));
    expect([told.all.length, told.named().length]).toEqual([200, 200]);
  });
});
