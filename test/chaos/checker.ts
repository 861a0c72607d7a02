/**
 * Judges a run that is over: what every client was told, against what the servers did. What is wrong at the moment it
 * happens (404 for a living session, an event twice, service after DELETE) its observers have written into the history
 * already.
 */
import { type Effects, grouped, type Ran, type Wrote } from './effects.ts';
import { type Call, type Ending, type History, now, type Story, type Violation } from './history.ts';

/** Tools that say that they may run again. */
const REPEATABLE = new Set(['read', 'peek', 'slow']);

interface Freeze {
  readonly start: string;
  readonly from: number;
  readonly until: number;
}

/** What befell the instances. */
export interface Circumstances {
  /** Why requests to a start may have broken by then; undefined: no reason is known. */
  absenceOf(start: string, at: number): { readonly kind: string } | undefined;
  /** The starts that were frozen past their lease. */
  readonly freezes: readonly Freeze[];
}

export function check(history: History, effects: Effects, circumstances: Circumstances): void {
  const say = (violation: Violation, what: string): void => history.violation(violation, what);
  const calls = [...history.calls.values()];
  checkRuns(history, effects.ran, say);
  checkEndings(calls, say);
  checkBroken(history, circumstances, say);
  checkAnswers(calls, say);
  checkWrites(effects.wrote, say);
  for (const { session, nonce, by, value } of lateWrites(effects, circumstances.freezes))
    if (value !== undefined) say('staleWrite', `session ${session}: ${nonce} on ${by}`);
  checkCounts(calls, say);
  checkProgress(history, say);
  for (const story of history.stories) checkPushed(story, say);
  checkPushes(history, effects, circumstances, say);
}

type Say = (violation: Violation, what: string) => void;

/** Named so that its finding can be understood. */
export function nameOf({ nonce, tool, story, sentAt, attemptAt, endedAt, ending, progress, resumes }: Call): string {
  const came = progress.map(({ run, n }) => `${run}#${n}`).join(' ');
  const session = story === undefined ? 'no session' : `${story.version} session ${story.id}`;
  return `${tool} ${nonce} (${session}, ${sentAt.toFixed(0)}, last tried ${attemptAt.toFixed(0)}, ended ${endedAt.toFixed(0)} with ${ending?.kind ?? 'nothing'}, resumed ${resumes} times, progress ${came})`;
}

// ——— at most once ———

function checkRuns({ calls }: History, ran: readonly Ran[], say: Say): void {
  const runs = grouped(ran, ({ nonce }) => nonce);
  for (const { nonce, tool, by, at } of ran)
    if (!calls.has(nonce)) say('letIn', `${tool} ${nonce} ran on ${by} at ${at} for a client that must be refused`);
  for (const call of calls.values()) {
    const { nonce, tool, ending } = call;
    const of = runs.get(nonce) ?? [];
    // Its first round asks, its second gets the answer: both are calls of the client.
    const most = tool === 'confirm' ? 2 : 1;
    if (!REPEATABLE.has(tool) && of.length > most) {
      say('double', `${nameOf(call)} ran ${of.length} times: ${of.map(({ run, at }) => `${run} at ${at}`).join(', ')}`);
    }
    if (of.length === 0 && ending?.kind === 'result') say('untrue', `${nameOf(call)} has a result and never ran`);
    if (of.length > 0 && !REPEATABLE.has(tool) && deniesRun(ending))
      say('untrue', `${nameOf(call)} ran, and its client was told that it did not: ${JSON.stringify(ending)}`);
  }
}

/** Whether the client was told that nothing has happened. */
function deniesRun(ending: Ending | undefined): boolean {
  if (ending?.kind === 'error') return ending.mayHaveRun === false;
  return ending?.kind === 'refused' && (ending.status === 503 || ending.status === 0);
}

// ——— every request ends, and says how ———

/** Errors that a call which must not run twice may end with only if they tell whether it ran. */
const MUST_TELL = new Set(['owner_lost', 'draining', 'closed', 'lapsed', 'store_away', 'restore_failed']);

