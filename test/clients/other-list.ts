/**
 * The clients: one row for each era that its author can choose, and the cases in which the client itself is at fault.
 */
// @ts-expect-error: a script without declarations
import { commandOf, lackOf } from '../../scripts/servers.mjs';
import type { CaseId } from './other-rounds.ts';
import type { Era } from './other-client.ts';

/** The programs of `programs/` by their SDK and its pinned version. */
const TITLES = {
  'python-1': 'Python 1.30',
  'python-2': 'Python 2.3',
  'go-sdk': 'go-sdk 1.8',
  'mcp-go': 'mcp-go 1.2',
  'typescript-1': 'TypeScript 1.32',
  'typescript-2': 'TypeScript 2.4',
  rmcp: 'rmcp 3.9',
  java: 'Java 2.1',
} as const;

type ProgramName = keyof typeof TITLES;

/** What the user may see in a case, and why no server can change it. */
export interface Flaw {
  readonly kinds: readonly ('failed' | 'hung' | 'dead' | 'no push')[];
  /** What the user reads, where that distinguishes it from other failures. */
  readonly told?: RegExp;
  readonly why: string;
}

type Flaws = Readonly<Partial<Record<CaseId, readonly Flaw[]>>>;

export interface Other {
  /** The folder in `programs/`. */
  readonly name: string;
  readonly title: string;
  readonly era: Era;
  readonly flaws: Flaws;
  readonly command: readonly string[];
  /** The program that this machine lacks. */
  readonly missing: string | undefined;
}

const IN_CALL = ['in-call-1', 'in-call-3', 'in-call-6'] as const;
const CUT = ['call-cut', 'answer-cut'] as const;
const KILLED = ['killed-1', 'killed-3', 'killed-6'] as const;

const inCases = (of: Flaw, ids: readonly CaseId[]): Flaws =>
  Object.fromEntries(ids.map((id) => [id, [of]]));

function together(...all: readonly Flaws[]): Flaws {
  const flaws: Partial<Record<CaseId, Flaw[]>> = {};
  for (const each of all)
    for (const [id, of] of Object.entries(each) as [CaseId, readonly Flaw[]][])
      (flaws[id] ??= []).push(...of);
  return flaws;
}

/** The other instance takes the session of a frozen one whose lease has run out. */
const taken = inCases(
  {
    kinds: ['failed'],
    told: /may have run/,
    why: 'The lease of the frozen instance ran out. A call with effects that ran on it ends with `owner_lost`, and the client lives.',
  },
  ['freeze'],
);
const lost = inCases(
  {
    kinds: ['failed'],
    why: '2026-07-28: a call whose connection breaks, or whose instance dies, is lost, and its user gets an error.',
  },
  [...IN_CALL, ...CUT],
);
const broken = inCases({ kinds: ['failed'], why: 'mcp-go fails a call whose stream breaks.' }, [
  ...IN_CALL,
  ...CUT,
]);
const tooLarge = inCases(
  {
    kinds: ['failed'],
    told: /exceeded the 1048576 byte limit/,
    why: 'Python 2.x refuses an SSE event above 1 MiB. An answer that is fetched after a cut is one event.',
  },
  ['answer-cut'],
);
const neverResumed = inCases(
  {
    kinds: ['failed'],
    why: 'The Java SDK does not resume a stream that breaks: the call fails after its limit of 20 s.',
  },
  [...IN_CALL, ...CUT],
);
const neverReopened = inCases(
  { kinds: ['no push'], why: 'The Java SDK does not open its GET stream again.' },
  ['idle-cut', 'freeze', ...CUT, ...KILLED, ...IN_CALL],
);

type Row = readonly [name: ProgramName, era: Era, flaws: Flaws];

const rows: readonly Row[] = [
  ['python-1', '2025', taken],
  ['python-2', '2025', together(taken, tooLarge)],
  ['python-2', '2026', lost],
  ['go-sdk', '2025', taken],
  ['go-sdk', '2026', lost],
  ['mcp-go', '2025', together(taken, broken)],
  ['mcp-go', '2026', lost],
  ['typescript-1', '2025', taken],
  ['typescript-2', '2025', taken],
  ['typescript-2', '2026', lost],
  ['rmcp', '2025', taken],
  ['rmcp', '2026', lost],
  ['java', '2025', together(taken, neverResumed, neverReopened)],
];

export const others: readonly Other[] = rows.map(([name, era, flaws]) => ({
  name,
  title: `${TITLES[name]}, ${era}`,
  era,
  flaws,
  command: commandOf(name),
  missing: lackOf(name),
}));
