/**
 * What users of official clients see while the store, or the process that serves them, is away for less than `waitMs`:
 * no call fails, none times out, none runs twice, and the longest waits as long as the outage.
 *
 * One instance alone and three behind the load balancer are two deployments. At the pace `after-answer` they run one
 * after the other. At the pace `steady` they run at once on one store: each outage of the store is an outage of both.
 */
import { type BackingStore, openBackingStore, type Outage, type StoreKind } from '../backing-store.ts';
import { type Language, OtherPrograms } from '../clients/other-actor.ts';
import {
  type Called,
  type CallPace,
  type PacedCallers,
  type PaceName,
  startCallers,
  startOthers,
} from '../clients/paced-callers.ts';
import { Deployment } from '../deployment.ts';
import { readEffects } from '../effects.ts';
import { openFailOverStore } from '../fail-overs.ts';
import { type Found, History, now, type Violation, VIOLATIONS } from '../history.ts';
import { pause } from '../pause.ts';
import type { OthersReport, PatienceReport, PatienceRow, Seen } from '../report.ts';
import { machineNow, quantiles } from '../report.ts';

export interface PatienceOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  /** Of each kind of outage, in ms. */
  readonly awayMs?: readonly number[];
  /** The kinds of outages; every kind of this store when left out. */
  readonly blows?: readonly Blow[];
  /** How many instances each deployment has. */
  readonly shapes?: readonly (1 | 3)[];
  /** Whether a replica takes over. */
  readonly more?: boolean;
  /** Of each client. */
  readonly pace: CallPace;
  /** Further arguments of `sojourn serve`. */
  readonly args?: readonly string[];
  readonly logs?: string | undefined;
  readonly progress?: ((text: string) => void) | undefined;
  /** Starts the clients of one outage. Official clients when left out. */
  readonly callers?: StartCallers;
}

/** `name` is part of their nonces. */
type StartCallers = (url: string, name: string, pace: CallPace) => Promise<PacedCallers>;

const AWAY_MS = [300, 1_000, 2_000, 3_000, 5_000, 10_000];
const SHAPES = [1, 3] as const;
/** Of each deployment. */
const CLIENTS = 6;
const PAUSE_MS: Readonly<Record<PaceName, number>> = { 'after-answer': 20, steady: 40 };
const WARM_UP_MS = 300;
const DRAIN_MS = 5_000;
/** Calls go on for so long after the outage. */
const AFTER_MS = 500;
/** The default of `retryMs`. */
const RETRY_MS = 4_000;

export type Blow = Outage | 'process';

const TITLES: Readonly<Record<Blow, string>> = {
  killed: 'the store killed and started',
  stopped: 'the store restarted',
  frozen: 'the store frozen',
  process: 'the serving process frozen (SIGSTOP)',
};
const LOCKED = 'the file locked by another process';

/** The deployments that an outage strikes at once. */
type Fleet = readonly Deployment[];

interface Strike {
  readonly title: string;
  /** As planned; undefined: as long as a fail-over takes. */
  readonly ms?: number;
  /**
   * An instance is frozen. With others beside it, they take its sessions over as after a crash: of what ran there and
   * must not run twice no client can tell the outcome.
   */
  readonly freezes?: boolean;
  strike(fleet: Fleet): Promise<void>;
}

export const paceOf = (name: PaceName): CallPace => ({ name, pauseMs: PAUSE_MS[name] });

