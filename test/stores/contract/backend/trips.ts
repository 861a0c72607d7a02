/**
 * Writes with the answer of each, and the ways in which they may travel: answers and what is stored afterwards are the
 * same. The invariants have the numbers of `src/stores/kernel/backend.ts`.
 */
import type { Kind } from '../../../../src/stores/store.ts';
import type {
  LogEntry,
  LogWrite,
  Row,
  RowWrite,
  Write,
} from '../../../../src/stores/kernel/backend.ts';
import { entriesBytes, rowBytes } from '../../../../src/stores/kernel/counted-bytes.ts';
import { plainRecord } from '../plain-record.ts';

const LOG = { maxAgeMs: 600_000, events: 1_000, bytes: 1_000_000 };
export const THINGS: Kind = { name: 'things', log: LOG, keepMs: 0, listed: true, counted: true };
export const PARCELS: Kind = { name: 'parcels', log: LOG, keepMs: 0, listed: true, grouped: true };

export const MINE = '1 me';
const NEXT = '2 me';
const LATER = '3 me';

/** Of a row by its id. */
const shareOf = (id: string): string | null => ({ a: 'one', b: 'two', c: 'one' })[id] ?? null;

export interface PutMore extends Partial<Pick<Row, 'fence' | 'wakeAt'>> {
  readonly kind?: Kind;
  readonly clear?: boolean;
  readonly body?: string;
}

const bytesOf = new Map<string, number>();

/** The row that a put replaces, by its version: none of the table has the same versions. */
function counted(
  kind: Kind,
  id: string,
  was: number,
  row: Row | null,
  before?: Row,
): Pick<RowWrite, 'share' | 'bytes' | 'more'> {
  const share = kind.counted === true ? (row?.share ?? shareOf(id)) : null;
  const bytes = share === null ? 0 : rowBytes(row);
  if (row !== null) bytesOf.set(`${kind.name} ${id} ${row.version}`, bytes);
  const freed =
    before === undefined ? (bytesOf.get(`${kind.name} ${id} ${was}`) ?? 0) : rowBytes(before);
  return { share, bytes, more: bytes - freed };
}

/** The value of a row has its version, so that two puts never store the same. */
export function put(id: string, was: number, version: number, more: PutMore = {}): RowWrite {
  const { kind = THINGS, fence = MINE, wakeAt = null, clear = was === 0, body = 'a body' } = more;
  const share = shareOf(id);
  const value =
    fence === null
      ? { id, outcome: body, at: version }
      : plainRecord(id, { epoch: 1, owner: 'me' }, { body, share, stamp: version });
  const row = { id, version, fence, wakeAt, share, value };
  return { kind, id, was, row, clear, ...counted(kind, id, was, row) };
}

/** `before`: the row, where it is not the one that the table has put last with this version. */
export const drop = (id: string, was: number, before?: Row): RowWrite => {
  return {
    kind: THINGS,
    id,
    was,
    row: null,
    clear: true,
    ...counted(THINGS, id, was, null, before),
  };
};

export interface AddMore {
  readonly kind?: Kind;
  readonly fence?: string;
  readonly cut?: number;
  readonly event?: string;
}

/** Entries with these numbers; the even ones are of another stream. */
export function add(id: string, numbers: readonly number[], more: AddMore = {}): LogWrite {
  const { kind = THINGS, fence = MINE, cut = 0, event } = more;
  const entries = numbers.map((no): LogEntry => {
    const text = event ?? `"${no}"`;
    return {
      no,
      stream: no % 2 === 0 ? 'q' : 'p',
      head: [no, 1, Buffer.byteLength(text), 0],
      events: [text],
    };
  });
  const share = kind.counted === true ? shareOf(id) : null;
  return { kind, id, fence, entries, cut, share, bytes: entriesBytes(entries) };
}

export interface Sent {
  readonly write: Write;
  /** The answer; `undefined`: either. */
  readonly done: boolean | undefined;
}

export type Trips = readonly (readonly Sent[])[];

const yes = (write: Write): Sent => ({ write, done: true });
const no = (write: Write): Sent => ({ write, done: false });

