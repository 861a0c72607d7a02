/**
 * Judges what only real processes can get wrong, beside what is judged of a simulated world too (`check` of
 * `test/simulation`): connections, the counter in `session.state` by what the servers were told, numbered messages.
 */
import { check, nameOf } from '../simulation/checker.ts';
import { type Call, grouped } from '../simulation/ledger.ts';
import type { Effects, Wrote } from './effects.ts';
import type { LiveWorld } from './live-world.ts';

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

type Say = (what: string) => void;

export function judge(world: LiveWorld, effects: Effects, circumstances: Circumstances): string[] {
  const { ledger } = world;
  const found: string[] = [];
  const say: Say = (what) => void found.push(what);
  ledger.ran.push(...effects.ran);
  checkBroken(world, circumstances, say);
  for (const { session, instance } of effects.trespassed)
    say(`was delivered to ${session} on ${instance}, and another user sent it`);
  checkWrites(effects.wrote, say);
  for (const { session, nonce, instance, value } of lateWrites(effects, circumstances.freezes))
    if (value !== undefined)
      say(`written by a frozen owner: session ${session}, ${nonce} on ${instance}`);
  const messages = messagesOf(world);
  checkProgress(world, messages, effects, say);
  checkPushes(world, messages, effects, circumstances, say);
  return [...found, ...check(ledger)];
}

/** Only instances that are struck break connections. */
function checkBroken({ broken }: LiveWorld, { absenceOf }: Circumstances, say: Say): void {
  for (const { at, what, instance } of broken)
    if (absenceOf(instance, at) === undefined)
      say(`broke without a reason: ${what} at ${at} to ${instance}`);
}

// ——— acknowledged writes stay: the counter in `session.state` ———

/** By what the servers were told: every number is given out once, and only upwards. */
function checkWrites(wrote: readonly Wrote[], say: Say): void {
  const accepted = wrote.filter(({ value }) => value !== undefined);
  for (const [session, of] of grouped(accepted, (write) => write.session)) {
    for (const [value, twins] of grouped(of, (write) => String(write.value)))
      if (twins.length > 1)
        say(
          `session ${session} wrote ${value} twice: ${twins.map(({ nonce, instance }) => `${nonce} on ${instance}`)}`,
        );
    // What was acknowledged before a write began is below it.
    let highest: Wrote | undefined;
    const ends = of.toSorted((a, b) => a.at - b.at);
    let done = 0;
    for (const one of of.toSorted((a, b) => a.from - b.from)) {
      for (let end = ends[done]; end !== undefined && end.at < one.from; end = ends[(done += 1)])
        if (highest === undefined || valueOf(end) > valueOf(highest)) highest = end;
      if (highest !== undefined && valueOf(one) < valueOf(highest))
        say(
          `a write is lost: session ${session}, ${one.nonce} wrote ${one.value} after ${highest.value}`,
        );
    }
  }
}

const valueOf = ({ value = 0 }: Wrote): number => value;

/**
 * What an owner that was frozen past its lease still tried to write when it woke, on sessions that another instance had
 * taken over by then: writes of tools that ran when their process was frozen.
 */
function lateWrites({ ran, wrote }: Effects, freezes: readonly Freeze[]): Wrote[] {
  const began = new Map(ran.map(({ run, at }) => [run, at]));
  const bySession = grouped(wrote, ({ session }) => session);
  return freezes.flatMap(({ start, from, until }) =>
    wrote.filter((write) => {
      if (write.instance !== start || write.from < until || (began.get(write.run) ?? until) >= from)
        return false;
      const others = (bySession.get(write.session) ?? []).filter((one) => one.instance !== start);
      return others.some(({ at, value }) => value !== undefined && at > from && at < write.from);
    }),
  );
}

// ——— numbered messages: in order, nothing twice, nothing missing ———

/** A notification as its client got it. */
interface Notification {
  readonly at: number;
  readonly session: string;
  /** The nonce of its call, or `GET`. */
  readonly reader: string;
  readonly method?: string;
  readonly params: Readonly<Record<string, unknown>>;
}

function messagesOf({ ledger }: LiveWorld): Notification[] {
  return ledger.received.flatMap(({ at, session, reader, data }) =>
    data === ''
      ? []
      : [{ at, session, reader, ...(JSON.parse(data) as Pick<Notification, 'method' | 'params'>) }],
  );
}

/** Of the slow tools. */
const STEPS = 5;

