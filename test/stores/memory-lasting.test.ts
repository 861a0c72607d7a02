// @module-tag matrix
/** What the memory store holds of a kind with `evicts: false`. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventBudget } from '../../src/stores/memory/event-budget.ts';
import { EVENT_OVERHEAD_BYTES, LOG_OVERHEAD_BYTES } from '../../src/stores/memory/memory-log.ts';
import { MemoryBackend } from '../../src/stores/memory/memory-backend.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../../src/stores/store.ts';
import { memoryRecords } from './memory-records.ts';
import { plainRecord } from '../store-contract/plain-record.ts';

const FENCE = { epoch: 1, owner: 'me' };
const log = { ttlMs: Infinity, events: 1_000, bytes: 1_000_000 };
const KIND = { name: 'entries', log, keepMs: 0, listed: true, grouped: true, evicts: false } as const;

function createRoom(most: number, bytes: number) {
  let now = 1_000_000;
  const time = { now: () => now, setTimeout: () => 0, clearTimeout: () => undefined };
  const options = { time, budget: new EventBudget(Infinity), tombstones: most, eventLogBytes: bytes };
  const backend = new MemoryBackend(options);
  const records = memoryRecords(KIND, backend);
  /** What is held, counted here. */
  const used = () => {
    const living = backend.list(KIND, '', '~', 1_000).map(({ value }) => value as StoredRecord);
    const due = backend.due(KIND, [-Infinity, ''], Infinity, 1_000);
    const ended = due.filter(({ fence }) => fence === null).map(({ value }) => value as EndedRecord);
    const sizes = [
      ...ended.map(({ outcome }) => outcome.length),
      ...living.map(({ body, fields }) => body.length + Object.entries(fields).flat().join('').length),
    ];
    const logged = living.map(({ id }) =>
      backend.log(KIND, id).reduce((sum, { head }) => sum + head[2] + EVENT_OVERHEAD_BYTES, 0),
    );
    const logs = logged.filter((size) => size > 0).reduce((sum, size) => sum + size + LOG_OVERHEAD_BYTES, 0);
    return {
      places: sizes.length,
      bytes: logs + sizes.reduce((sum, size) => sum + Math.max(1_024, size), 0),
      ended: ended.length,
    };
  };
  const create = (id: string, user: string | null, expiresInMs: number | null = null, body = '{}'): string => {
    try {
      return records.create(plainRecord(id, FENCE, { user, body }), expiresInMs);
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const end = (id: string, outcome: string, keepMs: number): string => {
    try {
      return records.end(id, FENCE, outcome, keepMs);
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const write = (id: string, field: string, text: string, adds: boolean): string => {
    try {
      return adds ? records.add(id, field, text) : records.save(id, FENCE, { fields: { [field]: text } });
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const append = (id: string, text: string): string => {
    const found = records.replay(id, 's', -1);
    const from = found.found ? found.next : 0;
    try {
      return records.append({ id, fence: FENCE, stream: 's', from, events: [text] });
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  return { records, backend, used, create, end, write, append, now: () => now, pass: (ms: number) => void (now += ms) };
}

describe('records of a kind that is never forgotten early', () => {
  const users = [null, 'ada', 'bob', ''];
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant('create'),
        n: fc.nat(30),
        user: fc.nat(3),
        body: fc.nat(3_000),
        expires: fc.constantFrom(null, 500, 5_000),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constant('end'),
        n: fc.nat(30),
        size: fc.constantFrom(0, 900, 1_024, 3_000, 20_000),
        keep: fc.constantFrom(0, 100, 1_000, 60_000),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constant('write'),
        n: fc.nat(30),
        field: fc.constantFrom('a', 'b'),
        size: fc.constantFrom(0, 500, 5_000, 30_000),
        adds: fc.boolean(),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constant('append'),
        n: fc.nat(30),
        size: fc.constantFrom(2, 500, 5_000, 30_000),
      }),
    },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('pass'), ms: fc.nat(1_500) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('sweep') }) },
  );

  test('show each outcome for its time, stay within both limits, and give all room back', () => {
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
        const { records, backend, used, create, end, write, append, now, pass } = createRoom(12, 40_000);
        const ended = new Map<string, { readonly outcome: string; readonly until: number }>();
        const sweep = (): void => {
          for (const { id, epoch } of records.due(100).records) void records.end(id, { epoch, owner: 'me' }, '');
          records.trim();
        };
        for (const one of steps) {
          if (one.op === 'create') {
            const id = `g.${one.n}`;
            const outcome = create(id, users[one.user] ?? null, one.expires, 'b'.repeat(one.body));
            outcomes.add(`create ${outcome}`);
            if (outcome === 'created') ended.delete(id);
          } else if (one.op === 'end') {
            const [id, outcome] = [`g.${one.n}`, 'x'.repeat(one.size)];
            const found = records.read(id);
            const answer = end(id, outcome, one.keep);
            outcomes.add(`end ${answer}`);
            // A short outcome always finds its room.
            if (one.size <= 1_024) expect(answer).not.toBe('STORE_FULL');
            if (answer === 'STORE_FULL') expect(records.read(id)).toEqual(found);
            if (answer === 'ended' && found !== undefined && !isEnded(found))
              ended.set(id, { outcome, until: now() + one.keep });
          } else if (one.op === 'write') {
            const id = `g.${one.n}`;
            const found = records.read(id);
            const answer = write(id, one.field, 'f'.repeat(one.size), one.adds);
            outcomes.add(`write ${answer}`);
            if (answer === 'STORE_FULL') expect(records.read(id)).toEqual(found);
          } else if (one.op === 'append') {
            const id = `g.${one.n}`;
            const found = records.replay(id, 's', -1);
            const answer = append(id, 'e'.repeat(one.size));
            outcomes.add(`append ${answer}`);
            // None of its events is dropped, and none is stored.
            if (answer === 'STORE_FULL') expect(records.replay(id, 's', -1)).toEqual(found);
          } else if (one.op === 'pass') pass(one.ms);
          else sweep();
          for (const [id, { outcome, until }] of ended) {
            const found = records.read(id);
            if (until <= now()) assert.equal(found, undefined);
            else assert.ok(found !== undefined && isEnded(found) && found.outcome === outcome, id);
          }
          const { places, bytes, ended: ends } = used();
          const room = 12 - places < (40_000 - bytes) / 1_024 ? places * 1_024 : bytes;
          assert.ok(places <= 12 && bytes <= 40_000, `${places} records, ${bytes} bytes`);
          assert.deepEqual([backend.room()?.used, records.count('g')], [room, places - ends]);
        }
        pass(100_000);
        sweep();
        for (const { id } of records.list(100).records) end(id, '', 0);
        sweep();
        expect([used(), backend.room()?.used]).toEqual([{ places: 0, bytes: 0, ended: 0 }, 0]);
      }),
      { numRuns: 400 },
    );
    const all = ['create STORE_FULL', 'create created', 'create exists', 'end STORE_FULL', 'end ended', 'end gone'];
    const appends = ['STORE_FULL', 'fenced', 'written'].map((answer) => `append ${answer}`);
    const writes = ['STORE_FULL', 'added', 'exists', 'fenced', 'gone', 'written'].map((answer) => `write ${answer}`);
    expect([...outcomes].toSorted()).toEqual([...appends, ...all, ...writes]);
  });

  test('many records with large outcomes that end at once take no more than there is', () => {
    const { create, end, used } = createRoom(10_000, 1_000_000);
    for (let n = 0; n < 400; n++) expect(create(`g.${n}`, 'eve')).toBe('created');
    const answers = Array.from({ length: 400 }, (_, n) => end(`g.${n}`, 'x'.repeat(20_000), 60_000));
    expect(new Set(answers)).toEqual(new Set(['ended', 'STORE_FULL']));
    expect(used().bytes).toBeLessThanOrEqual(1_000_000);
    // The records whose outcome found no room end with a short one.
    for (let n = 0; n < 400; n++) if (answers[n] !== 'ended') expect(end(`g.${n}`, 'large', 60_000)).toBe('ended');
  });

  test('an error says which limit is reached', () => {
    const { records, create } = createRoom(2, 1_000_000);
    const message = (id: string, user: string): string => {
      try {
        return records.create(plainRecord(id, FENCE, { user }));
      } catch (error) {
        return (error as Error).message;
      }
    };
    create('g.0', 'ada');
    create('g.1', 'bob');
    expect(message('g.2', 'eve')).toMatch(/of the kind entries: they have 2 records \(limits\.tombstones\)/);
  });
});
