import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type Load,
  authorizedCalls,
  initializeLoad,
  modernCalls,
  repeatableCalls,
  statefulCalls,
  statefulLists,
  watchDashboard,
} from './requests.ts';
import type { ServerScript } from './server-process.ts';
import type { StoreKind } from './store-servers.ts';

export interface Side {
  readonly id: string;
  readonly title: string;
  readonly server: ServerScript;
  /**
   * This side writes the recorded answer of the first running side in this list, byte for byte, and gets the same
   * requests.
   */
  readonly repeats?: readonly string[];
}

export interface Comparison {
  readonly of: string;
  readonly against: string;
  /** `requests`: requests/s of the first over the second. `cpu`: CPU per request of the second over the first. */
  readonly by: 'requests' | 'cpu';
  readonly as: 'times' | 'percent';
  /** The least ratio, by major version of Node.js. */
  readonly goal?: Readonly<Record<number, number>>;
}

export interface Work {
  readonly id: string;
  readonly title: string;
  readonly sides: readonly Side[];
  readonly comparisons: readonly Comparison[];
  /** Every round gets a new process, because the work leaves data behind that would slow the next round. */
  readonly freshProcess?: boolean;
  /** Load before each round of a fresh process. The compiler has more to do for a longer way. */
  readonly warmUpS?: number;
  /** Runs only when it is named. */
  readonly asked?: boolean;
  load(port: number): Promise<Load>;
  /** The store of the sides that keep data. */
  readonly store?: StoreKind;
}

const ours = (options: object = {}): ServerScript => ({
  script: 'ours.mjs',
  env: { BENCH_OPTIONS: JSON.stringify(options) },
});

const official: Side = {
  id: 'official',
  title: 'official transport',
  server: { script: 'official-stateful.mjs' },
};

const stateful: Work = {
  id: 'stateful',
  title: 'tools/call on one session, 2025-06-18',
  sides: [
    { id: 'ours', title: 'ours', server: ours() },
    official,
    {
      id: 'bare',
      title: 'bare node:http',
      server: { script: 'bare.mjs' },
      repeats: ['ours', 'official'],
    },
  ],
  comparisons: [
    { of: 'ours', against: 'official', by: 'requests', as: 'times', goal: { 20: 6, 24: 8 } },
    { of: 'ours', against: 'official', by: 'cpu', as: 'times' },
    { of: 'ours', against: 'bare', by: 'requests', as: 'percent', goal: { 20: 0.55, 24: 0.85 } },
    { of: 'ours', against: 'bare', by: 'cpu', as: 'percent' },
  ],
  load: (port) => statefulCalls(port, '2025-06-18'),
};

const log: Work = {
  id: 'log',
  title: 'tools/call on one session, 2025-11-25, in-memory event log',
  sides: [
    { id: 'log', title: 'ours, with the log', server: ours() },
    { id: 'no-log', title: 'ours, without', server: ours({ eventRetention: false }) },
  ],
  comparisons: [
    { of: 'log', against: 'no-log', by: 'requests', as: 'percent', goal: { 20: 0.95, 24: 0.95 } },
    { of: 'log', against: 'no-log', by: 'cpu', as: 'percent' },
  ],
  load: (port) => statefulCalls(port, '2025-11-25'),
};

const stored = (options: object = {}): ServerScript => ({ ...ours(options), script: 'ours-store.mjs' });

const storeTitles: Readonly<Record<StoreKind, string>> = {
  sqlite: 'SQLite',
  redis: 'Redis',
  postgres: 'PostgreSQL',
};

