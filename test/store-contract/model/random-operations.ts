/**
 * Random operations, the same for the same seed. They say "the next offset" or "a stale fence". `apply-operations.ts`
 * makes that exact when they run, so that most of them have an effect.
 */
import { seededRandom } from '../../kit/seeded-random.ts';
export type FenceKind = 'own' | 'stale' | 'ahead' | 'other';

/** Two records of one group, and one of a group whose name begins alike. */
const IDS = ['s.0', 's.1', 's-.0'];
const GROUPS = ['s', 's-', 's0'];
export const INSTANCES = ['i0', 'i1', 'i2'];
const STREAMS = ['g', 'p1', 'p2'];
const FENCES: readonly FenceKind[] = ['own', 'own', 'own', 'own', 'stale', 'ahead', 'other'];
const EXPIRIES = [null, 1_500, 4_000, 60_000];
const DUE_TIMES = [null, null, 0, 2_500, 90_000];
/** For a store whose clock the test does not move: nothing expires during a run. */
const NO_EXPIRIES = [null];
const EVENTS = ['', '"x"', '"a longer text"', '"é"', '"an event that alone is more than all that is kept"'];
const MARKS = [{}, { mark: '1' }, { unmark: '1' }, { mark: '1', unmark: '2' }, { mark: '2', unmark: '1' }];
const OUTCOMES = ['deleted', '', '{"größe":"尺寸 🧪"}', 'x'.repeat(2_000)];
const MOST = 80;

/** Operations that need a listed kind, and those that need an unlisted one. */
const LISTED: readonly Name[] = ['list', 'count', 'due'];
const UNLISTED: readonly Name[] = ['drop'];

/** What an operation draws from; each draw takes the next random number. */
class Draws {
  readonly timed: boolean;
  readonly expires: boolean;
  readonly #next: () => number;

  constructor(seed: number, timed: boolean, expires: boolean) {
    this.timed = timed;
    this.expires = expires;
    this.#next = seededRandom(seed);
  }

  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  one<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  /** Up to `most`. */
  some<T>(most: number, values: readonly T[]): T[] {
    return Array.from({ length: this.below(most + 1) }, () => this.one(values));
  }

  expiresIn(): number | null {
    return this.one(this.expires ? EXPIRIES : NO_EXPIRIES);
  }

  dueIn(): number | null {
    return this.one(this.timed ? DUE_TIMES : NO_EXPIRIES);
  }

  /** `off`: how far the caller is from what the record has rung. `null`: a change that leaves the due time as it is. */
  due(): { readonly inMs: number | null; readonly off: number } | null {
    return this.one([null, { inMs: this.dueIn(), off: this.one([0, 0, 0, -1, 1]) }]);
  }
}

interface Drawn {
  readonly id: string;
  readonly fence: FenceKind;
}