/** The progress of each run counts 1, 2, 3 …; the run that was answered came to its end. */
function checkProgress(
  world: LiveWorld,
  messages: readonly Notification[],
  { ran }: Effects,
  say: Say,
): void {
  const ofProgress = messages.filter(({ method }) => method === 'notifications/progress');
  const byRun = grouped(ofProgress, ({ params }) => String(params['message']));
  const calls = new Map(world.ledger.calls.map((call) => [call.nonce, call]));
  // The SDK of an official client hides what it gets.
  const raw = new Set(messages.map(({ session }) => session));
  const missing = (call: Call, what: string): void => {
    // Before, nothing is kept: what is said while an instance on the way has no lease is lost.
    if (isKept(world, call)) say(`missing: ${nameOf(call)}: ${what}`);
  };
  for (const [key, progress] of byRun) {
    const [nonce = '', run = ''] = key.split(' ');
    const call = calls.get(nonce);
    if (call === undefined) continue;
    const came = new Set<number>();
    let last = 0;
    for (const { reader, params } of progress) {
      const n = Number(params['progress']);
      // Progress that a handler sends behind its answer takes the GET stream: two streams have no order.
      const own = reader === nonce;
      if (came.has(n)) say(`came twice: ${nameOf(call)}: progress ${n} of ${run}`);
      else if (own && n < last)
        say(`out of order: ${nameOf(call)}: progress ${n} of ${run}, after ${last}`);
      came.add(n);
      if (own) last = Math.max(last, n);
    }
    for (let n = 1; n < last; n++)
      if (!came.has(n)) missing(call, `progress ${n} of ${run}, before ${last}`);
  }
  for (const { nonce, run, tool } of ran) {
    const call = calls.get(nonce);
    if (!tool.startsWith('slow') || call?.ending?.kind !== 'result' || call.ending.run !== run)
      continue;
    const came = byRun.get(`${nonce} ${run}`) ?? [];
    if (raw.has(call.session) && came.length < STEPS)
      missing(call, `progress ${came.length + 1} of ${run}`);
  }
}

/** Since 2025-11-25 what a session says is kept while no client reads. */
const isKept = ({ ledger }: LiveWorld, { session }: Pick<Call, 'session'>): boolean =>
  (ledger.sessions.get(session)?.version ?? '') >= '2025-11-25';

/**
 * A server numbers what it pushes: what came of it came in order, once, without a hole. What was pushed, and its call
 * answered, arrives; unless its instance was struck before it could be stored.
 */
function checkPushes(
  world: LiveWorld,
  messages: readonly Notification[],
  { ran }: Effects,
  { absenceOf }: Circumstances,
  say: Say,
): void {
  const { calls, sessions, received } = world.ledger;
  const pushes = messages.filter(({ method }) => method === 'notifications/resources/updated');
  const arrived = new Set<string>();
  const next = new Map<string, number>();
  for (const { session, params } of pushes) {
    const uri = String(params['uri']);
    const { server, n } = params['_meta'] as { server: string; n: number };
    const what = `session ${session}: ${uri}, push ${n} of ${server}`;
    if (arrived.has(uri)) say(`came twice: ${what}`);
    else {
      arrived.add(uri);
      const expected = next.get(server);
      if (expected !== undefined && n < expected) say(`out of order: ${what}, before ${expected}`);
      if (expected !== undefined && n > expected && isKept(world, { session }))
        say(`missing: ${what}, after ${expected - 1}`);
      next.set(server, Math.max(n + 1, expected ?? 0));
    }
  }
  const runs = new Map(ran.map((run) => [run.nonce, run]));
  const listensFrom = new Map<string, number>();
  for (const { session, reader, at } of received)
    if (reader === 'GET' && !listensFrom.has(session)) listensFrom.set(session, at);
  for (const call of calls) {
    const { tool, nonce, session, sentAt, ending } = call;
    if (
      tool !== 'push' ||
      ending?.kind !== 'result' ||
      arrived.has(`sim://${nonce}`) ||
      !isKept(world, call)
    )
      continue;
    if ((listensFrom.get(session) ?? Infinity) > sentAt) continue;
    if (sessions.get(session)?.deleteSentAt !== undefined) continue;
    const run = runs.get(nonce);
    if (run === undefined || absenceOf(run.instance, Infinity)?.kind !== 'killed')
      say(`missing: ${nameOf(call)}: what it pushed at ${run?.at} never came`);
  }
}
