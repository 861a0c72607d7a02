/** Parts of the page that need no browser: the filter, the stream, the last minute, the line of owners. */
import { describe, expect, test } from 'vitest';
import { EventParser } from '../../dashboard/net/stream.ts';
import { lensShapes } from '../../dashboard/fleet/lens-picture.ts';
import { riverShapes } from '../../dashboard/fleet/river-picture.ts';
import { placesOf } from '../../dashboard/session/owners.ts';
import { toggled } from '../../dashboard/lists/filter.ts';
import { type Filtered, parseFilter } from '../../dashboard/sessions/filter.ts';
import { Lanes } from '../../dashboard/state/lanes.ts';
import { Minute } from '../../dashboard/state/minute.ts';
import type { EventRow } from '../../src/dashboard/wire-pages.ts';
import type { FleetSnapshot, FleetInstance, StoppedInstance } from '../../src/dashboard/wire.ts';

const NOW = 1_000_000_000;

const row: Filtered = {
  hash: 'bc1dc8c05eef',
  status: 'orphaned',
  ownerName: undefined,
  userName: 'Eva',
  clientInfo: { name: 'Visual Studio Code', version: '1.112.0' },
  protocolVersion: '2025-11-25',
  createdAt: NOW - 3_600_000,
  activeAt: NOW - 660_000,
  bytes: 2400,
};

describe('the filter of sessions', () => {
  test.each([
    ['', true],
    ['visual', true],
    ['eva', true],
    ['bc1dc8', true],
    ['client:visual-studio', true],
    ['client:cursor', false],
    ['user:eva', true],
    ['user:-', false],
    ['owner:-', true],
    ['state:owner-lost', true],
    ['state:orphaned', true],
    ['state:live', false],
    ['version:2025-11', true],
    ['idle>10m', true],
    ['idle>1h', false],
    ['age>30m age<2h', true],
    ['size>2k', true],
    ['size>2kb', true],
    ['calls>0', false],
    ['stream:get', false],
    ['client:visual-studio idle<1m', false],
  ])('%j', (query, fits) => {
    const filter = parseFilter(query, NOW);
    expect(filter.unknown).toEqual([]);
    expect(filter.fits(row)).toBe(fits);
  });

  test('names terms that mean nothing', () => {
    const { unknown, fits } = parseFilter('colour:red idle>ten size>3q constructor:x __proto__>1 eva', NOW);
    expect(unknown).toEqual(['colour:red', 'idle>ten', 'size>3q', 'constructor:x', '__proto__>1']);
    expect(fits(row)).toBe(true);
  });

  test('a facet adds its term, and removes it', () => {
    expect(toggled('eva', 'state:live')).toBe('eva state:live');
    expect(toggled('eva state:live', 'state:live')).toBe('eva');
  });
});

test('a stream may be cut anywhere', () => {
  const text = ': comment\nevent: fleet\ndata: {"a":1}\n\nevent: stop\r\ndata: {"b":"é"}\r\n\r\ndata: 3\n\n';
  const expected = [
    ['fleet', { a: 1 }],
    ['stop', { b: 'é' }],
    ['', 3],
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const events: unknown[] = [];
    const parser = new EventParser((type, data) => events.push([type, data]));
    for (let at = 0; at < text.length; at += size) parser.take(text.slice(at, at + size));
    expect(events).toEqual(expected);
  }
});

const fleetOf = (at: number, instances: readonly Partial<FleetInstance>[], orphaned = 0): FleetSnapshot => ({
  at,
  instances: instances.map((one) => ({ id: 'a', name: 'web-1', state: 'serving', ...one })),
  store: { state: 'answers', counts: { at, stored: 4 + orphaned, hibernated: 4, released: 0, orphaned } },
});

describe('the last minute', () => {
  test('has rates of counters, what moved, and what a process left behind', () => {
    const minute = new Minute();
    const [a, b] = [
      { sessions: 10, count: { requests: 100, moved: 0 } },
      { id: 'b', name: 'web-2', sessions: 7 },
    ];
    minute.add(fleetOf(NOW, [a, b]));
    minute.add(
      fleetOf(
        NOW + 500,
        [
          { ...a, count: { requests: 120, moved: 3 } },
          { ...b, state: 'gone' },
        ],
        7,
      ),
    );
    const [first, second] = minute.bins;
    expect(first?.lanes.get('web-1')).toMatchObject({ calls: 0, sessions: 10 });
    expect(second?.lanes.get('web-1')).toMatchObject({ calls: 40, moves: 3, moved: 3 });
    expect(second?.lanes.get('web-2')).toMatchObject({ state: 'gone', sessions: undefined, fallen: 7 });
    expect(second).toMatchObject({ left: 7, hibernated: 4 });
  });

  test('a process that takes a name does not continue the counters of the one before', () => {
    const minute = new Minute();
    minute.add(fleetOf(NOW, [{ sessions: 10, count: { requests: 900 } }]));
    const next = { id: 'b', sessions: 0, count: { requests: 5 } };
    minute.add(fleetOf(NOW + 500, [{ state: 'gone' }, next]));
    expect(minute.bins.at(-1)?.lanes.get('web-1')).toMatchObject({ id: 'b', calls: 0 });
  });

  test('keeps a minute, and survives a clock that goes back', () => {
    const minute = new Minute();
    for (let k = 0; k < 300; k += 1) minute.add(fleetOf(NOW + k * 500, [{ sessions: k }]));
    expect(minute.bins.length).toBeLessThan(126);
    minute.add(fleetOf(NOW, [{ sessions: 1 }]));
    expect(minute.bins.map(({ at }) => at)).toEqual([NOW]);
  });
});

