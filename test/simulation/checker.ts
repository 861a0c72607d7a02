/**
 * Judges a run that is over, of a simulated world or of real processes, by the invariants of the design. What is wrong
 * at the moment it happens (404 for a living session, service after DELETE, a payload of another client) its observers
 * have written into the ledger already.
 */
import { MOST_RUNS } from '../../src/session/inbound/retries.ts';
import { type Call, type Ending, grouped, type Ledger } from './ledger.ts';
import { checkRepeatedRuns } from './repeated-runs.ts';
import { REPEATABLE } from './server.ts';
import type { StoreData } from './store-data.ts';
import { checkStreams } from './stream-checks.ts';

/** `data`: what was stored, where that is known. */
export function check(ledger: Ledger, data?: StoreData): string[] {
  const violations: string[] = [];
  const say = (session: string, what: string): void => {
    if (!ledger.lost.some(({ sessions }) => sessions.has(session))) violations.push(what);
  };
  const sayOf = (call: Call, what: string): void => {
    if (!isForgotten(ledger, call)) violations.push(what);
  };
  checkRuns(ledger, data, sayOf);
  checkEndings(ledger, sayOf);
  checkPatience(ledger, sayOf, (what) => violations.push(what));
  checkCounts(ledger, sayOf);
  checkAnswers(ledger, (call, what) => say(call.session, what));
  checkStreams(ledger, data, say);
  return [...violations, ...ledger.violations];
}

/** What was written while it was under way, the store may have forgotten: no guarantee covers that. */
function isForgotten({ lost }: Ledger, { session, tool, sentAt, ending }: Call): boolean {
  return lost.some(({ sessions, from, until }) => {
    if (!sessions.has(session)) return false;
    // A copy that the store has forgotten takes an answer without writing anything: it does not find out.
    return tool === 'ask' || (until >= sentAt && from <= (ending?.at ?? Infinity));
  });
}

type SayOf = (call: Call, what: string) => void;

export const nameOf = ({ client, tool, method, nonce, id }: Call): string =>
  `${client} ${tool ?? method} ${nonce} (id ${id})`;

// ——— how often calls run ———

function checkRuns(ledger: Ledger, data: StoreData | undefined, say: SayOf): void {
  const { ran, calls, sessions, violations } = ledger;
  const runs = grouped(ran, ({ nonce }) => nonce);
  const called = new Set(calls.map(({ nonce }) => nonce));
  for (const { tool, nonce, instance, at } of ran)
    if (!called.has(nonce))
      violations.push(`ran, and no client called it: ${tool} ${nonce} on ${instance} at ${at}`);
  for (const call of calls) {
    const { tool, nonce, session, sentAt, ending } = call;
    if (tool === undefined) continue;
    const of = runs.get(nonce) ?? [];
    const deletedAt = sessions.get(session)?.deletedAt;
    if (deletedAt !== undefined && sentAt > deletedAt && of.length > 0)
      say(call, `ran, and was sent after its session was deleted: ${nameOf(call)}`);
    // Its first round asks, its second gets the answer: both are calls of the client.
    const most = tool === 'confirm' ? 2 : 1;
    if (of.length > most * MOST_RUNS)
      say(
        call,
        `began ${of.length} times: ${nameOf(call)}, ${of.map(({ instance }) => instance).join(', ')}`,
      );
    if (REPEATABLE[tool] !== true && of.length > most)
      say(
        call,
        `ran ${of.length} times: ${nameOf(call)}, ${of.map(({ instance, at }) => `${instance} at ${at}`).join(', ')}`,
      );
    for (const run of of)
      if (run.session !== session)
        say(call, `${nameOf(call)} ran in session ${run.session} instead of ${session}`);
    const [run] = of;
    if (run === undefined) {
      if (ending?.kind === 'result') say(call, `has a result and never ran: ${nameOf(call)}`);
      continue;
    }
    if (REPEATABLE[tool] === true) {
      if (data !== undefined)
        checkRepeatedRuns(ledger, data, call, of, (what) => say(call, `${nameOf(call)} ${what}`));
      continue;
    }
    const denied =
      ending?.kind === 'given-up' ||
      ending?.kind === 'refused' ||
      (ending?.kind === 'not-found' && ending.mayHaveRun !== true) ||
      (ending?.kind === 'error' && ending.mayHaveRun === false);
    if (denied)
      say(
        call,
        `was told that it did not run, and ran: ${nameOf(call)}, on ${run.instance} at ${run.at}`,
      );
  }
}