export async function runPatience(options: PatienceOptions): Promise<PatienceReport> {
  const { kind, seed, leaseMs, pace, more = true, awayMs = AWAY_MS } = options;
  const started = now();
  const history = new History();
  const blows = options.blows ?? (kind === 'sqlite' ? ['frozen', 'process'] : ['stopped', 'frozen', 'process']);
  const { shapes: all = SHAPES } = options;
  const rows: PatienceRow[] = [];
  let how = '';
  const apart = pace.name === 'after-answer';
  for (const shapes of apart ? all.map((shape) => [shape]) : [all]) {
    const store = await openBackingStore(kind, 4);
    how = store.how;
    const strikes = blows.flatMap((blow) => awayMs.map((ms) => strikeOf(blow, ms, store)));
    rows.push(...(await underStrikes(store, strikes, history, { ...options, shapes })));
    if (!more || (kind !== 'redis' && kind !== 'postgres')) continue;
    const pair = await openFailOverStore(kind);
    const failOver = { title: pair.title, strike: () => pair.failOver() };
    rows.push(...(await underStrikes(pair, [failOver], history, { ...options, shapes })));
  }
  const common = commonOf({ store: { kind, how }, seed, leaseMs, started, rows });
  return {
    scenario: 'patience',
    pace: pace.name,
    ...common,
    clients: (apart ? 1 : all.length) * CLIENTS,
    sessions: rows.length * CLIENTS,
    ...violationsOf(history, rows),
    rows,
  };
}

/** The same outages of the store with clients in other languages, and one instance. */
export async function runOthers(
  options: PatienceOptions & { readonly languages: readonly Language[] },
): Promise<OthersReport> {
  const { kind, seed, leaseMs, languages, awayMs = AWAY_MS } = options;
  const started = now();
  const machine = machineNow();
  const history = new History();
  const blows = options.blows ?? (kind === 'sqlite' ? ['frozen'] : ['stopped', 'frozen']);
  const programs = await OtherPrograms.start(languages);
  try {
    const { kinds } = programs;
    const store = await openBackingStore(kind, 1);
    const strikes = blows.flatMap((blow) => awayMs.map((ms) => strikeOf(blow, ms, store)));
    const callers: StartCallers = (url, name, pace) => startOthers(url, name, kinds, pace);
    const rows = await underStrikes(store, strikes, history, { ...options, shapes: [1], callers });
    return {
      scenario: 'others',
      ...commonOf({ store, seed, leaseMs, started, rows }),
      clients: kinds.length,
      sessions: rows.length * kinds.length,
      ...violationsOf(history, rows),
      machine,
      rows,
    };
  } finally {
    await programs.close();
  }
}

interface Run {
  readonly store: Pick<BackingStore, 'kind' | 'how'>;
  readonly seed: number;
  readonly leaseMs: number;
  readonly started: number;
  readonly rows: readonly PatienceRow[];
}

function commonOf({ store, seed, leaseMs, started, rows }: Run) {
  const calls = rows.reduce((sum, row) => sum + row.calls, 0);
  const nothing = { resumes: 0, endings: {}, refusals: {}, events: [], notes: {}, log: {} };
  const seconds = (now() - started) / 1000;
  const run = { store: store.kind, how: store.how, seed, leaseMs, seconds, node: process.version };
  return { ...run, requests: calls, calls, ...nothing };
}

function strikeOf(blow: Blow, ms: number, store: BackingStore): Strike {
  const title = blow === 'frozen' && store.kind === 'sqlite' ? LOCKED : TITLES[blow];
  return {
    title,
    ms,
    freezes: blow === 'process',
    async strike(fleet) {
      if (blow !== 'process') return store.away(ms, blow);
      const first = fleet.flatMap(({ instances }) => instances.slice(0, 1));
      for (const instance of first) instance.freeze();
      await pause(ms);
      for (const instance of first) instance.thaw();
    },
  };
}

/** Serves from `store`, strikes it, and closes it. */
async function underStrikes(
  store: BackingStore,
  strikes: readonly Strike[],
  history: History,
  options: PatienceOptions,
): Promise<PatienceRow[]> {
  const rows: PatienceRow[] = [];
  const fleet: Deployment[] = [];
  try {
    for (const instances of options.shapes ?? SHAPES) {
      const shared = { store, firstLink: instances === 1 ? 0 : 1, name: instances === 1 ? 'alone' : 'three' };
      const of = { ...options, drainMs: DRAIN_MS, retryMs: RETRY_MS };
      fleet.push(await Deployment.open({ ...of, history, instances, shared }));
    }
    for (const [n, strike] of strikes.entries()) rows.push(...(await outage(fleet, n, strike, options)));
  } finally {
    for (const deployment of fleet) await deployment.close();
    await store.close();
  }
  return rows;
}