function checkEndings(calls: readonly Call[], say: Say): void {
  for (const call of calls) {
    const { ending, tool, story } = call;
    const name = nameOf(call);
    switch (ending?.kind) {
      case undefined:
        say('hung', `${name}, sent at ${call.sentAt}, has no end after ${(now() - call.sentAt).toFixed(0)} ms`);
        break;
      case 'silent':
        say('silent', `${name}: the last that it was read from is ${ending.instance}`);
        break;
      case 'unresumable':
        say('unresumable', `${name}: ${ending.status} ${ending.text}`);
        break;
      case 'exception':
        say('unexplained', `${name}: ${ending.text}`);
        break;
      case 'error':
        if (ending.reason === undefined) say('status', `${name}: an error without a reason: ${JSON.stringify(ending)}`);
        else if (!REPEATABLE.has(tool) && MUST_TELL.has(ending.reason) && typeof ending.mayHaveRun !== 'boolean')
          say('untrue', `${name} was not told whether it ran: ${JSON.stringify(ending)}`);
        if (ending.reason === 'session_not_found' && story?.deleteSentAt === undefined)
          say('lost', `${name}: its session is not known any more`);
        break;
      case 'refused':
        if (ending.status !== 503 && ending.status !== 0 && story?.deleteSentAt === undefined)
          say('status', `${name}: ${ending.status} ${ending.text}`);
        break;
      case 'cut':
      case 'left':
      case 'result':
      case 'tool-error':
        break;
    }
  }
}

/** Only instances that are struck break connections. */
function checkBroken({ broken }: History, { absenceOf }: Circumstances, say: Say): void {
  for (const { at, what, instance } of broken)
    if (absenceOf(instance, at) === undefined) say('broken', `${what} at ${at}: the connection to ${instance}`);
}

// ——— answers reach who asked ———

function checkAnswers(calls: readonly Call[], say: Say): void {
  for (const call of calls) {
    const { tool, nonce, ending } = call;
    if (ending?.kind !== 'result' || tool === 'count' || tool === 'peek') continue;
    const expected = tool === 'confirm' ? `${nonce} ${nonce}` : nonce;
    if (ending.value !== expected) say('wrong', `${nameOf(call)} was answered ${JSON.stringify(ending.value)}`);
  }
}

// ——— acknowledged writes stay: the counter in `session.state` ———

/** By what the servers were told: every number is given out once, and only upwards. */
function checkWrites(wrote: readonly Wrote[], say: Say): void {
  const sessions = grouped(
    wrote.filter(({ value }) => value !== undefined),
    ({ session }) => session,
  );
  for (const [session, of] of sessions) {
    const byValue = new Map<number, Wrote>();
    for (const one of of) {
      const value = one.value ?? 0;
      const twin = byValue.get(value);
      byValue.set(value, one);
      if (twin === undefined) continue;
      const stale = twin.by !== one.by;
      const what = `session ${session} counted ${value} twice: ${twin.nonce} on ${twin.by} at ${twin.at}, ${one.nonce} on ${one.by} at ${one.at}`;
      say(stale ? 'staleWrite' : 'lostWrite', what);
    }
    // What was acknowledged before a write began is below it.
    let highest: Wrote | undefined;
    const ends = [...of].sort((a, b) => a.at - b.at);
    let done = 0;
    for (const one of [...of].sort((a, b) => a.from - b.from)) {
      for (let end = ends[done]; end !== undefined && end.at < one.from; end = ends[(done += 1)])
        if (highest === undefined || (end.value ?? 0) > (highest.value ?? 0)) highest = end;
      const behind = highest !== undefined && (one.value ?? 0) < (highest.value ?? 0);
      if (highest !== undefined && behind)
        say(
          'lostWrite',
          `session ${session}: ${one.nonce} gave ${one.value} after ${highest.nonce} gave ${highest.value}`,
        );
    }
  }
}

/**
 * What an owner that was frozen past its lease still tried to write when it woke, on sessions that another instance had
 * taken over by then: writes of tools that ran when their process was frozen.
 */
export function lateWrites({ ran, wrote }: Effects, freezes: readonly Freeze[]): Wrote[] {
  const began = new Map(ran.map(({ run, at }) => [run, at]));
  const bySession = grouped(wrote, ({ session }) => session);
  return freezes.flatMap(({ start, from, until }) =>
    wrote.filter((write) => {
      if (write.by !== start || write.from < until || (began.get(write.run) ?? until) >= from) return false;
      const others = (bySession.get(write.session ?? '') ?? []).filter((one) => one.by !== start);
      return others.some(({ at, value }) => value !== undefined && at > from && at < write.from);
    }),
  );
}

