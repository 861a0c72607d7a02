import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startServer } from '../test/kit/servers/start.ts';
import type { Load } from './load.ts';
import { initializeLoad, modernCalls, sessionCalls, sessionLists } from './requests.ts';

export interface Side {
  readonly id: string;
  readonly title: string;
  /** A file of `bench/servers/`. */
  readonly script: string;
  readonly env?: Readonly<Record<string, string>>;
}

export type StoreKind = 'sqlite' | 'redis' | 'postgres';

export interface Work {
  readonly id: string;
  readonly title: string;
  readonly sides: readonly Side[];
  /** The store of the sides that keep data there. */
  readonly store?: StoreKind;
  /** Of the requests of a run, where they are expensive. */
  readonly share?: number;
  load(port: number): Promise<Load> | Load;
}

const build = (folder: string): string => pathToFileURL(`${resolve(folder)}/`).href;
const DIST = build(resolve(import.meta.dirname, '../dist'));

const side = (id: string, title: string, options: object = {}, env: Side['env'] = {}): Side => ({
  id,
  title,
  script: 'ours.mjs',
  env: { BENCH_DIST: DIST, BENCH_OPTIONS: JSON.stringify(options), ...env },
});
const ours = (options?: object): Side => side('ours', 'ours, a factory', options);
const watched = (id: string, title: string, wants: string): Side => side(id, title, {}, { BENCH_WITH: wants });
const one = (options?: object): Side => side('one', 'ours, one server object', options, { BENCH_ONE: 'yes' });
const official: Side = { id: 'official', title: 'official transport', script: 'official-stateful.mjs' };
const handler: Side = { id: 'official', title: 'createMcpHandler', script: 'official-modern.mjs' };

/** No session ends while a round runs, and none is refused, which costs less than to open one. */
const KEPT = { maxIdleSessionCount: 10_000_000, limits: { sessions: 10_000_000 } };
const LISTED = '100';
const withTools = (given: Side): Side => ({ ...given, env: { ...given.env, BENCH_TOOLS: LISTED } });

/** The log is stored before an event is sent. */
const durable = (store: StoreKind): Work => ({
  id: store === 'sqlite' ? 'durable' : `durable-${store}`,
  title: `tools/call of a read-only tool on one session, 2025-11-25, event log on ${store}`,
  store,
  sides: [ours()],
  load: (port) => sessionCalls(port, '2025-11-25'),
});

export const works: readonly Work[] = [
  {
    id: 'initialize',
    title: 'initialize, a session each, 2025-06-18',
    sides: [ours(KEPT), one(KEPT), official],
    load: (port) => initializeLoad(port, '2025-06-18'),
  },
  {
    id: 'stateful',
    title: 'tools/call on one session, 2025-06-18',
    sides: [
      ours(),
      one(),
      official,
      watched('dashboard', 'ours, a dashboard', 'dashboard'),
      watched('looked-at', 'ours, a dashboard that a page asks', 'page'),
    ],
    load: (port) => sessionCalls(port, '2025-06-18'),
  },
  durable('sqlite'),
  durable('redis'),
  durable('postgres'),
  { id: 'modern', title: 'tools/call, 2026-07-28', sides: [ours(), one(), handler], load: modernCalls },
  {
    id: 'lists',
    share: 0.3,
    title: `tools/list of ${LISTED} tools on one session, 2025-06-18`,
    sides: [ours(), one(), official].map(withTools),
    load: (port) => sessionLists(port, '2025-06-18'),
  },
];

/** The works of `--only`, with another build of this package beside each side that is ours, and the sides of `--sides`. */
export function selectWorks(only: readonly string[], sides: readonly string[], baseline?: string): Work[] {
  const unknown = only.filter((id) => !works.some((work) => work.id === id));
  if (unknown.length > 0)
    throw new Error(`--only ${unknown.join(', ')}: the works are ${works.map(({ id }) => id).join(', ')}, sessions`);
  return works
    .filter(({ id }) => only.length === 0 || only.includes(id))
    .map((work) => ({
      ...work,
      sides: work.sides
        .flatMap((each) => (baseline === undefined ? [each] : [each, ...baselineOf(each, baseline)]))
        .filter(({ id }) => sides.length === 0 || sides.includes(id)),
    }))
    .filter((work) => work.sides.length > 0);
}

/** `ours` has `baseline`, `one` has `baseline-one`. */
export function baselineOf({ id, title, script, env }: Side, dist: string): Side[] {
  if (env?.['BENCH_DIST'] === undefined) return [];
  const own = id === 'ours' ? 'baseline' : `baseline-${id}`;
  return [{ id: own, title: `${title}, baseline`, script, env: { ...env, BENCH_DIST: build(dist) } }];
}

/** A running store: its URL, and the processes of its server. */
export interface RunningStore {
  readonly url: string;
  readonly processes: readonly number[];
  close(): Promise<void>;
}

/** The arguments that the stores' pages recommend. */
export async function startStore(kind: Exclude<StoreKind, 'sqlite'>): Promise<RunningStore> {
  return startServer(kind, { args: kind === 'redis' ? ['--appendonly', 'yes'] : [] });
}