// ——— every accepted request ends ———

/** Whether a call that must not run twice may have run is said with these. */
const MAY_HAVE_RUN = new Set([
  'owner_lost',
  'draining',
  'endpoint_closed',
  'lease_lost',
  'store_unavailable',
  'restore_failed',
  'answer_not_kept',
]);

function checkEndings(ledger: Ledger, say: SayOf): void {
  const { calls, sessions } = ledger;
  for (const call of calls) {
    const { session, ending } = call;
    const story = sessions.get(session);
    if (ending === undefined) {
      // The instance that has the question finds out with its next write, and no instance takes the answer.
      if (call.tool === 'ask' && ledger.vanished.has(session)) continue;
      say(
        call,
        `never ended: ${nameOf(call)}, ${call.acceptedAt !== undefined ? 'accepted' : 'not accepted'}, sent at ${call.attemptAt}`,
      );
    } else if (ending.kind === 'threw') {
      say(call, `threw: ${nameOf(call)}, ${ending.text}`);
    } else if (ending.kind === 'silent') {
      say(call, `ended without an answer: ${nameOf(call)} at ${ending.at}`);
    } else if (ending.kind === 'error' && ending.reason === undefined) {
      say(call, `ended with an error without a reason: ${nameOf(call)}, ${JSON.stringify(ending)}`);
    } else if (isUnclear(call, ending)) {
      say(call, `was not told whether it ran: ${nameOf(call)}, ${JSON.stringify(ending)}`);
    } else if (ending.kind === 'refused' && !mayRefuse(ledger, call, ending)) {
      say(call, `was refused with ${ending.status}: ${nameOf(call)} ${ending.body}`);
    } else if (
      isUnkept(ending) &&
      story !== undefined &&
      story.deleteSentAt === undefined &&
      !ledger.vanished.has(session)
    ) {
      say(call, `lost its stream: ${nameOf(call)}, ${JSON.stringify(ending)}`);
    }
  }
}

/** An instance that stops refuses what waits there; any other only past `maxWaitMs`. */
function mayRefuse(
  { retired, patience, factoryFails }: Ledger,
  call: Call,
  { at, slot, status, body }: Ending & { kind: 'refused' },
): boolean {
  if (status !== 200) return false;
  if (factoryFails && body.includes('"restore_failed"')) return true;
  if (retired.some((one) => one.slot === slot && one.from <= at)) return true;
  return patience !== undefined && !patience.calm && at - call.attemptAt >= patience.maxWaitMs;
}

// ——— what the user of a client sees while the store is away ———

/** Beside `waitMs`: until a lease is taken again, and a session is claimed. */
const SLACK_MS = 1_000;
/** Until the instance knows that a client has left. */
const LEFT_MS = 300;

function checkPatience(
  { calls, ran, patience, refusals }: Ledger,
  say: SayOf,
  sayAnyhow: (what: string) => void,
): void {
  if (patience === undefined || !patience.storeOnly) return;
  const { maxWaitMs, calm, alone, ownersStay, patientMs } = patience;
  if (calm)
    for (const { at, body } of refusals)
      sayAnyhow(`${at.toFixed(3)} a request was refused with 503: ${body}`);
  const runOf = new Map(ran.map((run) => [run.nonce, run]));
  for (const call of calls) {
    const { ending, attemptAt, acceptedAt, tool, ms, nonce } = call;
    if (ending === undefined) continue;
    if (ending.kind === 'timed-out') {
      if (ending.at - attemptAt >= patientMs) say(call, `timed out: ${nameOf(call)}`);
      const run = runOf.get(nonce);
      if (alone && run !== undefined && run.at > ending.at + LEFT_MS)
        say(
          call,
          `ran after its client had left: ${nameOf(call)}, at ${run.at}, left at ${ending.at}`,
        );
    } else if (
      calm &&
      ending.kind === 'error' &&
      ending.reason !== 'session_ended' &&
      ((alone && tool !== 'ask') || ownersStay || !isOwnerLost(ending))
    ) {
      say(call, `failed: ${nameOf(call)}, ${JSON.stringify(ending)}`);
    }
    // It may wait for the lease, and once more for the first write of its stream. Its stream may wait longer: it is
    // resumed.
    const waited = (acceptedAt ?? ending.at) - attemptAt - ms;
    if (ending.kind !== 'timed-out' && waited > 2 * maxWaitMs + SLACK_MS)
      say(call, `waited ${waited.toFixed(0)} ms, and maxWaitMs is ${maxWaitMs}: ${nameOf(call)}`);
  }
  if (alone) checkOrder(calls, runOf, say);
}

