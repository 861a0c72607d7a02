/**
 * Random operations. They say "the next offset" or "a stale fence". `apply-operations.ts` makes that exact when they run,
 * so that most of them have an effect.
 */
import fc from 'fast-check';

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
const RECORDS = [
  '0',
  '1',
  'A',
  'a',
  'a:b',
  'a*',
  '{a}',
  "a'b",
  'a"b',
  'a\\b',
  'a%b',
  '../a',
  'a.b',
  '__proto__',
];
const LONGEST_RECORD = 'x'.repeat(246);
const STREAMS = [
  'g',
  'p1',
  'p2',
  'b:c',
  'c',
  ':',
  'NULL',
  '{}',
  '"',
  '\\',
  ',',
  'a*',
  '__proto__',
  'x'.repeat(390),
];
/** No backslash alone: Node 24 and 26 then read the key of one escape as a backslash too (nodejs/node#63785). */
const FIELDS = [
  'a',
  '1',
  '0',
  ' ',
  '"',
  "'",
  'a\\',
  '\n',
  'größe 🧪',
  '.a',
  '#',
  'constructor',
  '__proto__',
];
const LONG_FIELD = 'x'.repeat(70_000);
export const SHARES = ['ada', "{b}*'"];
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
const MARKS = [
  {},
  { mark: '1' },
  { unmark: '1' },
  { mark: '1', unmark: '2' },
  { mark: '2', unmark: '1' },
];
const MOST = 80;

/** Operations that need a listed kind. */
const LISTED = ['list', 'count', 'counted', 'due'];

const one = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
/** An object as programs write it. */
const record = <T extends object>(parts: {
  readonly [Part in keyof T]: fc.Arbitrary<T[Part]>;
}): fc.Arbitrary<T> => fc.record<T>(parts, { noNullPrototype: true });
const few = (count: number, values: readonly string[]): fc.Arbitrary<string[]> =>
  fc.shuffledSubarray([...values], { minLength: count, maxLength: count });

/** Two records of one group, and one of another group. Of the three groups one has no records. */
const NAMES = fc
  .record({
    groups: few(3, GROUPS),
    records: few(2, [...RECORDS, LONGEST_RECORD]),
    streams: few(3, STREAMS),
    fields: few(4, [...FIELDS, LONG_FIELD]),
  })
  .map(({ groups, records: [first, second], ...names }) => {
    const ids = [`${groups[0]}.${first}`, `${groups[0]}.${second}`, `${groups[1]}.${first}`];
    return { ids, groups, ...names };
  });

interface Names {
  readonly ids: readonly string[];
  readonly groups: readonly string[];
  readonly streams: readonly string[];
  readonly fields: readonly string[];
}

/** How often each operation comes, and what it has. */
function operationsOf({ ids, groups, streams, fields }: Names, expires: boolean) {
  const [id, fence, stream, field] = [one(ids), one(FENCES), one(streams), one(fields)];
  const [text, me, limit] = [one(TEXTS), one(INSTANCES), one([1, 2, 3])];
  /** How far the stamp that the caller saw is from the stored one. `undefined`: it names none. */
  const stampOff = one([undefined, undefined, 0, 1]);
  const expiresIn = one(expires ? EXPIRIES : [null]);
  const dueIn = one(DUE_TIMES);
  /** `off`: how far the caller is from what the record has rung. `null`: a change that leaves the due time as it is. */
  const due = fc.option(record({ inMs: dueIn, off: one([0, 0, 0, -1, 1]) }), { freq: 2 });
  const someFields = <T>(texts: fc.Arbitrary<T>, maxKeys: number) =>
    fc.dictionary(field, texts, { maxKeys, size: 'max', noNullPrototype: true });
  // Fields from the start: otherwise few runs would remove one that the session has.
  const texts = {
    user: one([null, 'https://issuer.example|ada']),
    share: one([null, ...SHARES]),
    head: text,
    body: text,
    fields: someFields(text, 4),
  };
  const changed = {
    fields: someFields(one([null, null, null, ...TEXTS]), 3),
    head: one([null, ...TEXTS]),
  };
  return {
    create: [6, { id, owner: one([null, ...INSTANCES]), texts: record(texts), expiresIn, dueIn }],
    read: [2, { id }],
    claim: [
      3,
      {
        id,
        me,
        off: one([0, 0, 0, -1, 1]),
        from: one(['stored', 'stored', 'stored', 'none', 'i1'] as const),
      },
    ],
    save: [3, { id, fence: fc.option(fence, { freq: 4 }), stampOff, ...changed, expiresIn, due }],
    release: [2, { id, fence, due }],
    add: [3, { id, field }],
    end: [
      1,
      {
        id,
        fence: fc.option(fence, { freq: 2 }),
        stampOff,
        outcome: text,
        keepMs: one([undefined, undefined, 1_000]),
      },
    ],
    mark: [
      2,
      { id, fence, mark: record({ name: one(['1', '"1"', '2']), stream }), clear: fc.boolean() },
    ],
    changeEnd: [6, { id, off: one([0, 0, 1]), outcome: one(['', '', 'other']) }],
    list: [2, { limit, group: one([undefined, ...groups]) }],
    count: [1, { group: one(groups) }],
    counted: [2, { share: one(SHARES), limit: one([1, 5]) }],
    due: [2, { limit }],
    append: [
      15,
      {
        id,
        fence,
        stream,
        off: one([0, 0, 0, 0, 0, -1, 1]),
        events: fc.array(one(EVENTS), { maxLength: 4, size: 'max' }),
        complete: one([false, false, false, true]),
        marks: one<{ mark?: string; unmark?: string }>(MARKS),
        note: one(['[1]', '[2]']),
        again: one([false, false, true]),
      },
    ],
    replay: [5, { id, stream, back: fc.nat(9) }],
    open: [1, { id }],
    trim: [1, {}],
    die: [1, { instance: me }],
    pass: [3, { ms: one([1, 700, 1_500, 3_000, 6_000]) }],
  } as const;
}

type Operations = ReturnType<typeof operationsOf>;
type Drawn<Parts> = {
  readonly [Part in keyof Parts]: Parts[Part] extends fc.Arbitrary<infer T> ? T : never;
};
export type ModelOperation = {
  [Op in keyof Operations]: { readonly op: Op; readonly place: number } & Drawn<Operations[Op][1]>;
}[keyof Operations];

/** The whole content of each session, markers too, which only a claim shows. */
const lastLooks = ({ ids, streams }: Names, place: number): ModelOperation[] =>
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
export const randomOperations = (listed = true): fc.Arbitrary<ModelOperation[]> =>
  NAMES.chain((names) => {
    const wanted = Object.entries(operationsOf(names, listed)).filter(
      ([op]) => listed || !LISTED.includes(op),
    );
    const weighted = wanted.map(([op, [weight, parts]]) => ({
      weight,
      arbitrary: record({
        op: fc.constant(op),
        place: one([0, 0, 0, 0, 0, 0, 0, 0, 1, 2]),
        ...parts,
      }),
    }));
    const all = fc.array(fc.oneof(...weighted), { minLength: 1, maxLength: MOST, size: 'max' });
    const looks = PLACES.flatMap((_, place) => lastLooks(names, place));
    // Without a bias a run is as long as it may be, not as short.
    return fc.noBias(all).map((drawn) => [...(drawn as ModelOperation[]), ...looks]);
  });
