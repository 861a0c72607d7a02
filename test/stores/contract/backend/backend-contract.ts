/**
 * The contract of a backend (`src/stores/kernel/backend.ts`), as data. What rows and entries mean is the kernel's
 * contract (`stores/contract.ts`), and how messages arrive is the store's.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type {
  Backend,
  DuePlace,
  LogEntry,
  Row,
  Write,
} from '../../../../src/stores/kernel/backend.ts';
import { rangeOf } from '../../../../src/stores/shared/cursor.ts';
import type { Kind } from '../../../../src/stores/store.ts';
import { Deployment } from '../../../simulation/sim-store.ts';
import { GROUPS } from '../model/random-operations.ts';
import { idsOf } from '../view.ts';
import { add, drop, IDS, MINE, PARCELS, put, TABLE, THINGS, WAYS, type Trips } from './trips.ts';

/** What the test of a store provides. */
export interface BackendUnderTest {
  /** A backend for {@link KINDS}, on the same data as the ones before, as another process would have it. */
  connect(): Backend | Promise<Backend>;
  /** From now on the store refuses each entry with the event {@link REFUSED}. Absent: no entry can be refused. */
  refuseEntries?(): unknown;
}

export const KINDS: readonly Kind[] = [THINGS, PARCELS];
export const REFUSED = '"no"';

export interface BackendCase {
  readonly title: string;
  /** Only for a store that can refuse an entry. */
  readonly refuses?: true;
  run(under: BackendUnderTest): Promise<void>;
}

/** Above the usual limits of servers: 1 MiB of many brokers and proxies, 4 MiB of a POST's body. */
const LARGE = 'é🧪'.repeat(900_000);
/** More than the kernel puts into one trip. */
const MANY = 600;
const NAMES = ['0', '.', 'a', '~', '*', "'", '\\', 'a.b', 'x'.repeat(240)];
const WAKES = [null, 5, 5, 7.25, -1, 1e12 + 0.5];
const NO_PLACE: DuePlace = [-Number.MAX_VALUE, ''];

const rowOf = (row: Row | undefined) => row && { ...row, value: { ...row.value } };

/** Everything that is stored in the rows of the table. */
async function stored(backend: Backend): Promise<unknown> {
  // The events of other streams need not be there.
  const log = async (id: string, wanted: string | null): Promise<unknown> =>
    (await backend.log(THINGS, id, wanted)).map(({ no, stream, head, events }: LogEntry) =>
      stream === wanted ? [no, stream, head, events] : [no, stream, head],
    );
  const rows = async (page: readonly Row[] | Promise<readonly Row[]>) => (await page).map(rowOf);
  return {
    rows: await Promise.all(IDS.map(async (id) => rowOf(await backend.read(THINGS, id)))),
    logs: await Promise.all(IDS.flatMap((id) => ['p', 'q', null].map((stream) => log(id, stream)))),
    listed: await rows(backend.list(THINGS, '', '~', 100)),
    inside: await rows(backend.list(THINGS, 'a', 'c', 100)),
    due: await rows(backend.due(THINGS, NO_PLACE, 4e12, 100)),
    soon: await rows(backend.due(THINGS, [3, 'd'], 7.25, 100)),
    counts: [await backend.count(THINGS, '', '~'), await backend.count(THINGS, 'a', 'c')],
    shares: [await backend.countOf(THINGS, 'one'), await backend.countOf(THINGS, 'two')],
    oldest: [await backend.oldest(THINGS, 'one', 9), await backend.oldest(THINGS, 'one', 1)],
    ended: [...(await backend.endedOf(THINGS, 'one'))].sort(),
    kept: [await backend.kept(KINDS, 'one'), await backend.kept(KINDS, 'two')],
    recounted: [await recount(backend, 'one'), await recount(backend, 'two')],
    all: await backend.keptByAll(KINDS, 2),
  };
}

/** A store in which nothing is gone without a write has counted. */
const recount = async (backend: Backend, share: string): Promise<readonly number[]> =>
  (backend.recount ?? backend.kept).call(backend, KINDS, share);

/** The same, where the writes are made one after the other. */
async function expected(trips: Trips): Promise<unknown> {
  const plain = new Deployment(() => 0, 0).backend('a process');
  for (const { write, done } of trips.flat()) assert.deepEqual(await plain.write([write]), [done]);
  return stored(plain);
}

const tableCases = Object.entries(TABLE).map(([title, trips]): BackendCase => ({
  title,
  async run({ connect }) {
    const backends = [await connect(), await connect()] as const;
    for (const [way, travel] of Object.entries(WAYS)) {
      for (const [n, trip] of travel(trips.flat()).entries()) {
        const answers = await (backends[n % 2] as Backend).write(trip.map(({ write }) => write));
        const compared = answers.map((answer, at) =>
          trip[at]?.done === undefined ? undefined : answer,
        );
        assert.deepEqual(
          compared,
          trip.map(({ done }) => done),
          `${way}, trip ${n}`,
        );
      }
      assert.deepEqual(await stored(backends[1]), await expected(trips), way);
      for (const id of IDS) {
        const row = await backends[0].read(THINGS, id);
        if (row !== undefined)
          assert.deepEqual(await backends[0].write([drop(id, row.version, row)]), [true]);
      }
    }
  },
}));