/** The log is stored before an event is sent. Redis uses its append-only file, as its page recommends. */
function durable(store: StoreKind, goal?: number): Work {
  const title = storeTitles[store];
  return {
    id: store === 'sqlite' ? 'durable' : `durable-${store}`,
    title: `tools/call of a read-only tool on one session, 2025-11-25, event log on ${title}`,
    store,
    sides: [
      { id: store, title: `${title}, with the log`, server: stored() },
      { id: `${store}-no-log`, title: `${title}, without`, server: stored({ eventRetention: false }) },
      { id: 'memory', title: 'memory, with the log', server: ours() },
      { id: 'memory-no-log', title: 'memory, without', server: ours({ eventRetention: false }) },
    ],
    comparisons: [
      {
        of: store,
        against: `${store}-no-log`,
        by: 'requests',
        as: 'percent',
        ...(goal !== undefined && { goal: { 20: goal, 24: goal } }),
      },
      { of: store, against: `${store}-no-log`, by: 'cpu', as: 'percent' },
      { of: store, against: 'memory', by: 'requests', as: 'percent' },
      { of: store, against: 'memory-no-log', by: 'requests', as: 'percent' },
    ],
    load: (port) => repeatableCalls(port, '2025-11-25'),
  };
}

/** One server for all sessions and requests, with so many tools. */
const definition = (tools: number, options: object = {}): ServerScript => ({
  script: 'ours.mjs',
  env: { BENCH_OPTIONS: JSON.stringify(options), BENCH_MAKING: 'one', BENCH_TOOLS: String(tools) },
});

const withTools = (tools: number, side: Side): Side => ({
  ...side,
  server: { ...side.server, env: { ...side.server.env, BENCH_TOOLS: String(tools) } },
});

const ONE_DEFINITION = 'ours, one definition';
/** Names a work by its number of tools, where that is not 1. */
const named = (id: string, tools: number): string => (tools === 1 ? id : `${id}-${tools}`);
const titled = (title: string, tools: number): string => (tools === 1 ? title : `${title}, ${tools} tools`);

/** Both sides keep the sessions: none ends while the round runs, and none is refused, which costs less than one that is opened. */
const KEPT = { maxIdleSessionCount: 10_000_000, limits: { sessions: 10_000_000 } };

/** With more than one tool, only when it is named: each session of the official side has objects for every tool. */
function initialize(tools: number, goal: number): Work {
  return {
    id: named('initialize', tools),
    title: titled('initialize, a session each', tools),
    asked: tools > 1,
    sides: [
      ...(tools > 1 ? [] : [{ id: 'ours', title: 'ours', server: ours(KEPT) }]),
      { id: 'one', title: ONE_DEFINITION, server: definition(tools, KEPT) },
      withTools(tools, official),
    ],
    comparisons: [
      { of: 'ours', against: 'official', by: 'requests', as: 'times' },
      { of: 'ours', against: 'official', by: 'cpu', as: 'times' },
      { of: 'one', against: 'official', by: 'requests', as: 'times', goal: { 20: goal, 24: goal } },
      { of: 'one', against: 'official', by: 'cpu', as: 'times' },
    ],
    freshProcess: true,
    load: (port) => Promise.resolve(initializeLoad(port, '2025-06-18')),
  };
}

function modern(tools: number, goal: number): Work {
  const factories: readonly Side[] = [
    { id: 'ours', title: 'ours', server: ours() },
    {
      id: 'plain',
      title: 'ours, ctx.serverOptions not passed on',
      server: { script: 'ours.mjs', env: { BENCH_MAKING: 'plain' } },
    },
  ];
  return {
    id: named('modern', tools),
    title: titled('tools/call, 2026-07-28', tools),
    asked: tools > 1,
    sides: [
      ...(tools > 1 ? [] : factories),
      { id: 'one', title: ONE_DEFINITION, server: definition(tools) },
      withTools(tools, {
        id: 'official',
        title: 'createMcpHandler, toNodeHandler',
        server: { script: 'official-modern.mjs' },
      }),
    ],
    comparisons: [
      { of: 'ours', against: 'official', by: 'requests', as: 'times' },
      { of: 'ours', against: 'official', by: 'cpu', as: 'times' },
      { of: 'one', against: 'official', by: 'cpu', as: 'times', goal: { 20: goal, 24: goal } },
    ],
    load: modernCalls,
  };
}

