import { cpus } from 'node:os';
import type { Connection } from './connection.ts';
import { machineBusyUs } from './machine.ts';
import type { QuietTime } from './quiet-time.ts';
import type { Runtime } from './runtimes.ts';
import { ServedWorkers } from './served-workers.ts';
import { type Summary, summarize } from './statistics.ts';
import { startStore, type StoreKind, type StoreServer } from './store-servers.ts';
import { formatTable } from './table.ts';
import {
  Calls,
  type WorkerConnection,
  type WorkerSession,
  isAnswer,
  openConnection,
  openSession,
} from './worker-sessions.ts';

export interface WorkersOptions {
  readonly rounds: number;
  readonly durationS: number;
  readonly connections: number;
  readonly foreignPercent: number;
  readonly quiet: QuietTime;
  /** Ids of comparisons; empty: all. */
  readonly only: readonly string[];
}

/** The result of one closed loop over some connections. */
interface Loop {
  readonly requestsPerS: number;
  readonly cpuUsPerRequest: number;
  /** CPU time of the store's server. */
  readonly storeCpuUsPerRequest: number;
  readonly p50Us: number;
  /** The share of the machine that other processes used. */
  readonly foreign: number;
}

export interface WorkersReport {
  readonly runtime: Runtime;
  readonly store: StoreKind;
  readonly rows: readonly WorkersRow[];
}

interface WorkersRow {
  readonly title: string;
  /** A side's figure by round. */
  readonly sides: readonly { readonly title: string; readonly values: Summary }[];
  readonly unit: string;
  readonly result: Summary;
  readonly as: 'times' | 'percent' | 'µs';
  readonly goal: { readonly atLeast: number } | { readonly atMost: number } | undefined;
  readonly foreign: number;
}

/** Which session the n-th request of a connection goes to. */
type Pick = (connection: number, request: number) => WorkerSession;

const answerMsMost = 20_000;
const attempts = 3;
const burstsTried = 100;

/**
 * The design goal for the extra CPU of a worker that does not have the session, by store. PostgreSQL's figure is only
 * printed.
 */
const RELAY_US: Readonly<Record<StoreKind, (nodeMajor: number) => number | undefined>> = {
  sqlite: () => 150,
  redis: (major) => (major >= 24 ? 150 : 300),
  postgres: () => undefined,
};
const SPREAD_LEAST: Readonly<Record<StoreKind, number | undefined>> = {
  sqlite: 0.55,
  redis: 0.45,
  postgres: undefined,
};

/** Measures one worker and two, both running. Sides take turns, round by round. */
export async function measureWorkers(
  runtime: Runtime,
  store: StoreKind,
  options: WorkersOptions,
): Promise<WorkersReport> {
  const server = await startStore(store);
  try {
    return { runtime, store, rows: await measureOn(server, runtime, store, options) };
  } finally {
    await server.close();
  }
}

async function measureOn(
  server: StoreServer,
  runtime: Runtime,
  store: StoreKind,
  options: WorkersOptions,
): Promise<WorkersRow[]> {
  const relayUs = RELAY_US[store](Number.parseInt(runtime.version, 10));
  const spreadLeast = SPREAD_LEAST[store];
  const one = await Crowd.open(runtime, 1, server, options);
  try {
    const two = await Crowd.open(runtime, 2, server, options);
    try {
      const comparisons: Comparing[] = [
        {
          id: 'burn',
          title: 'a tool that burns 200 µs',
          of: ['2 workers', () => two.run(two.sticky, 'burn')],
          against: ['1 worker', () => one.run(one.sticky, 'burn')],
          figure: 'requestsPerS',
          as: 'times',
          goal: { atLeast: 1.6 },
        },
        {
          id: 'cpu',
          title: 'echo, repeatable: CPU per call',
          of: ['2 workers', () => two.run(two.sticky, 'look')],
          against: ['1 worker', () => one.run(one.sticky, 'look')],
          figure: 'cpuUsPerRequest',
          as: 'percent',
          goal: { atMost: 1.15 },
        },
        {
          id: 'marker',
          title: 'echo, not repeatable (a marker each): CPU per call',
          of: ['2 workers', () => two.run(two.sticky, 'echo')],
          against: ['1 worker', () => one.run(one.sticky, 'echo')],
          figure: 'cpuUsPerRequest',
          as: 'percent',
          goal: { atMost: 1.15 },
        },
        {
          id: 'relay',
          title: 'echo on one connection: p50',
          of: ['at the wrong worker', () => two.run(two.wrong, 'look', 1)],
          against: ['at the right one', () => two.run(two.sticky, 'look', 1)],
          figure: 'p50Us',
          as: 'µs',
          goal: relayUs === undefined ? undefined : { atMost: relayUs },
        },
        {
          id: 'spread',
          title: 'echo over both workers',
          of: ['round robin', () => two.run(two.roundRobin, 'look')],
          against: ['sticky', () => two.run(two.sticky, 'look')],
          figure: 'requestsPerS',
          as: 'percent',
          goal: spreadLeast === undefined ? undefined : { atLeast: spreadLeast },
        },
        {
          id: 'spread-store',
          title: "the same: the store's CPU per call",
          of: ['round robin', () => two.run(two.roundRobin, 'look')],
          against: ['sticky', () => two.run(two.sticky, 'look')],
          figure: 'storeCpuUsPerRequest',
          as: 'µs',
        },
        {
          id: 'spread-cpu',
          title: 'the same: CPU per call',
          of: ['round robin', () => two.run(two.roundRobin, 'look')],
          against: ['sticky', () => two.run(two.sticky, 'look')],
          figure: 'cpuUsPerRequest',
          as: 'times',
        },
      ];
      const rows = [];
      for (const comparison of comparisons) {
        if (options.only.length === 0 || options.only.includes(comparison.id))
          rows.push(await compare(options, comparison));
      }
      return rows;
    } finally {
      await two.close();
    }
  } finally {
    await one.close();
  }
}

