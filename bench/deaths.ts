/**
 * How long clients wait after the death of their session's owner. Of three instances the owner of all sessions is
 * killed or frozen while calls run through the other two.
 */
import type { Connection } from './connection.ts';
import { keep } from './kept.ts';
import type { QuietTime } from './quiet-time.ts';
import type { Runtime } from './runtimes.ts';
import { ServedWorkers } from './served-workers.ts';
import { percentile } from './statistics.ts';
import { startStore, type StoreKind } from './store-servers.ts';
import { formatTable } from './table.ts';
import { Calls, type WorkerSession, isAnswer, openConnection, openSession } from './worker-sessions.ts';

export interface DeathsOptions {
  /** Deaths of each kind. Freezes take longer, so there are a tenth as many. */
  readonly rounds: number;
  /** Sessions of the owner that dies, and connections of their clients. */
  readonly connections: number;
  readonly foreignPercent: number;
  readonly quiet: QuietTime;
}

export interface DeathsReport {
  readonly runtime: Runtime;
  readonly store: StoreKind;
  readonly sessions: number;
  readonly rows: readonly DeathsRow[];
}

interface DeathsRow {
  readonly title: string;
  readonly deaths: number;
  readonly ms: readonly number[];
  readonly goal: { readonly p50?: number; readonly p99: number };
}

interface Kind {
  readonly title: string;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
  /**
   * The tool that each session's client has called when its owner dies; `undefined`: it calls `after` at that moment.
   */
  readonly before: string | undefined;
  readonly after: string;
  /** One of this many deaths is of this kind. */
  readonly oneIn: number;
  readonly goal: DeathsRow['goal'];
}

/** The default. The sessions of a frozen owner cannot be claimed before its lease expires. */
const LEASE_MS = 3_000;
const FROZEN = { p99: LEASE_MS + 250 };

const KINDS: readonly Kind[] = [
  {
    title: 'killed: to the next answer',
    signal: 'SIGKILL',
    before: undefined,
    after: 'echo',
    oneIn: 1,
    goal: { p50: 40, p99: 150 },
  },
  {
    title: 'killed: until a call in flight has run again',
    signal: 'SIGKILL',
    before: 'await-look',
    after: '',
    oneIn: 1,
    goal: { p99: 250 },
  },
  {
    title: 'killed: until a call that may not run again gets its error',
    signal: 'SIGKILL',
    before: 'await',
    after: '',
    oneIn: 1,
    goal: { p99: 250 },
  },
  {
    title: 'frozen: to the next answer',
    signal: 'SIGSTOP',
    before: undefined,
    after: 'echo',
    oneIn: 10,
    goal: FROZEN,
  },
  {
    title: 'frozen: until a call in flight has run again',
    signal: 'SIGSTOP',
    before: 'await-look',
    after: '',
    oneIn: 10,
    goal: FROZEN,
  },
];

/** A random part, so that deaths do not coincide with the instances' timers. */
const settleMs = (): number => 300 + 200 * Math.random();
const ANSWER_MS_MOST = 30_000;

interface Client {
  readonly session: WorkerSession;
  readonly connection: Connection;
  readonly number: number;
}

export async function measureDeaths(
  runtime: Runtime,
  store: StoreKind,
  options: DeathsOptions,
  progress: (text: string) => void,
): Promise<DeathsReport> {
  const server = await startStore(store);
  const alive: ServedWorkers[] = [];
  const start = () => ServedWorkers.start(runtime, 1, server.url);
  try {
    alive.push(await start(), await start());
    const found = new Map(KINDS.map((kind) => [kind, { deaths: 0, ms: [] as number[] }]));
    // The first round warms up.
    for (let round = 0; round <= options.rounds; round++) {
      for (const kind of KINDS) {
        if (round % kind.oneIn !== 0 && round > 1) continue;
        progress(`${store}, ${kind.title}, ${String(round)} of ${String(options.rounds)}`);
        await options.quiet.wait(options.foreignPercent / 100);
        const owner = await start();
        const ms = await dieOnce(owner, alive, kind, options.connections);
        const row = found.get(kind);
        if (round === 0 || row === undefined) continue;
        row.deaths += 1;
        row.ms.push(...ms);
      }
    }
    const rows = [...found].map(([{ title, goal }, { deaths, ms }]) => ({ title, goal, deaths, ms }));
    return { runtime, store, sessions: options.connections, rows };
  } finally {
    await Promise.all(alive.map((served) => served.stop()));
    await server.close();
  }
}

