/**
 * Random operations, the same for the same seed. They say "the next offset" or "a stale fence". `apply-operations.ts`
 * makes that exact when they run, so that most of them have an effect.
 */
import { Random } from '../../simulation/random.ts';

export type FenceKind = 'own' | 'stale' | 'ahead' | 'other';

export const INSTANCES = ['i0', 'i1', 'i2'];
/** Two kinds of one deployment, and another deployment: they know nothing of each other. */
export const PLACES = [{}, { kind: 'parcels' }, { deployment: 'a:things' }] as const;
/** Names that begin alike, or mean something in a key, a pattern, a path or an object. Each run has a few of each. */
export const GROUPS = [
  'a',
  'a-',
  'a/',
  'ab',
  'A',
  'a~',
  'a*',
  '*',
  '>',
  '{a}',
  "a'",
  '"',
  '\\',
  'a%',
  '__proto__',
  'a:b',
  '!',
];
const RECORDS = ['0', '1', 'A', 'a', 'a:b', 'a*', '{a}', "a'b", 'a"b', 'a\\b', 'a%b', '../a', 'a.b', '__proto__'];
const LONGEST_RECORD = 'x'.repeat(246);
const STREAMS = ['g', 'p1', 'p2', 'b:c', 'c', ':', 'NULL', '{}', '"', '\\', ',', 'a*', '__proto__', 'x'.repeat(390)];
const FIELDS = ['a', '1', '0', ' ', '"', "'", '\\', '\n', 'größe 🧪', '.a', '#', 'constructor', '__proto__'];
const LONG_FIELD = `u"${'x'.repeat(396)}`;
const FENCES: readonly FenceKind[] = ['own', 'own', 'own', 'own', 'stale', 'ahead', 'other'];
const EXPIRIES = [null, 0, 1_500, 4_000, 60_000];
const DUE_TIMES = [null, null, 0, 2_500, 90_000];
const EVENTS = [
  '',
  '"x"',
  '"a longer text"',
  '"é"',
  '"an event that alone is more than all that is kept"',
  '"\\u0000\\ud800\\n"',
  '{"text":"Größe 尺寸 🧪"}',
];
/** What a caller stores as it likes. */
const TEXTS = ['', '1', 'NULL', '{}', '"', '\\', '{"größe":"尺寸 🧪"}', 'x'.repeat(70_000)];
const MARKS = [{}, { mark: '1' }, { unmark: '1' }, { mark: '1', unmark: '2' }, { mark: '2', unmark: '1' }];
const MOST = 80;

/** Operations that need a listed kind. */
const LISTED: readonly Name[] = ['list', 'count', 'due'];

/** What an operation draws from; each draw takes the next random number. */
class Draws extends Random {
  readonly expires: boolean;
  /** Two records of one group, and one of another group. */
  readonly ids: readonly string[];
  /** Both, and one without records. */
  readonly groups: readonly string[];
  readonly streams: readonly string[];
  readonly fields: readonly string[];

  constructor(seed: number, expires: boolean) {
    super(seed);
    this.expires = expires;
    const [first = '', second = '', none = ''] = this.#few(3, GROUPS);
    const [one = '', other = ''] = this.#few(2, [...RECORDS, LONGEST_RECORD]);
    this.ids = [`${first}.${one}`, `${first}.${other}`, `${second}.${one}`];
    this.groups = [first, second, none];
    this.streams = this.#few(3, STREAMS);
    this.fields = this.#few(4, [...FIELDS, LONG_FIELD]);
  }