interface Comparing {
  readonly id: string;
  readonly title: string;
  readonly of: readonly [title: string, run: () => Promise<Loop>];
  readonly against: readonly [title: string, run: () => Promise<Loop>];
  readonly figure: 'requestsPerS' | 'cpuUsPerRequest' | 'storeCpuUsPerRequest' | 'p50Us';
  readonly as: WorkersRow['as'];
  readonly goal?: WorkersRow['goal'];
}

async function compare(
  options: WorkersOptions,
  { title, of, against, figure, as, goal }: Comparing,
): Promise<WorkersRow> {
  const sides = [of, against].map(([name, run]) => ({ name, run, loops: [] as Loop[] }));
  for (let round = 0; round <= options.rounds; round++) {
    const inTurn = round % 2 === 0 ? sides : sides.toReversed();
    for (const side of inTurn) {
      const loop = await quietly(options, side.run);
      // The first round warms up.
      if (round > 0) side.loops.push(loop);
    }
  }
  const figures = sides.map(({ loops }) => loops.map((loop) => loop[figure]));
  const [ofFigures = [], againstFigures = []] = figures;
  const results = ofFigures.map((value, round) => {
    const other = againstFigures[round] ?? Number.NaN;
    return as === 'µs' ? value - other : value / other;
  });
  return {
    title,
    sides: sides.map(({ name }, side) => ({ title: name, values: summarize(figures[side] ?? []) })),
    unit: { requestsPerS: 'requests/s', cpuUsPerRequest: 'CPU µs', storeCpuUsPerRequest: 'CPU µs', p50Us: 'p50 µs' }[
      figure
    ],
    result: summarize(results),
    as,
    goal,
    foreign: Math.max(...sides.flatMap(({ loops }) => loops.map(({ foreign }) => foreign))),
  };
}

/** Repeats a disturbed measurement; the quietest attempt counts. */
async function quietly({ quiet, foreignPercent }: WorkersOptions, run: () => Promise<Loop>): Promise<Loop> {
  const most = foreignPercent / 100;
  let best: Loop | undefined;
  for (let attempt = 0; attempt < attempts; attempt++) {
    await quiet.wait(most);
    const loop = await run();
    if (best === undefined || loop.foreign < best.foreign) best = loop;
    if (best.foreign <= most) break;
  }
  if (best === undefined) throw new Error('no attempt was made');
  return best;
}

/** Workers, with as many sessions at each, one for each connection of a run. */
class Crowd {
  readonly #served: ServedWorkers;
  readonly #sessions: readonly WorkerSession[];
  readonly #store: StoreServer;
  readonly #options: WorkersOptions;

  private constructor(
    served: ServedWorkers,
    sessions: readonly WorkerSession[],
    store: StoreServer,
    options: WorkersOptions,
  ) {
    this.#store = store;
    this.#served = served;
    this.#sessions = sessions;
    this.#options = options;
  }

  static async open(runtime: Runtime, workers: number, store: StoreServer, options: WorkersOptions): Promise<Crowd> {
    const served = await ServedWorkers.start(runtime, workers, store.url);
    try {
      const connections = await evenly(served, options.connections);
      const sessions = [];
      for (const connection of connections) sessions.push(await openSession(connection));
      close(connections);
      return new Crowd(served, sessions, store, options);
    } catch (error) {
      await served.stop();
      throw error;
    }
  }

  readonly sticky: Pick = (connection) => this.#session(connection);
  /** Sessions with neighbouring numbers are at different workers. */
  readonly wrong: Pick = (connection) => this.#session(connection + 1);
  readonly roundRobin: Pick = (connection, request) => this.#session(connection + (request % 2));