/** By what the clients were told: nothing that began after an answer shows less than that answer. */
function checkCounts(calls: readonly Call[], say: Say): void {
  const told = calls.filter(({ tool, ending }) => ending?.kind === 'result' && (tool === 'count' || tool === 'peek'));
  for (const of of grouped(told, ({ story }) => story?.id).values()) {
    const counts = of.filter(({ tool }) => tool === 'count').sort((a, b) => a.endedAt - b.endedAt);
    let done = 0;
    let highest: Call | undefined;
    for (const call of [...of].sort((a, b) => a.attemptAt - b.attemptAt)) {
      for (let count = counts[done]; count !== undefined && count.endedAt < call.attemptAt; count = counts[(done += 1)])
        if (highest === undefined || valueOf(count) > valueOf(highest)) highest = count;
      if (highest === undefined) continue;
      const behind = call.tool === 'count' ? valueOf(call) <= valueOf(highest) : valueOf(call) < valueOf(highest);
      if (behind)
        say('lostWrite', `${nameOf(call)} gave ${valueOf(call)} after ${highest.nonce} gave ${valueOf(highest)}`);
    }
  }
}

const valueOf = ({ ending }: Call): number => (ending?.kind === 'result' ? Number(ending.value) : NaN);

// ——— numbered messages: in order, nothing twice, nothing missing ———

/** The progress of each run counts 1, 2, 3 …; the run that was answered came to its end. */
function checkProgress(history: History, say: Say): void {
  for (const call of history.calls.values()) {
    const { story, ending, steps } = call;
    // Before, nothing is kept: what is said while an instance on the way has no lease is lost.
    const missing = (what: string): void => {
      if (story !== undefined && story.version >= '2025-11-25') say('missing', `${nameOf(call)}: ${what}`);
      else history.count('progress lost where nothing is kept');
    };
    const runs = grouped(call.progress, ({ run }) => run);
    for (const [run, progress] of runs) {
      const came = new Set<number>();
      // Progress that a handler sends behind its answer takes the GET stream: two streams have no order.
      let last = 0;
      for (const { n, own } of progress) {
        if (came.has(n)) say('twice', `${nameOf(call)}: progress ${n} of ${run}`);
        else if (own && n < last) say('unordered', `${nameOf(call)}: progress ${n} of ${run}, after ${last}`);
        came.add(n);
        if (own) last = Math.max(last, n);
      }
      for (let n = 1; n < last; n++) if (!came.has(n)) missing(`progress ${n} of ${run}, before ${last}`);
    }
    if (ending?.kind !== 'result') continue;
    const most = Math.max(0, ...(runs.get(ending.run) ?? []).map(({ n }) => n));
    if (most < steps) missing(`progress ${most + 1} of ${ending.run}, before its answer`);
  }
}

/** A server numbers what it pushes: what came of it came in order, once, without a hole. */
function checkPushed({ id, pushed, version }: Story, say: Say): void {
  const seen = new Set<string>();
  const next = new Map<string, number>();
  for (const { nonce, server, n } of pushed) {
    if (seen.has(nonce)) {
      say('twice', `session ${id}: what ${nonce} pushed`);
      continue;
    }
    seen.add(nonce);
    const expected = next.get(server);
    if (expected !== undefined && n < expected) say('unordered', `session ${id}: ${nonce} came after its successor`);
    // Before 2025-11-25 nothing is kept while no client reads.
    if (expected !== undefined && n > expected && version >= '2025-11-25')
      say('missing', `session ${id}: push ${expected} of ${server}, before ${n} (${nonce})`);
    next.set(server, Math.max(n + 1, expected ?? 0));
  }
}

/** What was pushed, and its call answered, arrives; unless its instance was struck before it could be stored. */
function checkPushes(history: History, { ran }: Effects, { absenceOf }: Circumstances, say: Say): void {
  const runs = new Map(ran.map((run) => [run.nonce, run]));
  const arrived = new Set(history.stories.flatMap(({ pushed }) => pushed.map(({ nonce }) => nonce)));
  for (const call of history.calls.values()) {
    const { tool, nonce, story, sentAt, ending } = call;
    if (tool !== 'push' || ending?.kind !== 'result' || arrived.has(nonce) || story === undefined) continue;
    if (story.version < '2025-11-25' || story.listensFrom > sentAt || story.deleteSentAt !== undefined) continue;
    const run = runs.get(nonce);
    if (run !== undefined && absenceOf(run.by, Infinity)?.kind === 'killed')
      history.count('pushes lost with their instance');
    else say('missing', `${nameOf(call)}: what it pushed at ${run?.at} never came`);
  }
}
