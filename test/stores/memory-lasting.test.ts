/** What the memory store holds of a kind with `evicts: false`: it forgets nothing before its time. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEnded } from '../../src/stores/store.ts';
import { isMatrix } from '../kit/matrix.ts';
import { plainRecord } from '../store-contract/plain-record.ts';
import { memoryRooms } from './memory-rooms.ts';

const FENCE = { epoch: 1, owner: 'me' };
const LOG = { ttlMs: Infinity, events: 1_000, bytes: 1_000_000 };
const LISTED = { name: 'entries', log: LOG, keepMs: 0, listed: true, grouped: true, evicts: false } as const;
/** Its ended records may be dropped. */
const UNLISTED = { name: 'entries', log: LOG, keepMs: 0, listed: false, evicts: false } as const;

function createRoom(kind: typeof LISTED | typeof UNLISTED) {
  const { deployment, now, pass } = memoryRooms(kind);
  const { backend, records } = deployment();
  const endedRows = () => backend.due(kind, [-Infinity, ''], Infinity, 1_000).filter(({ fence }) => fence === null);
  const livingRows = () => backend.list(kind, '', '~', 1_000);
  return { records, endedRows, livingRows, now, pass };
}

describe('records of a kind that is never forgotten early', () => {
  const n = fc.nat(30);
  const steps: ReadonlyArray<[weight: number, draws: Readonly<Record<string, fc.Arbitrary<unknown>>>]> = [
    [6, { op: fc.constant('create'), n, size: fc.nat(3_000), ms: fc.constantFrom(null, 500, 5_000) }],
    [
      5,
      {
        op: fc.constant('end'),
        n,
        size: fc.constantFrom(0, 900, 1_024, 3_000, 20_000),
        ms: fc.constantFrom(0, 100, 1_000, 60_000),
      },
    ],
    [3, { op: fc.constant('save'), n, field: fc.constantFrom('a', 'b'), size: fc.constantFrom(0, 500, 5_000, 30_000) }],
    [3, { op: fc.constant('add'), n, field: fc.constantFrom('a', 'b'), size: fc.constantFrom(0, 500, 5_000, 30_000) }],
    [5, { op: fc.constant('append'), n, size: fc.constantFrom(2, 500, 5_000, 30_000) }],
    [2, { op: fc.constant('drop'), n }],
    [2, { op: fc.constant('pass'), ms: fc.nat(1_500) }],
    [1, { op: fc.constant('sweep') }],
  ];
  interface Step {
    readonly op: string;
    readonly n: number;
    readonly field: string;
    readonly size: number;
    readonly ms: number | null;
  }
  const step = fc.oneof(
    ...steps.map(([weight, draws]) => ({
      weight,
      arbitrary: fc.record(draws) as fc.Arbitrary<unknown> as fc.Arbitrary<Step>,
    })),
  );

  test.each([LISTED, UNLISTED])('show each outcome for its time, and are gone after it (listed: $listed)', (kind) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (all) => {
        const { records, endedRows, livingRows, now, pass } = createRoom(kind);
        const ended = new Map<string, { readonly outcome: string; readonly until: number }>();
        const sweep = (): void => {
          for (const { id, epoch } of records.due(100).records) void records.end(id, { epoch, owner: 'me' }, '');
          records.trim();
        };
        const calls: Readonly<Record<string, (step: Step, id: string) => string>> = {
          create: ({ size, ms }, id) => records.create(plainRecord(id, FENCE, { body: 'b'.repeat(size) }), ms),
          end: ({ size, ms }, id) => records.end(id, FENCE, 'x'.repeat(size), ms ?? 0),
          save: ({ field, size }, id) => records.save(id, FENCE, { fields: { [field]: 'f'.repeat(size) } }),
          add: ({ field, size }, id) => records.add(id, field, 'f'.repeat(size)),
          append: ({ size }, id) => {
            const found = records.replay(id, 's', -1);
            const append = { id, fence: FENCE, stream: 's', from: found.found ? found.next : 0 };
            return records.append({ ...append, events: ['e'.repeat(size)] });
          },
          drop: (_, id) => {
            const found = records.read(id);
            return records.drop(id, found !== undefined && isEnded(found) ? found.at : 0);
          },
        };
        for (const one of all) {
          const id = `g.${one.n}`;
          const found = records.read(id);
          const answer = calls[one.op]?.(one, id);
          if (one.op === 'pass') pass(one.ms ?? 0);
          if (one.op === 'sweep') sweep();
          if (answer === 'created' || answer === 'dropped') ended.delete(id);
          if (answer === 'ended' && found !== undefined && !isEnded(found))
            ended.set(id, { outcome: 'x'.repeat(one.size), until: now() + (one.ms ?? 0) });
          for (const [of, { outcome, until }] of ended) {
            const kept = records.read(of);
            if (until <= now()) assert.equal(kept, undefined);
            else assert.ok(kept !== undefined && isEnded(kept) && kept.outcome === outcome, of);
          }
          if (kind.listed) assert.equal(records.count('g'), livingRows().length);
        }
        pass(100_000);
        sweep();
        for (const { id } of livingRows()) records.end(id, FENCE, '', 0);
        sweep();
        expect([livingRows(), endedRows()]).toEqual([[], []]);
      }),
      { numRuns: isMatrix ? 400 : 100 },
    );
  });
});