test('a lane of an instance that vanished ends, and leaves after a while', () => {
  const lanes = new Lanes();
  lanes.add(fleetOf(NOW, [{}, { id: 'b', name: 'web-2' }]));
  lanes.add(fleetOf(NOW + 500, [{}]));
  expect(lanes.all.map(({ name, instance }) => [name, instance.state])).toEqual([
    ['web-1', 'serving'],
    ['web-2', 'gone'],
  ]);
  lanes.add(fleetOf(NOW + 100_000, [{}]));
  expect(lanes.all.map(({ name }) => name)).toEqual(['web-1']);
});

test.each([24, 44, 90, 700, 12_000])('in the lens no word covers a number: %s ms', (longest) => {
  const call = { method: 'tools/call', start: -30, cut: 0, wait: longest, run: 5, outcome: 'again', to: 'b' } as const;
  const counts = { waited: 1, longestMs: longest, lost: 0, calls: [call] };
  const stop: StoppedInstance = {
    id: 'gone.a',
    at: NOW,
    kind: 'gone',
    name: 'a-long-host-name 12345',
    end: 'removed',
    ...counts,
  };
  for (const width of [380, 900, 1300]) {
    const { shapes } = lensShapes({ stop, width, until: Infinity, nameOf: () => 'b' });
    const axis = shapes.flatMap((shape) => (shape.kind === 'text' && shape.y === 11 ? [shape] : []));
    const [zero, ...numbers] = axis.filter(({ text }) => !['ran', 'waits', 'continues'].includes(text));
    const half = ((zero?.text.length ?? 0) * 6) / (zero?.anchor === 'start' ? 1 : 2);
    expect(zero?.text).toContain('gone');
    for (const { x, text } of numbers) expect(x - text.length * 3 - ((zero?.x ?? 0) + half)).toBeGreaterThan(0);
  }
});

test('a lane that takes another id for the same process has lapsed, and no word of it covers another one', () => {
  const minute = new Minute();
  const laneList = new Lanes();
  for (let k = 0; k < 40; k += 1) {
    const id = k < 20 ? 'a' : k < 26 ? 'b' : 'c';
    const fleet = fleetOf(NOW + k * 500, [{ id, name: 'web-1', pid: 7, sessions: 3 }]);
    minute.add(fleet);
    laneList.add(fleet);
  }
  const cells = [0, 84].map((y) => ({ x: 0, y, wide: 800, tall: 84 }));
  const now = NOW + 39 * 500;
  const shapes = riverShapes({ cells, narrow: false, lanes: laneList.all, bins: minute.bins, now, cursor: undefined });
  const words = shapes.flatMap((shape) => (shape.kind === 'text' && shape.class === 'tb' ? [shape] : []));
  expect(words.map(({ text }) => text.split(' ')[0])).toEqual(['lapsed']);
  expect(shapes.filter((shape) => shape.kind === 'path' && shape.class === 'x')).toHaveLength(2);
});

test('a lane whose server was lost too ends as the others saw it', () => {
  const lanes = new Lanes();
  lanes.add(fleetOf(NOW, [{}, { id: 'b', name: 'web-2' }]));
  lanes.add(fleetOf(NOW + 500, [{}]));
  const counts = { waited: 0, longestMs: 0, lost: 0, calls: [] };
  const stop: StoppedInstance = { id: 'gone.b', at: NOW, kind: 'gone', instance: 'b', end: 'killed', ...counts };
  expect(lanes.with([stop]).map(({ instance }) => instance.end)).toEqual([undefined, 'killed']);
});

describe('the line of a session', () => {
  const event = (at: number, what: EventRow['what'], instance?: string, from?: string): EventRow => ({
    kind: 'event',
    at: NOW + at,
    what,
    text: '',
    ...(instance !== undefined && { instance }),
    ...(from !== undefined && { from }),
  });

  test('leads from owner to owner, and through the store', () => {
    const rows = [
      event(4, 'takenOver', 'b', 'a'),
      event(3, 'woken', 'a'),
      event(2, 'hibernated', 'a'),
      event(1, 'opened', 'a'),
    ];
    expect(placesOf(rows, 'b', NOW + 1).map(({ instance, left, isLost }) => [instance, left, isLost])).toEqual([
      ['a', 'hibernated', false],
      [undefined, '', false],
      ['a', 'gone', true],
      ['b', '', false],
    ]);
  });

  test('begins with the owner before the first event that is known', () => {
    const [first, second] = placesOf([event(9, 'takenOver', 'b', 'a')], 'b', NOW);
    expect(first).toMatchObject({ instance: 'a', from: NOW, to: NOW + 9, isLost: true });
    expect(second).toMatchObject({ instance: 'b', to: undefined });
  });

  test('an owner that had drained is no loss', () => {
    const rows = [event(9, 'takenOver', 'b'), event(5, 'released', 'a'), event(1, 'opened', 'a')];
    expect(placesOf(rows, 'b', NOW).map(({ instance, left, isLost }) => [instance, left, isLost])).toEqual([
      ['a', 'drained', false],
      [undefined, '', false],
      ['b', '', false],
    ]);
  });

  test('without events it is where the session is now', () => {
    expect(placesOf([], 'a', NOW)).toMatchObject([{ instance: 'a', from: NOW, to: undefined }]);
  });
});