/** What it costs to be watched. */
function watched(id: string, title: string, load: Work['load']): Work {
  return {
    id,
    title: `${title}, watched`,
    asked: true,
    sides: [
      { id: 'unwatched', title: 'nothing set', server: ours() },
      { id: 'metrics', title: 'metrics: true', server: ours({ metrics: true }) },
      { id: 'otel', title: 'telemetry() and the OpenTelemetry SDK', server: { script: 'ours-otel.mjs' } },
    ],
    comparisons: [
      { of: 'unwatched', against: 'metrics', by: 'cpu', as: 'percent' },
      { of: 'unwatched', against: 'otel', by: 'cpu', as: 'percent' },
    ],
    load,
  };
}

function lists(tools: number): Work {
  return {
    id: named('lists', tools),
    title: titled('tools/list on one session, 2025-06-18', tools),
    asked: true,
    sides: [
      { id: 'shared', title: 'ours, sharedLists', server: definition(tools, { sharedLists: ['tools'] }) },
      { id: 'one', title: ONE_DEFINITION, server: definition(tools) },
      withTools(tools, official),
    ],
    comparisons: [
      { of: 'shared', against: 'one', by: 'cpu', as: 'times' },
      { of: 'one', against: 'official', by: 'cpu', as: 'times' },
    ],
    load: (port) => statefulLists(port, '2025-06-18'),
  };
}

const other = (id: string, title: string): Side => ({
  id,
  title,
  server: { script: `../../tools/others/${id}.mjs` },
});

/** Runs only when it is named: other ways to serve sessions, each as its readme shows. */
const others: Work = {
  id: 'others',
  title: 'tools/call on one session, 2025-06-18, by other packages',
  asked: true,
  sides: [
    { id: 'ours', title: 'ours', server: ours() },
    official,
    other('sdk-v1', '@modelcontextprotocol/sdk 1, Express'),
    other('hono-mcp', '@hono/mcp'),
    other('fastmcp', 'fastmcp'),
    other('mcp-proxy', 'mcp-proxy'),
  ],
  comparisons: ['official', 'sdk-v1', 'hono-mcp', 'fastmcp', 'mcp-proxy'].map((against) => ({
    of: 'ours',
    against,
    by: 'requests',
    as: 'times',
  })),
  load: (port) => statefulCalls(port, '2025-06-18'),
};

/** What a token costs: the difference of the CPU per request between the sides. */
const auth: Work = {
  id: 'auth',
  title: 'tools/call on one session, 2025-06-18, with an access token',
  asked: true,
  sides: [
    { id: 'open', title: 'ours, without auth', server: ours() },
    {
      id: 'hit',
      title: 'auth.jwt, token remembered',
      server: { script: 'ours-auth.mjs', env: { BENCH_CACHE: 'true' } },
    },
    {
      id: 'miss',
      title: 'auth.jwt, token verified',
      server: { script: 'ours-auth.mjs', env: { BENCH_CACHE: 'false' } },
    },
  ],
  comparisons: [
    { of: 'hit', against: 'open', by: 'cpu', as: 'percent' },
    { of: 'miss', against: 'open', by: 'cpu', as: 'percent' },
  ],
  load: (port) => authorizedCalls(port, '2025-06-18'),
};

const DASHBOARD_TOKEN = 'a-token-of-the-benchmark';

/**
 * What a dashboard costs: the CPU per request beside the same endpoint without one. Both serve through a handler that
 * looks at the path. Two processes with the same code differ by up to 5 %, so each round has new ones.
 */