async function outage(
  fleet: Fleet,
  n: number,
  strike: Strike,
  { kind, pace, progress = () => {}, callers: start = startOfficial }: PatienceOptions,
): Promise<PatienceRow[]> {
  const { title, ms } = strike;
  progress(`${kind}, ${title}${ms === undefined ? '' : ` for ${ms} ms`}`);
  const callers: PacedCallers[] = [];
  for (const { instances, proxy } of fleet) {
    const url = instances.length === 1 ? (instances[0]?.url ?? '') : proxy.url;
    callers.push(await start(url, `p${instances.length}-${n}`, pace));
  }
  await pause(WARM_UP_MS);
  const from = now();
  await strike.strike(fleet);
  // A server takes its time to start and to stop: its clients cannot know that it is to come back.
  const awayMs = now() - from;
  await pause(AFTER_MS);
  const all = await Promise.all(callers.map((some) => some.stop()));
  return fleet.map((deployment, at) => rowOf(deployment, strike, { from, awayMs, calls: all[at] ?? [] }));
}

const startOfficial: StartCallers = (url, name, pace) => startCallers(url, name, CLIENTS, pace);

interface Outcome {
  readonly from: number;
  readonly awayMs: number;
  readonly calls: readonly Called[];
}

function rowOf(
  { instances, effects }: Deployment,
  { title, ms, freezes = false }: Strike,
  { from, awayMs, calls }: Outcome,
): PatienceRow {
  const takenOver = freezes && instances.length > 1;
  const ran = new Map<string, number>();
  for (const { nonce } of readEffects(effects).ran) ran.set(nonce, (ran.get(nonce) ?? 0) + 1);
  const isLost = (call: Called): boolean =>
    call.error !== undefined && takenOver && call.effect && /may have run/.test(call.error);
  const isUnderWay = ({ sentAt, endedAt }: Called): boolean => sentAt < from + awayMs && endedAt > from;
  const seen = (some: readonly Called[]): Seen => {
    const errors = some.flatMap((one) =>
      one.error === undefined || isLost(one) ? [] : [`${one.nonce}: ${one.error}`],
    );
    const timedOut = errors.filter((text) => /timed out/i.test(text)).length;
    return {
      calls: some.length,
      failed: errors.length - timedOut,
      timedOut,
      lost: some.filter(isLost).length,
      twice: some.filter(({ effect, nonce }) => effect && (ran.get(nonce) ?? 0) > 1).length,
      waited: quantiles(some.filter(isUnderWay).map((one) => one.endedAt - one.sentAt)),
      errors: [...new Set(errors)].slice(0, 10),
    };
  };
  const titles = [...new Set(calls.flatMap(({ title }) => title ?? []))];
  return {
    instances: instances.length === 1 ? 1 : 3,
    title,
    ...(ms !== undefined && { ms }),
    awayMs,
    ...seen(calls),
    ...(titles.length > 0 && {
      byClient: Object.fromEntries(titles.map((one) => [one, seen(calls.filter((call) => call.title === one))])),
    }),
  };
}

function violationsOf(history: History, rows: readonly PatienceRow[]): Pick<PatienceReport, 'violations' | 'found'> {
  const found: Found[] = [...history.found];
  const violations = Object.fromEntries(
    Object.keys(VIOLATIONS).map((name) => [name, history.violations(name as Violation)]),
  ) as Record<Violation, number>;
  for (const { title, instances, ms = 0, failed, timedOut, twice, errors } of rows) {
    violations.failed += failed;
    violations.hung += timedOut;
    violations.double += twice;
    for (const what of errors)
      found.push({ violation: 'failed', at: 0, what: `${instances} × ${title}, ${ms} ms: ${what}` });
  }
  return { violations, found };
}
