/** What a request costs as something grows: the works of `--only limit` and others (`CURVES`). */
import { type Load, LoadClient } from './load.ts';
import { summarize } from './report.ts';
import {
  handleOpens,
  initializeLoad,
  openSessions,
  openUsers,
  sessionLists,
  taskReads,
  taskStarts,
  toolCalls,
} from './requests.ts';
import { openStore, warmUp } from './rounds.ts';
import { type Node, ServerProcess } from './server-process.ts';
import { formatTable } from '../src/cli/prove/table.ts';
import { curveSides, type Side, type StoreKind } from './works.ts';

interface Curve {
  readonly grows: string;
  readonly sizes: readonly number[];
  /** Its server is another one at each size. */
  readonly settings?: (size: number) => { options?: object; env?: Record<string, string> };
  readonly grow?: (port: number, from: number, to: number) => Promise<void>;
  readonly requests: Readonly<Record<string, (port: number) => Promise<Load> | Load>>;
}

const LEGACY = '2025-06-18';
const AT_ONCE = 16;
const GROW_MS = 50;
/** Of one kind of request at one size. */
const [SLICES, SLICE_MS] = [20, 50];

const MANY = 10_000_000;
const NO_LIMITS = {
  tasks: true,
  maxIdleSessionCount: MANY,
  limits: {
    sessions: MANY,
    anonymousHandles: MANY,
    anonymousTasks: MANY,
    runningTasks: MANY,
    memoryBytes: Infinity,
    userShare: 1,
    perUser: { sessions: MANY, handles: MANY, tasks: MANY, keptBytes: MANY * 1_000 },
  },
};

/** Sends so many requests of a kind, or a few more. */
const repeated =
  (of: (port: number) => Promise<Load> | Load) =>
  async (port: number, from: number, to: number): Promise<void> => {
    const client = new LoadClient(await of(port), AT_ONCE);
    for (let sent = from; sent < to;) sent += (await client.run(GROW_MS)).length;
    client.close();
  };

const echo = (port: number): Promise<Load> => toolCalls(port, 'echo', { text: 'hello' });
const initialize = (port: number): Load => initializeLoad(port, LEGACY);
const one = 'one user';

export const CURVES: Readonly<Record<string, Curve>> = {
  limit: {
    grows: 'limits.perUser.sessions (0: none), with as many sessions of the user',
    sizes: [0, 100, 1_000, 10_000],
    settings: (size) => ({
      options: { limits: { ...NO_LIMITS.limits, perUser: { sessions: size || MANY } } },
    }),
    grow: (port, from, to) => openSessions(port, to - from),
    requests: { initialize },
  },
  'many-sessions': {
    grows: 'sessions',
    sizes: [1_000, 10_000, 60_000],
    grow: repeated(initialize),
    requests: { call: echo, initialize },
  },
  users: {
    grows: 'users with a session',
    sizes: [1_000, 10_000],
    grow: openUsers,
    requests: { call: echo, initialize: (port) => initializeLoad(port, LEGACY, one) },
  },
  tools: {
    grows: 'tools of one server object',
    sizes: [1, 10, 100, 1_000],
    settings: (size) => ({ env: { BENCH_TOOLS: String(size) } }),
    requests: { call: echo, initialize, 'tools/list': (port) => sessionLists(port, LEGACY) },
  },
  log: {
    grows: 'calls in the event log',
    sizes: [1, 20_000, 80_000],
    grow: repeated(echo),
    requests: { call: echo },
  },
  tasks: {
    grows: 'tasks',
    sizes: [1_000, 10_000, 40_000],
    grow: repeated(taskStarts),
    requests: { start: taskStarts, 'tasks/get': taskReads },
  },
  handles: {
    grows: 'handles',
    sizes: [1_000, 10_000, 60_000],
    grow: repeated((port) => toolCalls(port, 'make')),
    requests: { make: (port) => toolCalls(port, 'make'), open: handleOpens },
  },
  'own-handles': {
    grows: 'handles of one user',
    sizes: [100, 1_000, 5_000],
    grow: repeated((port) => toolCalls(port, 'make', {}, one)),
    requests: {
      open: handleOpens,
      'listHandles()': (port) => toolCalls(port, 'list', {}, one),
    },
  },
  keys: {
    grows: 'keys of once()',
    sizes: [1_000, 10_000, 60_000],
    grow: repeated((port) => toolCalls(port, 'once')),
    requests: { call: (port) => toolCalls(port, 'once') },
  },
};

async function costOf(server: ServerProcess, load: Load): Promise<string> {
  const client = new LoadClient(load, AT_ONCE);
  // A new process makes each kind of request slowly at first, which would look like a curve.
  await warmUp({ server, client });
  const costs: number[] = [];
  for (let slice = 0; slice < SLICES; slice++) {
    const before = await server.cpuUs();
    const { length } = await client.run(SLICE_MS);
    costs.push(((await server.cpuUs()) - before) / length);
  }
  client.close();
  return summarize(costs).p10.toFixed(0);
}

async function measureSide(curve: Curve, side: Side, node: Node, url: string | undefined) {
  const rows: string[][] = [];
  let server: ServerProcess | undefined;
  let have = 0;
  try {
    for (const size of curve.sizes) {
      const { options, env } = curve.settings?.(size) ?? {};
      if (server === undefined || curve.settings !== undefined) {
        await server?.stop();
        const given = JSON.stringify({ ...NO_LIMITS, ...options }, (_, value: unknown) =>
          value === Infinity ? Number.MAX_SAFE_INTEGER : value,
        );
        const own = { BENCH_OPTIONS: given, ...env, ...(url && { BENCH_STORE: url }) };
        server = await ServerProcess.start(node, { ...side, env: { ...side.env, ...own } });
        const client = new LoadClient(await echo(server.port), AT_ONCE);
        await warmUp({ server, client });
        client.close();
        have = 0;
      }
      await curve.grow?.(server.port, have, size);
      have = size;
      const costs: string[] = [];
      for (const request of Object.values(curve.requests))
        costs.push(await costOf(server, await request(server.port)));
      rows.push([`${side.title}, ${size.toLocaleString('en-US')}`, ...costs]);
    }
  } finally {
    await server?.stop();
  }
  return rows;
}

export async function measureCurve(
  id: string,
  node: Node,
  kind: StoreKind | undefined,
  baseline?: string,
): Promise<string> {
  const curve = CURVES[id] as Curve;
  const store = await openStore({ store: kind });
  try {
    const rows: string[][] = [];
    for (const side of curveSides(baseline))
      rows.push(...(await measureSide(curve, side, node, store?.url)));
    const names = Object.keys(curve.requests).map((name) => `${name}, µs`);
    return `${id}: quiet CPU as ${curve.grows} grow, on ${kind ?? 'memory'}\n\n${formatTable([['', ...names], ...rows])}\n`;
  } finally {
    await store?.close();
  }
}