const dashboard = (id: string, title: string, load: Work['load'], isWatched = false): Work => ({
  id,
  title: `${title}, with a dashboard that ${isWatched ? 'a page watches' : 'is not watched'}`,
  asked: true,
  freshProcess: true,
  warmUpS: 5,
  sides: [
    { id: 'ours', title: 'ours', server: { script: 'ours.mjs', env: { BENCH_ROUTED: 'yes' } } },
    {
      id: 'mounted',
      title: 'ours, with a dashboard',
      server: { script: 'ours.mjs', env: { BENCH_DASHBOARD: DASHBOARD_TOKEN } },
    },
  ],
  comparisons: [{ of: 'mounted', against: 'ours', by: 'cpu', as: 'percent' }],
  load: async (port) => {
    if (isWatched) await watchDashboard(port, DASHBOARD_TOKEN);
    return load(port);
  },
});

/** This side, with a version of the SDK in which a private member has another name: the public way does its work. */
const moved = (member: string, title: string, side: ServerScript): Side => ({
  id: `no${member}`,
  title: `${title}, without ${member}`,
  server: { ...side, env: { ...side.env, BENCH_MOVED: member } },
});

/** What the public way costs in place of each private member that a call uses (docs/internals/private-members.md). */
const movedMembers: Work = {
  id: 'moved',
  title: 'tools/call on one session, 2025-06-18, where a private member of the SDK moved',
  asked: true,
  sides: [
    { id: 'ours', title: 'ours, a factory', server: ours() },
    moved('_onrequest', 'ours, a factory', ours()),
    { id: 'one', title: ONE_DEFINITION, server: definition(1) },
    moved('_requestHandlers', `${ONE_DEFINITION}, one connection`, definition(1)),
  ],
  comparisons: [
    { of: 'ours', against: 'no_onrequest', by: 'cpu', as: 'percent' },
    { of: 'one', against: 'no_requestHandlers', by: 'cpu', as: 'percent' },
  ],
  load: (port) => statefulCalls(port, '2025-06-18'),
};

const movedTools: Work = {
  id: 'moved-lists',
  title: 'tools/list on one session, 2025-06-18, 100 tools, where a private member of the SDK moved',
  asked: true,
  sides: [
    { id: 'one', title: ONE_DEFINITION, server: definition(100) },
    moved('_registeredTools', ONE_DEFINITION, definition(100)),
  ],
  comparisons: [{ of: 'one', against: 'no_registeredTools', by: 'cpu', as: 'percent' }],
  load: (port) => statefulLists(port, '2025-06-18'),
};

export const works: readonly Work[] = [
  others,
  stateful,
  log,
  durable('sqlite', 0.8),
  durable('redis', 0.75),
  durable('postgres'),
  initialize(1, 2.5),
  initialize(100, 9),
  initialize(1_000, 50),
  modern(1, 5),
  modern(100, 10),
  lists(100),
  lists(1_000),
  watched('watched', 'tools/call on one session, 2025-06-18', (port) => statefulCalls(port, '2025-06-18')),
  watched('watched-modern', 'tools/call, 2026-07-28', modernCalls),
  movedMembers,
  movedTools,
  auth,
  dashboard('dashboard', 'tools/call on one session, 2025-06-18', (port) => statefulCalls(port, '2025-06-18')),
  dashboard('dashboard-modern', 'tools/call, 2026-07-28', modernCalls),
  dashboard(
    'dashboard-watched',
    'tools/call on one session, 2025-06-18',
    (port) => statefulCalls(port, '2025-06-18'),
    true,
  ),
];

/** The same work with one more side: another build of this package. */
export function withBaseline(work: Work, dist: string): Work {
  const ours = work.sides.find(({ server }) => server.script.startsWith('ours'));
  if (ours === undefined) return work;
  const entry = pathToFileURL(resolve(dist, 'index.js')).href;
  const server = { ...ours.server, env: { ...ours.server.env, BENCH_DIST: entry } };
  const baseline: Side = { id: 'baseline', title: `${ours.title}, baseline build`, server };
  const compared = { of: ours.id, against: baseline.id, as: 'percent' } as const;
  return {
    ...work,
    sides: work.sides.toSpliced(1, 0, baseline),
    comparisons: [...work.comparisons, { ...compared, by: 'requests' }, { ...compared, by: 'cpu' }],
  };
}