/** How often each operation comes, and what it has. */
const OPERATIONS = {
  create: [
    3,
    (draws: Draws, { id }: Drawn) => ({
      id,
      owner: draws.one([null, ...INSTANCES]),
      expiresIn: draws.expiresIn(),
      dueIn: draws.dueIn(),
    }),
  ],
  read: [2, (_: Draws, { id }: Drawn) => ({ id })],
  claim: [
    3,
    (draws: Draws, { id }: Drawn) => ({
      id,
      me: draws.one(INSTANCES),
      off: draws.one([0, 0, 0, -1, 1]),
      from: draws.one(['stored', 'stored', 'stored', 'none', 'i1'] as const),
    }),
  ],
  save: [
    3,
    (draws: Draws, drawn: Drawn) => {
      const names = draws.some(3, ['a', 'b', 'c', '1', '__proto__']);
      const fields = Object.fromEntries(names.map((name) => [name, draws.one(['1', '2', null])]));
      return { ...drawn, fields, head: draws.one([null, 'x', 'y']), expiresIn: draws.expiresIn(), due: draws.due() };
    },
  ],
  release: [2, (draws: Draws, drawn: Drawn) => ({ ...drawn, due: draws.due() })],
  add: [3, (draws: Draws, { id }: Drawn) => ({ id, field: draws.one(['a', 'b', 'c', '1', '__proto__']) })],
  end: [
    1,
    (draws: Draws, { id, fence }: Drawn) => ({
      id,
      fence: draws.one([null, fence]),
      /** How far the stamp that the caller saw is from the stored one. `undefined`: it names none. */
      stampOff: draws.one([undefined, undefined, 0, 1]),
      outcome: draws.one(OUTCOMES),
      keepMs: draws.one([undefined, undefined, 1_000]),
    }),
  ],
  mark: [
    2,
    (draws: Draws, drawn: Drawn) => ({
      ...drawn,
      mark: { name: draws.one(['1', '"1"', '2']), stream: draws.one(STREAMS) },
      clear: draws.one([true, false]),
    }),
  ],
  drop: [2, (draws: Draws, { id }: Drawn) => ({ id, off: draws.one([0, 0, 1]) })],
  list: [2, (draws: Draws) => ({ limit: 1 + draws.below(3), group: draws.one([undefined, ...GROUPS]) })],
  count: [1, (draws: Draws) => ({ group: draws.one(GROUPS) })],
  due: [2, (draws: Draws) => ({ limit: 1 + draws.below(3) })],
  append: [
    10,
    (draws: Draws, drawn: Drawn) => ({
      ...drawn,
      stream: draws.one(STREAMS),
      off: draws.one([0, 0, 0, 0, 0, -1, 1]),
      events: draws.some(4, EVENTS),
      complete: draws.one([false, false, false, true]),
      marks: draws.one(MARKS),
      note: draws.one(['[1]', '[2]']),
    }),
  ],
  replay: [5, (draws: Draws, { id }: Drawn) => ({ id, stream: draws.one(STREAMS), back: draws.below(10) })],
  open: [1, (_: Draws, { id }: Drawn) => ({ id })],
  trim: [1, () => ({})],
  die: [1, (draws: Draws) => ({ instance: draws.one(INSTANCES) })],
  pass: [3, (draws: Draws) => ({ ms: draws.one([1, 700, 1_500, 3_000, 6_000]) })],
} as const;

type Name = keyof typeof OPERATIONS;
export type ModelOperation = {
  [Op in Name]: { readonly op: Op } & Readonly<ReturnType<(typeof OPERATIONS)[Op][1]>>;
}[Name];

/** The whole content of each session, markers too, which only a claim shows. */
const LAST_LOOKS: readonly ModelOperation[] = IDS.flatMap((id): ModelOperation[] => [
  { op: 'open', id },
  ...STREAMS.map((stream): ModelOperation => ({ op: 'replay', id, stream, back: 9 })),
  { op: 'claim', id, me: 'i0', off: 0, from: 'stored' },
  { op: 'read', id },
]);

/**
 * 1 to 80 operations, then a look at everything that is stored. `timed`: with expiries, and time that passes. A store
 * may forget a record that is not `listed` as soon as it has expired, so in their runs none does.
 */
export function randomOperations(seed: number, timed: boolean, listed = true): ModelOperation[] {
  const draws = new Draws(seed, timed, timed && listed);
  const left = listed ? UNLISTED : LISTED;
  const names = (Object.keys(OPERATIONS) as Name[]).flatMap((name) =>
    (name === 'pass' && !timed) || left.includes(name) ? [] : Array.from({ length: OPERATIONS[name][0] }, () => name),
  );
  const operation = (): ModelOperation => {
    const op = draws.one(names);
    const drawn = { id: draws.one(IDS), fence: draws.one(FENCES) };
    return { op, ...OPERATIONS[op][1](draws, drawn) } as ModelOperation;
  };
  return [...Array.from({ length: 1 + draws.below(MOST) }, operation), ...LAST_LOOKS];
}
