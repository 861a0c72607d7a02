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
  /** It runs only where `--sides` names it. */
  readonly isNamed?: true;
  readonly env?: Readonly<Record<string, string>>;
}

export type StoreKind = 'sqlite' | 'redis' | 'postgres';

export interface Work {
  readonly id: string;
  readonly title: string;
  readonly sides: readonly Side[];
  /** The store of the sides that keep data there. */
  readonly store?: StoreKind;
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
const watched = (id: string, title: string, wants: string): Side => ({
  ...side(id, title, {}, { BENCH_WITH: wants }),
  isNamed: true,
});
const one = (options?: object): Side =>
  side('one', 'ours, one server object', options, { BENCH_ONE: 'yes' });
const official: Side = {
  id: 'official',
  title: 'official transport',
  script: 'official-stateful.mjs',
};
const bare: Side = {
  id: 'bare',
  title: 'bare node:http',
  script: 'floor.mjs',
  env: { BENCH_FLOOR: 'bare' },
};
const floor: Side = { id: 'floor', title: 'the floor', script: 'floor.mjs' };
const handler: Side = { id: 'official', title: 'createMcpHandler', script: 'official-modern.mjs' };

/** No session ends while a round runs, and none is refused, which costs less than to open one. */
const KEPT = {
  maxIdleSessionCount: 10_000_000,
  limits: { sessions: 10_000_000, perUser: { sessions: 10_000_000 } },
};
const LISTED = '100';
const withEnv = (env: Side['env']) => (given: Side) => ({
  ...given,
  env: { ...given.env, ...env },
});

/** The log is stored before an event is sent. */
const durable = (store: StoreKind): Work => ({
  id: store === 'sqlite' ? 'durable' : `durable-${store}`,
  title: `tools/call of a read-only tool on one session, 2025-11-25, event log on ${store}`,
  store,
  sides: [ours(), one(), floor],
  load: (port) => sessionCalls(port, '2025-11-25'),
});

export const works: readonly Work[] = [
  {
    id: 'initialize',
    title: 'initialize, a session each, 2025-06-18',
    sides: [ours(KEPT), one(KEPT), official, floor, bare],
    load: (port) => initializeLoad(port, '2025-06-18'),
  },
  {
    id: 'stateful',
    title: 'tools/call on one session, 2025-06-18',
    sides: [
      ours(),
      one(),
      official,
      floor,
      bare,
      watched('dashboard', 'ours, a dashboard', 'dashboard'),
      watched('looked-at', 'ours, a dashboard that a page asks', 'page'),
    ],
    load: (port) => sessionCalls(port, '2025-06-18'),
  },
  durable('sqlite'),
  durable('redis'),
  durable('postgres'),
  {
    id: 'modern',
    title: 'tools/call, 2026-07-28',
    sides: [ours(), one(), handler, floor, bare],
    load: modernCalls,
  },
  {
    id: 'lists',
    title: `tools/list of ${LISTED} tools on one session, 2025-06-18`,
    sides: [ours(), one(), official, floor, bare].map(withEnv({ BENCH_TOOLS: LISTED })),
    load: (port) => sessionLists(port, '2025-06-18'),
  },
  {
    id: 'express',
    title: 'tools/call on one session, 2025-06-18, behind Express and express.json()',
    sides: [ours(), one(), official, floor, bare].map(withEnv({ BENCH_FRONT: 'express' })),
    load: (port) => sessionCalls(port, '2025-06-18'),
  },
  {
    id: 'stdio',
    title: 'tools/call of a program on stdio on one session, 2025-11-25',
    sides: [withEnv({ BENCH_STDIO: 'stdio-program.mjs' })(ours())],
    load: (port) => sessionCalls(port, '2025-11-25'),
  },
];

/**
 * The works of `--only` and their sides: those of `--sides`; with another build of this package each side that is ours,
 * and that build beside it; otherwise all.
 */
export function selectWorks(
  only: readonly string[],
  sides: readonly string[],
  baseline?: string,
): Work[] {
  const unknown = only.filter((id) => !works.some((work) => work.id === id));
  if (unknown.length > 0)
    throw new Error(
      `--only ${unknown.join(', ')}: the works are ${works.map(({ id }) => id).join(', ')}, sessions`,
    );
  return works
    .filter(({ id }) => only.length === 0 || only.includes(id))
    .map((work) => ({
      ...work,
      sides: sidesOfWork(work, baseline).filter((each) =>
        sides.length > 0 ? sides.includes(each.id) : isDefault(each, baseline),
      ),
    }))
    .filter((work) => work.sides.length > 0);
}

const sidesOfWork = ({ sides }: Work, baseline: string | undefined): Side[] =>
  sides.flatMap((each) =>
    baseline === undefined ? [each] : [each, ...baselineOf(each, baseline)],
  );

/** What `--sides` may name. */
export const everySide = (baseline: string | undefined): Side[] =>
  works.flatMap((work) => sidesOfWork(work, baseline));

const isOurs = ({ env }: Side): boolean => env?.['BENCH_DIST'] !== undefined;
const isDefault = (given: Side, baseline: string | undefined): boolean =>
  given.isNamed !== true && (baseline === undefined || isOurs(given));

/** The first side that is ours runs twice: two processes of one build show how far to trust a difference. */
export function withItself(work: Work): Work {
  const [first] = work.sides.filter(isOurs);
  if (first === undefined) return work;
  return {
    ...work,
    sides: [{ ...first, id: 'again', title: `${first.title}, again` }, ...work.sides],
  };
}

/** `ours` has `baseline`, `one` has `baseline-one`. */
export function baselineOf(given: Side, dist: string): Side[] {
  if (!isOurs(given)) return [];
  const id = given.id === 'ours' ? 'baseline' : `baseline-${given.id}`;
  const env = { ...given.env, BENCH_DIST: build(dist) };
  return [{ ...given, id, title: `${given.title}, baseline`, env }];
}

/** One server object with the tools of the curves. */
export function curveSides(baseline: string | undefined): Side[] {
  const curve = side('ours', 'ours', {}, { BENCH_CURVE: 'yes' });
  return baseline === undefined ? [curve] : [curve, ...baselineOf(curve, baseline)];
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
