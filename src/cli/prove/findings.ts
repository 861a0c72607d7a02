/** What a run of `sojourn prove` says about the server itself, in sentences. */
import { type Called, isHung } from './crowd.ts';
import type { Fault, InstanceLog, ToolRun } from './proved-instance.ts';

interface Finding {
  readonly what: 'no hints' | 'state in the process' | Fault['kind'];
  readonly tool?: string;
  readonly text: string;
}

export interface Evidence extends InstanceLog {
  readonly called: readonly Called[];
  /** Tools that were called and may run twice. */
  readonly hinted: ReadonlySet<string>;
  /** The server is a program on stdio. */
  readonly isProgram: boolean;
  readonly drainTimeoutMs: number;
}

export function findingsOf(seen: Evidence): readonly Finding[] {
  const tools = [...new Set(seen.runs.map(({ tool }) => tool))];
  return [
    ...tools.flatMap((tool) => withoutHints(seen, tool)),
    ...tools.flatMap((tool) => stateOf(seen, tool)),
    ...[...grouped(seen.faults, ({ kind }) => kind).values()].map((faults) =>
      faultOf(faults, seen),
    ),
  ];
}

/** Calls that were lost because the tool may not run again. */
function withoutHints({ called, hinted }: Evidence, tool: string): Finding[] {
  const lost = called.filter(
    (one) => one.tool === tool && one.failed !== undefined && !isHung(one),
  );
  if (hinted.has(tool) || lost.length === 0) return [];
  const text =
    `${tool} has no hints, and ${count(lost.length, 'call')} of it ended without an answer: readOnlyHint: true or ` +
    'idempotentHint: true would let them run again, if that is so';
  return [{ what: 'no hints', tool, text }];
}

/** Runs twice of one call, of tools that may not. The same call is asked several times while it needs input. */
export function ranTwice({ runs, hinted }: Evidence): number {
  const effects = runs.filter(({ tool, end }) => !hinted.has(tool) && end?.asks !== true);
  return effects.length - new Set(effects.map(({ tool, call }) => `${call} ${tool}`)).size;
}

// ——— state in the process ———

/** How many answers of one process are compared. */
const FIRST = 8;
const REPEATED = 3;

/**
 * A process that begins where an earlier one began has state of its own: a counter says 1, 2, 3 in each process. A clock
 * never says again what it said, and a constant says nothing else. The answers to all, and those to each client, are two
 * views.
 */
function stateOf(seen: Evidence, tool: string): Finding[] {
  // A run that asks has not answered yet.
  const runs = seen.runs.filter(({ tool: of, end }) => of === tool && end?.asks === false);
  const clientOf = ({ call }: ToolRun): string => call.split('.')[0] ?? '';
  const ofClients = [...grouped(runs, clientOf).values()];
  if (!beginsAnew([runs]) && !beginsAnew(ofClients) && !forgets(ofClients)) return [];
  const text = seen.isProgram
    ? `${tool} lost what it kept: the memory of a program goes with its process, so let the program keep it in a file or a database`
    : `${tool} keeps state in its process, which is lost with it: use userState(), a handle or live()`;
  return [{ what: 'state in the process', tool, text }];
}

/** `views`: runs that may have state in common. */
function beginsAnew(views: readonly (readonly ToolRun[])[]): boolean {
  let [repeats, others] = [0, 0];
  for (const view of views) {
    const processes = [...grouped(view, ({ pid }) => `${pid}`).values()].map((of) =>
      of.map(({ end }) => end?.answer ?? ''),
    );
    for (const [n, later] of processes.entries()) {
      const before = processes.slice(0, n).filter(({ length }) => length > 1);
      if (later.length < 2 || before.length === 0) continue;
      if (before.some((earlier) => repeatsFirst(earlier, later))) repeats += 1;
      else others += 1;
    }
  }
  return repeats > 1 && repeats > others;
}

function repeatsFirst(earlier: readonly string[], later: readonly string[]): boolean {
  const [was, is] = [earlier.slice(0, FIRST), later.slice(0, REPEATED)];
  const isDistinct = (of: readonly string[]): boolean => new Set(of).size === of.length;
  return isDistinct(was) && isDistinct(is) && is.every((answer) => was.includes(answer));
}

/** Clients that got answers from one process, and errors alone from a later one. */
function forgets(ofClients: readonly (readonly ToolRun[])[]): boolean {
  const hasForgotten = (view: readonly ToolRun[]): boolean => {
    const processes = [...grouped(view, ({ pid }) => `${pid}`).values()];
    const all = (of: readonly ToolRun[], isError: boolean): boolean =>
      of.length > 1 && of.every(({ end }) => end?.isError === isError);
    const first = processes.findIndex((of) => all(of, false));
    return first >= 0 && processes.slice(first + 1).some((of) => all(of, true));
  };
  return ofClients.filter(hasForgotten).length > 1;
}

function grouped<T>(list: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const key = keyOf(one);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return groups;
}

// ——— what its processes did ———

/** Faults of one kind. It describes the longest; to blame is what ran each time. */
function faultOf(faults: readonly Fault[], { drainTimeoutMs }: Evidence): Finding {
  const [worst] = faults.toSorted((a, b) => b.ms - a.ms) as [Fault];
  const { kind, instance, ms, words } = worst;
  const each = worst.tools.filter((tool) => faults.every(({ tools }) => tools.includes(tool)));
  const tools = each.length > 0 ? each : worst.tools;
  const ran = tools.length === 0 ? '' : ` while ${tools.join(', ')} ran`;
  const seconds = `${(ms / 1_000).toFixed(1)} s`;
  const text = {
    blocked: `the event loop was blocked for ${seconds}${ran}, past two thirds of the lease: others take over then`,
    'late drain': `instance ${instance} took ${seconds} to end, longer than its drain of ${drainTimeoutMs / 1_000} s${ran}: end at the signal of the call, or make it a task`,
    ended: `instance ${instance} ended by itself${ran}${words === '' ? '' : `: ${words.slice(0, 200)}`}`,
  }[kind];
  return { what: kind, ...(tools[0] !== undefined && { tool: tools[0] }), text };
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