async function pages<P>(
  page: (after: P) => Promise<readonly Row[]>,
  first: P,
  place: (row: Row) => P,
): Promise<P[]> {
  const all: P[] = [];
  for (let after = first; ;) {
    const rows = await page(after);
    all.push(...rows.map(place));
    const last = rows.at(-1);
    if (last === undefined) return all;
    after = place(last);
  }
}

const inBytes = (a: string, b: string): number => (a < b ? -1 : 1);
const allTrue = (writes: readonly Write[]): true[] => writes.map(() => true);

const COUNTED_STEP = fc.record({
  id: fc.constantFrom(...IDS),
  what: fc.constantFrom('put', 'put', 'add', 'add', 'cut', 'clear', 'end', 'drop'),
  by: fc.nat(1),
  again: fc.constantFrom(0, 0, 1),
  size: fc.nat(3_000),
});

/** A write that takes effect, if there is a row for it. */
function countedWrite(
  what: string,
  id: string,
  row: Row | undefined,
  last: number,
  size: number,
): Write {
  const was = row?.version ?? 0;
  const body = 'é'.repeat(size);
  if (what === 'add') return add(id, [last + 1, last + 3], { event: `"${body}"` });
  if (what === 'cut') return add(id, [last + 1], { cut: last });
  if (what === 'drop' && row !== undefined) return drop(id, was, row);
  const version = (versions += 1);
  if (what === 'end') return put(id, was, version, { fence: null, wakeAt: 7, clear: true, body });
  // Only a put that clears the log has another body.
  const isChange = what === 'put' && row !== undefined && 'body' in row.value;
  return put(id, was, version, isChange ? { body: row.value.body } : { body, clear: true });
}

let versions = 1_000;

const isCut = (write: Write): boolean => 'cut' in write && write.entries.length === 0;