  /**
   * Each connection sends its next call when the previous call is answered. The server may have closed it between two
   * runs.
   */
  async run(pick: Pick, tool: string, count = this.#sessions.length): Promise<Loop> {
    const connections = await evenly(this.#served, this.#sessions.length);
    try {
      const known = new Set(this.#sessions.map(({ instance }) => instance));
      if (connections.some(({ instance }) => !known.has(instance))) throw new Error('a worker lost its lease');
      return await this.#load(connections.slice(0, count), pick, tool);
    } finally {
      close(connections);
    }
  }

  async #load(connections: readonly WorkerConnection[], pick: Pick, tool: string): Promise<Loop> {
    const { durationS } = this.#options;
    const latencies: number[] = [];
    const wallBefore = performance.now();
    const busyBefore = machineBusyUs();
    const harnessBefore = process.cpuUsage();
    const storeBefore = this.#store.cpuUs();
    const cpuBefore = this.#served.cpuUs();
    const until = wallBefore + durationS * 1000;
    const loops = connections.map(async ({ connection }, index) => {
      const calls = [0, 1].map((request) => new Calls(pick(index, request), tool, index));
      return callUntil(connection, calls, until, latencies);
    });
    const late = setTimeout(
      () => {
        for (const { connection } of connections) connection.abort(new Error('no answer'));
      },
      durationS * 1000 + answerMsMost,
    );
    await Promise.all(loops).finally(() => clearTimeout(late));
    const wallUs = (performance.now() - wallBefore) * 1000;
    const cpuUs = this.#served.cpuUs() - cpuBefore;
    const storeUs = this.#store.cpuUs() - storeBefore;
    const harness = process.cpuUsage(harnessBefore);
    const foreignUs = machineBusyUs() - busyBefore - cpuUs - storeUs - harness.user - harness.system;
    return {
      requestsPerS: (latencies.length * 1e6) / wallUs,
      cpuUsPerRequest: cpuUs / latencies.length,
      storeCpuUsPerRequest: storeUs / latencies.length,
      p50Us: summarize(latencies).median * 1000,
      foreign: Math.max(0, foreignUs / (wallUs * cpus().length)),
    };
  }

  async close(): Promise<void> {
    await this.#served.stop();
  }

  #session(index: number): WorkerSession {
    const session = this.#sessions[index % this.#sessions.length];
    if (session === undefined) throw new Error('no session was opened');
    return session;
  }
}

function close(connections: readonly WorkerConnection[]): void {
  for (const { connection } of connections) connection.close();
}

/** Sends calls one after the other, to the sessions in turn. */
function callUntil(connection: Connection, calls: readonly Calls[], until: number, latencies: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let turn = 0;
    const go = (): void => {
      const before = performance.now();
      if (before >= until) return resolve();
      const next = calls[turn++ % calls.length];
      if (next === undefined) return resolve();
      connection.write(next.next(), {
        answered: (answer) => {
          if (!isAnswer(answer)) return reject(new Error(`answered with ${answer}`));
          latencies.push(performance.now() - before);
          go();
        },
        failed: reject,
      });
    };
    go();
  });
}

/** The faster worker accepts a connection. So connections are opened until every worker has its share. */
async function evenly(served: ServedWorkers, count: number): Promise<WorkerConnection[]> {
  const byInstance = new Map<string, WorkerConnection[]>();
  const share = Math.ceil(count / served.workers);
  const enough = (): boolean =>
    byInstance.size === served.workers && [...byInstance.values()].every(({ length }) => length >= share);
  for (let tried = 0; !enough(); tried++) {
    if (tried === burstsTried) throw new Error('one worker accepts every connection');
    // Open many at once: while one worker accepts, the other wakes up.
    const burst = await Promise.all(Array.from({ length: count }, () => openConnection(served.port)));
    for (const opened of burst) {
      const own = byInstance.get(opened.instance) ?? [];
      byInstance.set(opened.instance, own);
      if (own.length < share) own.push(opened);
      else opened.connection.close();
    }
  }
  // Sorted, so that connection and session of one number are at the same worker.
  const shares = [...byInstance.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, own]) => own);
  return Array.from({ length: share }, (_, index) => shares.flatMap((own) => own.slice(index, index + 1))).flat();
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');

export function formatWorkers({ runtime, store, rows }: WorkersReport): string {
  const lines = rows.map(({ title, sides, unit, result, as, goal, foreign }) => {
    const shown = (value: number): string =>
      as === 'times'
        ? `${value.toFixed(2)}×`
        : as === 'µs'
          ? `${value.toFixed(0)} µs`
          : `${(value * 100).toFixed(0)} %`;
    const least = goal !== undefined && 'atLeast' in goal ? goal.atLeast : undefined;
    const most = goal !== undefined && 'atMost' in goal ? goal.atMost : undefined;
    const reached = result.median >= (least ?? -Infinity) && result.median <= (most ?? Infinity);
    const bound = least !== undefined ? `≥ ${shown(least)}` : most !== undefined ? `≤ ${shown(most)}` : undefined;
    return [
      title,
      ...sides.map(({ title: side, values }) => `${side} ${whole(values.median)}`),
      unit,
      shown(result.median),
      `(${shown(result.least)} to ${shown(result.most)})`,
      bound === undefined ? '' : `${reached ? 'reached' : 'missed'}: ${bound}`,
      `others ${(foreign * 100).toFixed(0)} %`,
    ];
  });
  return `Workers on ${store} · Node ${runtime.version}\n\n${formatTable(lines)}`;
}
