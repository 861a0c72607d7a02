import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_OVERHEAD_BYTES, LOG_OVERHEAD_BYTES } from '../../src/stores/memory/memory-log.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import { plainRecord } from './contract/plain-record.ts';
import { memoryRooms } from './memory-rooms.ts';

const FENCE = { epoch: 1, owner: 'me' };
const HOUR_MS = 3_600_000;

const recordOf = (id: string): StoredRecord => plainRecord(id, FENCE);

const createRoom = (
  logBytes: number,
  log = { maxAgeMs: HOUR_MS, events: 1_000, bytes: 1_048_576 },
) =>
  memoryRooms({ name: 'things', log, keepMs: HOUR_MS, listed: true, counted: true }, { logBytes });

describe('the byte budget of the event logs', () => {
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        op: fc.constant('append'),
        s: fc.nat(3),
        stream: fc.nat(2),
        size: fc.nat(60),
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('end'), s: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('pass'), ms: fc.nat(2_000) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('trim') }) },
  );

  test('is never exceeded, counts the held bytes and returns to 0', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async (steps) => {
        const { budget, deployment, pass } = createRoom(3_000, {
          maxAgeMs: 1_500,
          events: 8,
          bytes: 150,
        });
        const rooms = [deployment(), deployment()];
        const next = new Map<string, number>();
        const room = (s: number) => rooms[s % 2] as (typeof rooms)[number];
        for (const one of steps) {
          if (one.op === 'append') {
            room(one.s).records.create(recordOf(`s${one.s}`));
            const key = `${one.s} ${one.stream}`;
            const from = next.get(key) ?? 0;
            const append = { id: `s${one.s}`, fence: FENCE, stream: `p${one.stream}`, from };
            assert.equal(
              room(one.s).records.append({ ...append, events: ['', 'x'.repeat(one.size)] }),
              'written',
            );
            next.set(key, from + 2);
          } else if (one.op === 'end') {
            room(one.s).records.end(`s${one.s}`, FENCE, 'deleted');
            for (const stream of [0, 1, 2]) next.delete(`${one.s} ${stream}`);
            pass(HOUR_MS); // so that the id can be created again
          } else if (one.op === 'pass') pass(one.ms);
          else for (const { records } of rooms) await records.trim();
          const logs = rooms
            .flatMap(({ entries }) => [0, 1, 2, 3].map((s) => entries(`s${s}`)))
            .filter(({ length }) => length > 0)
            .map((entries) => entries.flatMap(({ events }) => events));
          const held = logs
            .flat()
            .reduce((sum, data) => sum + data.length + EVENT_OVERHEAD_BYTES, 0);
          assert.equal(budget.used, held + logs.length * LOG_OVERHEAD_BYTES);
          assert.ok(budget.used <= budget.limit);
          for (const log of logs) {
            const laterBytes = log.slice(2).reduce((sum, { length }) => sum + length, 0);
            assert.ok(log.length <= 8 && laterBytes <= 150, 'retention of one log');
          }
        }
        pass(10_000);
        for (const { records } of rooms) await records.trim();
        expect(budget.used).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test('the long answers of one user drop events of that user, not those of others', async () => {
    const { budget, deployment } = createRoom(100_000, {
      maxAgeMs: HOUR_MS,
      events: 1_000,
      bytes: 10_000,
    });
    const [one, other] = [deployment(), deployment()];
    const append = (room: typeof one, id: string, share: string, bytes: number): void => {
      room.records.create({ ...recordOf(id), share });
      room.records.append({ id, fence: FENCE, stream: 'p', from: 0, events: ['x'.repeat(bytes)] });
    };
    const isKept = async (room: typeof one, ids: string[]): Promise<boolean[]> =>
      Promise.all(ids.map(async (id) => (await room.records.replay(id, 'p', -1)).found));
    append(one, 'bob', 'user bob', 5_000);
    append(other, 'joe', 'user joe', 20_000);
    for (let n = 0; n < 200; n++) append(n % 2 === 0 ? one : other, `eve ${n}`, 'user eve', 9_000);
    expect(await isKept(one, ['bob', 'eve 0', 'eve 190'])).toEqual([true, false, false]);
    expect(await isKept(other, ['joe', 'eve 199'])).toEqual([true, true]);
    expect(budget.used).toBeGreaterThan(0.8 * budget.limit);
    // Two users with more than their part: the one with the most loses its own.
    for (let n = 0; n < 4; n++) append(one, `ann ${n}`, 'user ann', 8_000);
    expect(await isKept(one, ['ann 0', 'ann 1', 'ann 2', 'ann 3', 'bob'])).not.toContain(false);
  });

  test('where no user has more than a quarter, events of the log with the oldest last write go, in every deployment', async () => {
    const { deployment } = createRoom(100_000);
    const rooms = [deployment(), deployment()].map(({ records }) => records);
    const roomOf = (n: number) => rooms[n % 2] as (typeof rooms)[number];
    const append = (n: number, from: number) => {
      roomOf(n).create({ ...recordOf(`s${n}`), share: `user ${n}` });
      const append = { id: `s${n}`, fence: FENCE, stream: 'p', from };
      roomOf(n).append({ ...append, events: ['x'.repeat(10_000)] });
    };
    for (let n = 0; n <= 5; n++) append(n, 0);
    append(0, 1);
    // Nine events have room, so six go.
    for (let n = 6; n < 14; n++) append(n, 0);
    const kept = await Promise.all(
      Array.from({ length: 14 }, (_, n) => roomOf(n).replay(`s${n}`, 'p', -1)),
    );
    expect(kept.map(({ found }) => found)).toEqual([
      ...Array(6).fill(false),
      ...Array(8).fill(true),
    ]);
    expect(await roomOf(0).replay('s0', 'p', -1)).toEqual({ found: false, why: 'gap', first: 1 });
    expect(await roomOf(0).replay('s0', 'p', 0)).toMatchObject({ found: true, next: 2 });
  });

  test('a log forgets a complete stream when the last event of it is dropped', async () => {
    const { deployment } = createRoom(1_000_000, { maxAgeMs: HOUR_MS, events: 10, bytes: 1_000 });
    const { records } = deployment();
    records.create(recordOf('s'));
    const append = (n: number) =>
      records.append({
        id: 's',
        fence: FENCE,
        stream: `p${n}`,
        from: 0,
        events: ['', '1'],
        complete: true,
      });
    for (let n = 0; n < 1_000; n++) append(n);
    const replays = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) => records.replay('s', `p${n}`, -1)),
    );
    expect(replays.filter(({ found }) => found)).toHaveLength(5);
    expect(await records.replay('s', 'p0', -1)).toEqual({ found: false, why: 'unknown' });
    // Nothing is remembered of it, so its name begins another stream.
    expect([append(999), append(0)]).toEqual(['written', 'written']);
    expect(await records.replay('s', 'p0', -1)).toMatchObject({ found: true, next: 2 });
  });

  test('a complete stream that its client has read is dropped at once, and others stay', async () => {
    const { budget, deployment } = createRoom(1_000_000);
    const { entries, records } = deployment();
    records.create(recordOf('s'));
    const append = (stream: string, complete: boolean) =>
      records.append({ id: 's', fence: FENCE, stream, from: 0, events: ['', '1'], complete });
    append('first', true);
    append('open', false);
    records.forget('s', 'open');
    records.forget('s', 'unknown');
    expect(entries('s').flatMap(({ events }) => events)).toHaveLength(4);
    records.forget('s', 'first');
    expect(await records.replay('s', 'first', -1)).toEqual({ found: false, why: 'unknown' });
    expect(await records.replay('s', 'open', -1)).toMatchObject({
      found: true,
      next: 2,
      complete: false,
    });

    records.create(recordOf('t'));
    records.append({ id: 't', fence: FENCE, stream: 'p', from: 0, events: ['1'], complete: true });
    const used = budget.used;
    records.forget('t', 'p');
    expect(entries('t')).toEqual([]);
    expect(budget.used).toBeLessThan(used);
  });

  test.each(['due', 'log'] as const)(
    'a record that is made anew while a sweep asks for %s keeps its log',
    async (ask) => {
      const room = createRoom(0);
      const { backend, records } = room.deployment();
      const append = (from: number, complete: boolean) =>
        records.append({ id: 's', fence: FENCE, stream: 'p', from, events: ['1'], complete });
      const make = (complete: boolean): void => {
        records.create(recordOf('s'));
        append(0, complete);
      };
      make(true);
      if (ask === 'due') records.end('s', FENCE, '');
      room.pass(HOUR_MS);
      let isMade = false;
      const asked = backend[ask].bind(backend) as (...given: unknown[]) => never;
      backend[ask] = (...given: unknown[]) => {
        const answer = asked(...given);
        if (isMade) return answer;
        isMade = true;
        records.end('s', FENCE, '');
        room.pass(HOUR_MS);
        make(false);
        return answer;
      };
      await (ask === 'due' ? records.due(10) : records.trim());
      // The entries are dropped, so only what is known says that the stream is open.
      expect([isMade, append(1, false)]).toEqual([true, 'written']);
    },
  );
});