export const TABLE: Readonly<Record<string, Trips>> = {
  '1: a put takes effect only where the row has the version that it names': [
    [yes(put('a', 0, 10)), no(put('a', 0, 11)), no(put('a', 9, 12)), yes(put('b', 0, 20))],
    [
      yes(put('a', 10, 13)),
      no(put('a', 10, 14)),
      yes(put('b', 20, 21)),
      no(put('c', 5, 6)),
      no(drop('c', 5)),
    ],
  ],
  '1: a delete is a put, and the next row of that id has an empty log': [
    [yes(put('a', 0, 10)), yes(add('a', [1, 2])), yes(put('b', 0, 20)), yes(add('b', [1]))],
    [
      no(drop('a', 9)),
      yes(drop('a', 10)),
      no(add('a', [3])),
      yes(put('a', 0, 12, { fence: NEXT })),
    ],
    [no(drop('a', 10)), no(add('a', [3])), yes(put('b', 20, 21))],
  ],
  '2: a log write takes effect only under the fence of the row': [
    [
      yes(put('a', 0, 10)),
      yes(add('a', [1])),
      no(add('a', [2], { fence: NEXT })),
      no(add('b', [1])),
    ],
    [
      yes(put('a', 10, 11, { fence: NEXT })),
      no(add('a', [2])),
      yes(add('a', [2], { fence: NEXT })),
    ],
    [
      yes(put('a', 11, 12, { fence: null, wakeAt: 7, clear: true })),
      no(add('a', [3], { fence: NEXT })),
    ],
  ],
  'an event may have no text, alone in its trip or among others': [
    [yes(put('a', 0, 10))],
    [yes(add('a', [1], { event: '' }))],
    [
      yes(add('a', [2, 3], { event: '' })),
      yes(put('b', 0, 20)),
      yes(add('b', [1, 2], { event: '' })),
    ],
  ],
  '2: the first number of a log write is above all that are stored': [
    [yes(put('a', 0, 10)), yes(add('a', [1, 2])), yes(put('b', 0, 20)), yes(add('b', [5]))],
    [
      no(add('a', [2])),
      no(add('a', [1, 3])),
      yes(add('a', [3])),
      no(add('a', [3, 4])),
      yes(add('a', [4])),
    ],
    [
      yes(add('a', [7, 9])),
      no(add('a', [8])),
      yes(add('a', [10])),
      yes(add('a', [11])),
      no(add('b', [4])),
    ],
  ],
  '2: a cut removes the oldest entries once those of its write are added, or nothing happens': [
    [yes(put('a', 0, 10)), yes(add('a', [1, 2, 3])), yes(add('a', [], { cut: 1 }))],
    [
      yes(add('a', [4], { cut: 2 })),
      no(add('a', [4], { cut: 3 })),
      no(add('a', [], { fence: NEXT, cut: 3 })),
    ],
    [
      yes(add('a', [5])),
      yes(add('a', [6], { cut: 4 })),
      yes(add('a', [7])),
      yes(add('a', [8], { cut: 7 })),
    ],
  ],
  '3: a put clears the log in the same step, or not at all': [
    [yes(put('a', 0, 10)), yes(add('a', [1])), no(put('a', 9, 11, { fence: NEXT, clear: true }))],
    [yes(add('a', [2])), yes(put('a', 10, 12, { fence: NEXT }))],
    [
      yes(put('a', 12, 13, { fence: LATER, clear: true, body: 'next' })),
      yes(add('a', [1], { fence: LATER })),
    ],
  ],
  '5: rows with a fence are listed, and rows with a wake time are due, by that time and their id': [
    [
      yes(put('a', 0, 10, { wakeAt: 5 })),
      yes(put('b', 0, 20)),
      yes(put('d', 0, 40, { fence: 'over', wakeAt: 3 })),
    ],
    [
      yes(put('c', 0, 30, { fence: null, wakeAt: 7.25 })),
      yes(put('a', 10, 11)),
      yes(put('b', 20, 21, { wakeAt: 5 })),
    ],
    [
      yes(put('d', 40, 41, { fence: null, wakeAt: 5, clear: true })),
      yes(put('c', 30, 31, { clear: true })),
    ],
    [yes(put('c', 31, 32, { wakeAt: 5 })), yes(put('b', 21, 22, { wakeAt: 1e12 + 0.125 }))],
  ],
};

/** The rows of the table. */
export const IDS = ['a', 'b', 'c', 'd'];

/** A write that has taken effect changes nothing when it arrives again; a cut without entries has nothing to refuse. */
const again = (sent: readonly Sent[]): readonly Sent[] =>
  sent
    .filter(({ done }) => done)
    .map(({ write }) => ({
      write,
      done: 'cut' in write && write.entries.length === 0 ? undefined : false,
    }));

/** As few trips as there can be: a trip has one write of each row. */
function packed(sent: readonly Sent[]): Trips {
  const trips: Sent[][] = [];
  for (const one of sent) {
    const holds = (trip: readonly Sent[]): boolean =>
      trip.some(({ write }) => write.id === one.write.id);
    (trips[trips.findLastIndex(holds) + 1] ??= []).push(one);
  }
  return trips;
}

/** Ways for the same writes. All keep the order of the writes of one row. */
export const WAYS: Readonly<Record<string, (sent: readonly Sent[]) => Trips>> = {
  'one by one': (sent) => sent.map((one) => [one]),
  'in few trips': packed,
  'in few trips, the rows reordered': (sent) => packed(sent).map((trip) => trip.toReversed()),
  'each trip once more, because its answer was lost': (sent) =>
    packed(sent).flatMap((trip) => [trip, again(trip)]),
  'each write once more, late': (sent) => [...packed(sent), ...packed(again(sent))],
};