export const backendContract: readonly BackendCase[] = [
  ...tableCases,
  {
    title:
      '5: pages of any size name each row once, in the order of bytes, by groups, and by times that many rows have',
    async run({ connect }) {
      const backend = await connect();
      const ids = GROUPS.flatMap((group) => NAMES.map((name) => `${group}.${name}`));
      const writes = ids.map((id, n) => {
        const wakeAt = WAKES[n % WAKES.length] ?? null;
        return put(id, 0, n + 1, {
          kind: PARCELS,
          wakeAt,
          fence: wakeAt !== null && n % 7 === 0 ? null : MINE,
        });
      });
      const ofAnotherKind = ids.slice(0, 9).map((id) => put(id, 0, 1, { wakeAt: 5 }));
      assert.deepEqual(
        await backend.write([...writes, ...ofAnotherKind]),
        allTrue([...writes, ...ofAnotherKind]),
      );
      const rows = writes.map(({ row }) => row as Row);
      const listed = idsOf(rows.filter(({ fence }) => fence !== null)).sort(inBytes);
      const placeOf = ({ wakeAt, id }: Row) => [wakeAt ?? Infinity, id] as const;
      const due = rows.map(placeOf).filter(([time]) => time < 100);
      due.sort(([a, first], [b, second]) => a - b || inBytes(first, second));
      for (const [after, before] of [
        ['', '\u007f'],
        ...[...GROUPS, 'none'].map((group) => rangeOf(group)),
      ] as const) {
        const within = listed.filter((id) => id > after && id < before);
        for (const size of [1, 16, 1_000]) {
          const page = async (from: string) => backend.list(PARCELS, from, before, size);
          assert.deepEqual(await pages(page, after, ({ id }) => id), within, `${after} by ${size}`);
        }
        assert.equal(await backend.count(PARCELS, after, before), within.length);
      }
      for (const size of [1, 7, 1_000]) {
        const page = async (from: DuePlace) => backend.due(PARCELS, from, 100, size);
        assert.deepEqual(await pages(page, NO_PLACE, placeOf), due, String(size));
      }
    },
  },
  {
    title:
      'a trip may have more writes than the kernel sends, and rows and entries of 5 MB come back whole',
    async run({ connect }) {
      const [backend, other] = [await connect(), await connect()];
      const numbers = Array.from({ length: MANY }, (_, n) => n + 1);
      const trip = numbers.map((n) => put(`r${n}`, 0, n));
      assert.deepEqual(
        await backend.write([...trip, put('s', 0, 1), put('t', 0, 1)]),
        Array(MANY + 2).fill(true),
      );
      const added: Write[] = numbers.map((n) => add(`r${n}`, [n]));
      assert.deepEqual(
        await backend.write([...added, add('s', numbers)]),
        Array(MANY + 1).fill(true),
      );
      for (const [id, nos] of [
        [`r${MANY}`, [MANY]],
        ['s', numbers],
      ] as const)
        assert.deepEqual(
          (await other.log(THINGS, id, 'p')).map(({ no }) => no),
          nos,
        );
      const event = JSON.stringify(LARGE);
      const ended = put('t', 1, 2, { fence: null, wakeAt: 5, body: LARGE, clear: true });
      const large = [add('s', [MANY + 1], { event }), put('u', 0, 1, { body: LARGE }), ended];
      assert.deepEqual(await backend.write(large), allTrue(large));
      const entry = (await other.log(THINGS, 's', 'p')).at(-1);
      const [row, end] = [await other.read(THINGS, 'u'), await other.read(THINGS, 't')];
      assert.ok(entry?.events[0] === event);
      assert.ok(row !== undefined && 'body' in row.value && row.value.body === LARGE);
      assert.ok(end !== undefined && 'outcome' in end.value && end.value.outcome === LARGE);
    },
  },
  {
    title:
      '1 and 2: of puts of one row at once one takes effect; an entry is stored where it came before a new fence',
    async run({ connect }) {
      const backends = [await connect(), await connect(), await connect()] as const;
      const ids = Array.from({ length: 20 }, (_, n) => `r${n}`);
      assert.deepEqual(
        await backends[0].write(ids.map((id) => put(id, 0, 1))),
        ids.map(() => true),
      );
      const puts = backends.map((_, n) => ids.map((id) => put(id, 1, 2 + n, { fence: `2 ${n}` })));
      const answers = await Promise.all([
        backends[1].write(ids.map((id) => add(id, [1]))),
        ...puts.map((trip, n) => (backends[n] as Backend).write(trip)),
      ]);
      const [added, ...won] = answers;
      for (const [n, id] of ids.entries()) {
        const winners = won.flatMap((of, by) => (of[n] === true ? [by] : []));
        const row = await backends[2].read(THINGS, id);
        assert.deepEqual(
          [row?.version, row?.fence, winners.length],
          [2 + (winners[0] ?? 0), `2 ${winners[0]}`, 1],
        );
        assert.equal(
          (await backends[2].log(THINGS, id, 'p')).length,
          added?.[n] === true ? 1 : 0,
          id,
        );
      }
    },
  },
  {
    title:
      'the numbers of a share are what its rows and their logs count, whichever process writes, and whatever comes twice',
    async run({ connect }) {
      const backends = [await connect(), await connect()] as const;
      await fc.assert(
        fc.asyncProperty(
          fc.array(COUNTED_STEP, { minLength: 1, maxLength: 60, size: 'max' }),
          async (steps) => {
            const plain = new Deployment(() => 0, 0).backend('a process');
            for (const id of IDS) {
              const row = await backends[0].read(THINGS, id);
              if (row !== undefined) await backends[0].write([drop(id, row.version, row)]);
            }
            for (const { id, what, by, again, size } of steps) {
              const row = await plain.read(THINGS, id);
              const last = (await plain.log(THINGS, id, null)).at(-1)?.no ?? 0;
              const write = countedWrite(what, id, row, last, size);
              const done = await plain.write([write]);
              // Its answer was lost, and another process sends it once more.
              for (let n = 0; n <= again; n++)
                assert.deepEqual(
                  await backends[(by + n) % 2]?.write([write]),
                  n === 0 ? done : [isCut(write)],
                );
            }
            for (const share of ['one', 'two'])
              for (const numbers of [
                await backends[0].kept(KINDS, share),
                await recount(backends[1], share),
              ])
                assert.deepEqual(numbers, await plain.kept(KINDS, share));
            assert.deepEqual(
              await backends[1].keptByAll(KINDS, 2),
              await plain.keptByAll(KINDS, 2),
            );
          },
        ),
        { numRuns: 25 },
      );
    },
  },
  {
    title: 'an entry that the store refuses keeps no other write of its trip from being stored',
    refuses: true,
    async run({ connect, refuseEntries }) {
      const backend = await connect();
      await backend.write([put('s', 0, 1), put('t', 0, 1)]);
      await refuseEntries?.();
      const refused = add('s', [1], { event: REFUSED });
      const answers = await backend.write([refused, add('t', [1]), put('u', 0, 1), add('v', [1])]);
      const shown = answers.map((answer) => (answer instanceof Error ? 'refused' : answer));
      assert.deepEqual(shown, ['refused', true, true, false]);
      const lengths = ['s', 't', 'u'].map(
        async (id) => (await backend.log(THINGS, id, null)).length,
      );
      assert.deepEqual(await Promise.all(lengths), [0, 1, 0]);
    },
  },
];
