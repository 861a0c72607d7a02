/** The clients: one row for each era that its author can choose, and the cases in which the client itself is at fault. */
// @ts-expect-error: a script without declarations
import { commandOf, ensureClient, missingFor } from '../../scripts/ensure-clients.mjs';
import type { CaseId } from './other-rounds.ts';
import type { Era, Seen } from './other-client.ts';

/** What the user may see in a case, and why no server can change it. */
export interface Flaw {
  readonly kinds: readonly ('failed' | 'hung' | 'dead' | 'no push')[];
  readonly why: string;
}

type Flaws = Readonly<Partial<Record<CaseId, Flaw>>>;

export interface Other {
  /** The folder in `programs/`. */
  readonly name: string;
  readonly title: string;
  readonly era: Era;
  readonly flaws: Flaws;
  readonly command: readonly string[];
  /** The program that this machine lacks. */
  readonly missing: string | undefined;
  readonly results: { readonly id: CaseId; readonly where: string; readonly seen: readonly Seen[] }[];
}

const flaw = (why: string, ...kinds: Flaw['kinds']): Flaw => ({ kinds, why });
const allInCall = (of: Flaw) => ({ 'in-call-1': of, 'in-call-3': of, 'in-call-6': of });
const allCut = (of: Flaw) => ({ 'call-cut': of, 'answer-cut': of });

/** The revision has no sessions: every client that chooses it. */
const lost = flaw(
  'On 2026-07-28 a call whose connection breaks, or whose instance dies, is lost: its user is told.',
  'failed',
);
const lostCalls: Flaws = { ...allInCall(lost), ...allCut(lost) };

const broken = flaw('mcp-go fails a call whose stream breaks.', 'failed');
const neverResumed = flaw(
  'The Java SDK does not resume a stream that breaks; the call fails after its 20 s limit.',
  'failed',
);
const neverReopened = flaw('The Java SDK does not open its GET stream again.', 'no push');

type Row = readonly [name: string, title: string, era: Era, flaws: Flaws];

const short: readonly Row[] = [
  ['python-1', 'Python 1.30', '2025', {}],
  ['python-2', 'Python 2.3', '2025', {}],
  ['python-2', 'Python 2.3', '2026', lostCalls],
  ['go-sdk', 'go-sdk 1.8', '2025', {}],
  ['go-sdk', 'go-sdk 1.8', '2026', lostCalls],
  ['mcp-go', 'mcp-go 1.2', '2025', { ...allInCall(broken), ...allCut(broken) }],
  ['mcp-go', 'mcp-go 1.2', '2026', lostCalls],
];
/** Only in `npm run test:clients`: the builds take minutes, and other tests run the TypeScript clients. */
const further: readonly Row[] = [
  ['typescript-1', 'TypeScript 1.32', '2025', {}],
  ['typescript-2', 'TypeScript 2.4', '2025', {}],
  ['typescript-2', 'TypeScript 2.4', '2026', lostCalls],
  ['rmcp', 'rmcp 3.9', '2025', {}],
  ['rmcp', 'rmcp 3.9', '2026', lostCalls],
  ['java', 'Java 2.1', '2025', { ...allInCall(neverResumed), ...allCut(neverResumed), 'idle-cut': neverReopened }],
];

/** `npm run test:clients` sets it. */
export const isWhole = process.env['SOJOURN_CLIENTS'] === 'all';
const only = process.env['SOJOURN_CLIENT'];
const chosen = [...short, ...(isWhole ? further : [])].filter(([name]) => only === undefined || name === only);

const missing = new Map<string, string | undefined>();
for (const [name] of chosen) {
  if (missing.has(name)) continue;
  missing.set(name, missingFor(name));
  if (missing.get(name) === undefined) await ensureClient(name);
}

export const others: readonly Other[] = chosen.map(([name, title, era, flaws]) => ({
  name,
  title: `${title}, ${era}`,
  era,
  flaws,
  command: commandOf(name),
  missing: missing.get(name),
  results: [],
}));