/** Between instances, where mailboxes are lost: a link that an outage cuts may take a call with it, and another instance may win the session. */
function isOwnerLost({ reason, mayHaveRun }: Ending & { kind: 'error' }): boolean {
  return reason === 'owner_lost' && mayHaveRun === true;
}

/**
 * A call that waited for the lease of its only instance runs before the calls of its session that arrived there later.
 */
function checkOrder(
  calls: readonly Call[],
  runOf: ReadonlyMap<string, { readonly at: number }>,
  say: SayOf,
): void {
  const ran = calls.flatMap((call) => {
    const run = runOf.get(call.nonce);
    const counts =
      call.arrivedAt !== undefined && run !== undefined && REPEATABLE[call.tool ?? ''] !== true;
    return counts ? [{ call, at: run.at }] : [];
  });
  for (const of of grouped(ran, ({ call }) => call.session).values()) {
    const arrived = of.toSorted((a, b) => (a.call.arrivedAt ?? 0) - (b.call.arrivedAt ?? 0));
    let last: { call: Call; at: number } | undefined;
    for (const { call, at } of arrived) {
      if (last !== undefined && at < last.at)
        say(
          call,
          `order lost: ${nameOf(call)} waited behind ${nameOf(last.call)} and ran before it`,
        );
      if (call.held && (last === undefined || at > last.at)) last = { call, at };
    }
  }
}

function isUnclear({ tool }: Call, ending: Ending): boolean {
  if (ending.kind !== 'error' || tool === undefined || REPEATABLE[tool] === true) return false;
  return MAY_HAVE_RUN.has(ending.reason ?? '') && typeof ending.mayHaveRun !== 'boolean';
}

// ——— what was acknowledged stays: `count` and `peek` ———

function checkCounts({ calls, lost }: Ledger, say: SayOf): void {
  const answered = calls.filter(
    ({ ending, tool }) => ending?.kind === 'result' && (tool === 'count' || tool === 'peek'),
  );
  for (const [session, of] of grouped(answered, (call) => call.session)) {
    const counts = of.filter(({ tool }) => tool === 'count');
    const seen = new Map<unknown, Call>();
    for (const count of counts) {
      const value = valueOf(count);
      const twin = seen.get(value);
      if (twin !== undefined)
        say(
          earlier(twin, count),
          `counted ${String(value)} twice: ${nameOf(twin)} and ${nameOf(count)}`,
        );
      seen.set(value, count);
    }
    for (const later of of) {
      for (const count of counts) {
        if (later === count || (count.ending?.at ?? Infinity) > later.attemptAt) continue;
        // A copy that holds what the store has forgotten finds out when it writes.
        if (later.tool === 'peek' && lost.some(({ sessions }) => sessions.has(session))) continue;
        const [had, has] = [valueOf(count), valueOf(later)];
        if (later.tool === 'count' ? has <= had : has < had)
          say(count, `went back: ${nameOf(later)} gave ${has} after ${nameOf(count)} gave ${had}`);
      }
    }
  }
}

function earlier(a: Call, b: Call): Call {
  return a.sentAt < b.sentAt ? a : b;
}

function valueOf({ ending }: Call): number {
  return ending?.kind === 'result' ? Number(ending.value) : NaN;
}

// ——— answers reach who asked ———

function checkAnswers({ calls }: Ledger, say: SayOf): void {
  for (const call of calls) {
    const { tool, ending, nonce } = call;
    if (ending?.kind !== 'result' || tool === undefined || tool === 'count' || tool === 'peek')
      continue;
    if (ending.value !== nonce)
      say(call, `got another's answer: ${nameOf(call)} ${JSON.stringify(ending.value)}`);
  }
}

/** A resume was refused, though retention drops nothing here. */
function isUnkept(ending: Ending): boolean {
  return (
    ending.kind === 'no-stream' || (ending.kind === 'error' && ending.reason === 'answer_not_kept')
  );
}