  /** So many different ones. */
  #few(count: number, values: readonly string[]): string[] {
    const left = [...values];
    return Array.from({ length: count }, () => left.splice(this.int(left.length), 1)[0] ?? '');
  }

  /** Up to `most`. */
  some<T>(most: number, values: readonly T[]): T[] {
    return Array.from({ length: this.int(most + 1) }, () => this.pick(values));
  }

  expiresIn(): number | null {
    return this.pick(this.expires ? EXPIRIES : [null]);
  }

  dueIn(): number | null {
    return this.pick(DUE_TIMES);
  }

  /** `off`: how far the caller is from what the record has rung. `null`: a change that leaves the due time as it is. */
  due(): { readonly inMs: number | null; readonly off: number } | null {
    return this.pick([null, { inMs: this.dueIn(), off: this.pick([0, 0, 0, -1, 1]) }]);
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
      owner: draws.pick([null, ...INSTANCES]),
      // Fields from the start: otherwise few runs would remove one that the session has.
      texts: {
        user: draws.pick([null, 'https://issuer.example|ada']),
        head: draws.pick(TEXTS),
        body: draws.pick(TEXTS),
        fields: Object.fromEntries(draws.some(4, draws.fields).map((name) => [name, draws.pick(TEXTS)])),
      },
      expiresIn: draws.expiresIn(),
      dueIn: draws.dueIn(),
    }),
  ],
  read: [2, (_: Draws, { id }: Drawn) => ({ id })],
  claim: [
    3,
    (draws: Draws, { id }: Drawn) => ({
      id,
      me: draws.pick(INSTANCES),
      off: draws.pick([0, 0, 0, -1, 1]),
      from: draws.pick(['stored', 'stored', 'stored', 'none', 'i1'] as const),
    }),
  ],
  save: [
    3,
    (draws: Draws, drawn: Drawn) => {
      const names = draws.some(3, draws.fields);
      const fields = Object.fromEntries(names.map((name) => [name, draws.pick([null, null, null, ...TEXTS])]));
      return { ...drawn, fields, head: draws.pick([null, ...TEXTS]), expiresIn: draws.expiresIn(), due: draws.due() };
    },
  ],
  release: [2, (draws: Draws, drawn: Drawn) => ({ ...drawn, due: draws.due() })],
  add: [3, (draws: Draws, { id }: Drawn) => ({ id, field: draws.pick(draws.fields) })],
  end: [
    1,
    (draws: Draws, { id, fence }: Drawn) => ({
      id,
      fence: draws.pick([null, fence]),
      /** How far the stamp that the caller saw is from the stored one. `undefined`: it names none. */
      stampOff: draws.pick([undefined, undefined, 0, 1]),
      outcome: draws.pick(TEXTS),
      keepMs: draws.pick([undefined, undefined, 1_000]),
    }),
  ],
  mark: [
    2,
    (draws: Draws, drawn: Drawn) => ({
      ...drawn,
      mark: { name: draws.pick(['1', '"1"', '2']), stream: draws.pick(draws.streams) },
      clear: draws.pick([true, false]),
    }),
  ],
  forgetEnd: [2, (draws: Draws, { id }: Drawn) => ({ id, off: draws.pick([0, 0, 1]) })],
  list: [2, (draws: Draws) => ({ limit: 1 + draws.int(3), group: draws.pick([undefined, ...draws.groups]) })],
  count: [1, (draws: Draws) => ({ group: draws.pick(draws.groups) })],
  due: [2, (draws: Draws) => ({ limit: 1 + draws.int(3) })],
  append: [
    10,
    (draws: Draws, drawn: Drawn) => ({
      ...drawn,
      stream: draws.pick(draws.streams),
      off: draws.pick([0, 0, 0, 0, 0, -1, 1]),
      events: draws.some(4, EVENTS),
      complete: draws.pick([false, false, false, true]),
      marks: draws.pick(MARKS),
      note: draws.pick(['[1]', '[2]']),
      again: draws.pick([false, false, true]),
    }),
  ],
  replay: [5, (draws: Draws, { id }: Drawn) => ({ id, stream: draws.pick(draws.streams), back: draws.int(10) })],
  open: [1, (_: Draws, { id }: Drawn) => ({ id })],
  trim: [1, () => ({})],
  die: [1, (draws: Draws) => ({ instance: draws.pick(INSTANCES) })],
  pass: [3, (draws: Draws) => ({ ms: draws.pick([1, 700, 1_500, 3_000, 6_000]) })],
} as const;

type Name = keyof typeof OPERATIONS;
export type ModelOperation = {
  [Op in Name]: { readonly op: Op; readonly place: number } & Readonly<ReturnType<(typeof OPERATIONS)[Op][1]>>;
}[Name];

/** The whole content of each session, markers too, which only a claim shows. */
const lastLooks = ({ ids, streams }: Draws, place: number): ModelOperation[] =>
  ids.flatMap((id): ModelOperation[] => [
    { op: 'open', place, id },
    ...streams.map((stream): ModelOperation => ({ op: 'replay', place, id, stream, back: 9 })),
    { op: 'claim', place, id, me: 'i0', off: 0, from: 'stored' },
    { op: 'read', place, id },
  ]);

/**
 * 1 to 80 operations, then a look at everything that is stored. A store may forget a record that is not `listed` as soon
 * as it has expired, so in their runs none does.
 */
export function randomOperations(seed: number, listed = true): ModelOperation[] {
  const draws = new Draws(seed, listed);
  const names = (Object.keys(OPERATIONS) as Name[]).flatMap((name) =>
    !listed && LISTED.includes(name) ? [] : Array.from({ length: OPERATIONS[name][0] }, () => name),
  );
  const operation = (): ModelOperation => {
    const op = draws.pick(names);
    const drawn = { id: draws.pick(draws.ids), fence: draws.pick(FENCES) };
    return { op, place: draws.pick([0, 0, 0, 0, 1, 2]), ...OPERATIONS[op][1](draws, drawn) } as ModelOperation;
  };
  const all = Array.from({ length: 1 + draws.int(MOST) }, operation);
  return [...all, ...PLACES.flatMap((_, place) => lastLooks(draws, place))];
}
