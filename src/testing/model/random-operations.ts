/**
 * Random operations, the same for the same seed. They say "the next offset" or "a stale fence". `apply-operations.ts`
 * makes that exact when they run, so that most of them have an effect.
 */
export type FenceKind = 'own' | 'stale' | 'ahead' | 'other';

export type Operation =
  | { readonly op: 'create'; readonly id: string; readonly owner: string | null; readonly expiresIn: number | null }
  | { readonly op: 'read'; readonly id: string }
  | {
      readonly op: 'claim';
      readonly id: string;
      readonly me: string;
      readonly off: number;
      readonly from: 'stored' | 'none' | 'i1';
    }
  | {
      readonly op: 'save';
      readonly id: string;
      readonly fence: FenceKind;
      readonly head: string | null;
      readonly fields: Readonly<Record<string, string | null>>;
      readonly expiresIn: number | null;
    }
  | { readonly op: 'release'; readonly id: string; readonly fence: FenceKind }
  | {
      readonly op: 'end';
      readonly id: string;
      readonly fence: FenceKind | null;
      readonly outcome: string;
      readonly keepMs: number | undefined;
    }
  | {
      readonly op: 'mark';
      readonly id: string;
      readonly fence: FenceKind;
      readonly mark: { readonly name: string; readonly stream: string };
      readonly clear: boolean;
    }
  | { readonly op: 'list'; readonly limit: number }
  | { readonly op: 'expired' }
  | {
      readonly op: 'append';
      readonly id: string;
      readonly fence: FenceKind;
      readonly stream: string;
      readonly off: number;
      readonly events: readonly string[];
      readonly complete: boolean;
      readonly marks: { readonly mark?: string; readonly unmark?: string };
      readonly note: string;
    }
  | { readonly op: 'replay'; readonly id: string; readonly stream: string; readonly back: number }
  | { readonly op: 'open'; readonly id: string }
  | { readonly op: 'trim' }
  | { readonly op: 'die'; readonly instance: string }
  | { readonly op: 'pass'; readonly ms: number };

const IDS = ['s0', 's1', 's2'];
export const INSTANCES = ['i0', 'i1', 'i2'];
const STREAMS = ['g', 'p1', 'p2'];
const FENCES: readonly FenceKind[] = ['own', 'own', 'own', 'own', 'stale', 'ahead', 'other'];
const EXPIRIES = [null, 1_500, 4_000, 60_000];
/** For a store whose clock the test does not move: nothing expires during a run. */
const NO_EXPIRIES = [null];
const EVENTS = ['', '"x"', '"a longer text"', '"é"', '"an event that alone is more than all that is kept"'];
const MARKS = [{}, { mark: '1' }, { unmark: '1' }, { mark: '1', unmark: '2' }, { mark: '2', unmark: '1' }];
const OUTCOMES = ['deleted', '', '{"größe":"尺寸 🧪"}', 'x'.repeat(2_000)];
const MOST = 80;

/** How often each operation comes. */
const WEIGHTS: Readonly<Record<Operation['op'], number>> = {
  create: 3,
  read: 2,
  claim: 3,
  save: 3,
  release: 2,
  end: 1,
  mark: 2,
  list: 1,
  expired: 1,
  append: 10,
  replay: 5,
  open: 1,
  trim: 1,
  die: 1,
  pass: 3,
};

/** Mulberry32: small, and the same on every machine. */
function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The whole content of each session, markers too, which only a claim shows. */
const LAST_LOOKS: readonly Operation[] = IDS.flatMap((id): Operation[] => [
  { op: 'open', id },
  ...STREAMS.map((stream): Operation => ({ op: 'replay', id, stream, back: 9 })),
  { op: 'claim', id, me: 'i0', off: 0, from: 'stored' },
  { op: 'read', id },
]);

/** 1 to 80 operations, then a look at everything that is stored. `timed`: with expiries, and time that passes. */
export function randomOperations(seed: number, timed: boolean): Operation[] {
  const next = numbersFrom(seed);
  const below = (count: number): number => Math.floor(next() * count);
  const one = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  const names = (Object.keys(WEIGHTS) as Array<Operation['op']>).flatMap((name) =>
    name === 'pass' && !timed ? [] : Array.from({ length: WEIGHTS[name] }, () => name),
  );
  const expiresIn = (): number | null => one(timed ? EXPIRIES : NO_EXPIRIES);
  const operation = (op: Operation['op']): Operation => {
    const id = one(IDS);
    const fence = one(FENCES);
    switch (op) {
      case 'create':
        return { op, id, owner: one([null, ...INSTANCES]), expiresIn: expiresIn() };
      case 'claim':
        return {
          op,
          id,
          me: one(INSTANCES),
          off: one([0, 0, 0, -1, 1]),
          from: one(['stored', 'stored', 'stored', 'none', 'i1']),
        };
      case 'save': {
        const names = Array.from({ length: below(4) }, () => one(['a', 'b', 'c', '1', '__proto__']));
        const fields = Object.fromEntries(names.map((name) => [name, one(['1', '2', null])]));
        return { op, id, fence, head: one([null, 'x', 'y']), fields, expiresIn: expiresIn() };
      }
      case 'end':
        return {
          op,
          id,
          fence: one([null, fence]),
          outcome: one(OUTCOMES),
          keepMs: one([undefined, undefined, 1_000]),
        };
      case 'mark':
        return {
          op,
          id,
          fence,
          mark: { name: one(['1', '"1"', '2']), stream: one(STREAMS) },
          clear: one([true, false]),
        };
      case 'list':
        return { op, limit: 1 + below(3) };
      case 'append':
        return {
          op,
          id,
          fence,
          stream: one(STREAMS),
          off: one([0, 0, 0, 0, 0, -1, 1]),
          events: Array.from({ length: below(5) }, () => one(EVENTS)),
          complete: one([false, false, false, true]),
          marks: one(MARKS),
          note: one(['[1]', '[2]']),
        };
      case 'replay':
        return { op, id, stream: one(STREAMS), back: below(10) };
      case 'die':
        return { op, instance: one(INSTANCES) };
      case 'pass':
        return { op, ms: one([1, 700, 1_500, 3_000, 6_000]) };
      case 'expired':
      case 'trim':
        return { op };
      case 'release':
        return { op, id, fence };
      case 'read':
      case 'open':
        return { op, id };
    }
  };
  return [...Array.from({ length: 1 + below(MOST) }, () => operation(one(names))), ...LAST_LOOKS];
}