/** Opens sessions at `owner`, calls tools in them through the other instances, and ends the owner. */
async function dieOnce(
  owner: ServedWorkers,
  others: readonly ServedWorkers[],
  kind: Kind,
  count: number,
): Promise<number[]> {
  const clients: Client[] = [];
  try {
    const near = await openConnection(owner.port);
    for (let number = 0; number < count; number++) {
      const other = others[number % others.length];
      if (other === undefined) throw new Error('no other instance is alive');
      const session = await openSession(near);
      clients.push({ session, number, connection: (await openConnection(other.port)).connection });
    }
    near.connection.close();
    for (const client of clients) await called(client, 'echo');
    const waiting = kind.before === undefined ? [] : clients.map((client) => ended(client, kind.before ?? ''));
    await pause(settleMs());
    const died = performance.now();
    if (kind.signal === 'SIGKILL') await owner.kill();
    else owner.freeze();
    const gone = kind.signal === 'SIGKILL' ? performance.now() : died;
    const answers = kind.before === undefined ? clients.map((client) => called(client, kind.after)) : waiting;
    return (await Promise.all(answers)).map((at) => at - gone);
  } finally {
    for (const { connection } of clients) connection.close();
    await owner.kill();
  }
}

/** Resolves with the time of the answer. */
async function called(client: Client, tool: string): Promise<number> {
  const answer = await said(client, tool);
  if (!isAnswer(answer)) throw new Error(`answered with ${answer}`);
  return performance.now();
}

async function ended(client: Client, tool: string): Promise<number> {
  const answer = await said(client, tool);
  if (!isAnswer(answer) && !answer.includes('"owner_lost"')) throw new Error(`ended with ${answer}`);
  return performance.now();
}

function said({ session, connection, number }: Client, tool: string): Promise<string> {
  const calls = new Calls(session, tool, number);
  return new Promise<string>((answered, failed) => {
    const late = setTimeout(() => connection.abort(new Error('no answer')), ANSWER_MS_MOST);
    late.unref();
    connection.write(calls.next(), { answered, failed });
  });
}

const pause = (ms: number): Promise<void> => new Promise((done) => void setTimeout(done, ms));

export function keepDeaths({ runtime, store, rows }: DeathsReport): void {
  const [next] = rows;
  const sorted = next?.ms.toSorted((a, b) => a - b) ?? [];
  const bars = [
    { label: 'p50', value: percentile(sorted, 0.5) },
    { label: 'p99', value: percentile(sorted, 0.99) },
  ];
  keep('deaths', { title: `${store}, Node ${String(runtime.major)}`, bars });
}

export function formatDeaths({ runtime, store, sessions, rows }: DeathsReport): string {
  const lines = rows.map(({ title, deaths, ms, goal }) => {
    const sorted = ms.toSorted((a, b) => a - b);
    const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
    const reached = p50 <= (goal.p50 ?? Infinity) && p99 <= goal.p99;
    const asked =
      goal.p50 === undefined ? `p99 ≤ ${whole(goal.p99)}` : `p50 ≤ ${whole(goal.p50)}, p99 ≤ ${whole(goal.p99)}`;
    return [
      title,
      `${String(deaths)} times`,
      `p50 ${whole(p50)} ms`,
      `p99 ${whole(p99)} ms`,
      `longest ${whole(sorted.at(-1) ?? Number.NaN)} ms`,
      `${reached ? 'reached' : 'missed'}: ${asked}`,
    ];
  });
  return `Owners of ${String(sessions)} sessions on ${store} · Node ${runtime.version}\n\n${formatTable(lines)}`;
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
