/**
 * What tasks cost: to create one, to ask for one, a call to a tool that is none, a task that is parked, and the
 * take-over of the tasks of an instance that died.
 */
import type { Runtime } from './runtimes.ts';
import { type StoreKind, startStore, type StoreServer } from './store-servers.ts';
import { formatTable } from './table.ts';
import { measureCalls, type TaskCalls } from './task-calls.ts';
import { createTasks, getOf, Repeated, startInstance } from './task-client.ts';
import { type CallTimes, measureTaskDeaths, type TaskDeaths } from './task-deaths.ts';
import { measureTimes, type TaskTimes } from './task-times.ts';

export interface TasksOptions {
  readonly rounds: number;
  /** Requests of each kind. */
  readonly operations: number;
  /** Tasks that are parked; a tenth as many lose their instance. */
  readonly tasks: number;
  readonly only: readonly string[];
  readonly progress: (text: string) => void;
}

export interface TasksReport {
  readonly runtime: Runtime;
  readonly store: StoreKind;
  readonly times?: TaskTimes;
  readonly calls?: TaskCalls;
  readonly parked?: Parked;
  readonly deaths?: TaskDeaths;
}

interface Parked {
  /** `each`: what each task added since the row before. */
  readonly rows: ReadonlyArray<{ readonly tasks: number; readonly bytes: number; readonly each: number }>;
  /** ms from the start of another process to its answer about one of them. */
  readonly restartedMs: number;
}

export async function measureTasks(
  runtime: Runtime,
  store: StoreKind,
  { rounds, operations, tasks, only, progress }: TasksOptions,
): Promise<TasksReport> {
  const part = async <T>(name: string, run: (server: StoreServer) => Promise<T>): Promise<T | undefined> => {
    if (only.length > 0 && !only.includes(name)) return undefined;
    const server = await startStore(store);
    try {
      return await run(server);
    } finally {
      await server.close();
    }
  };
  const times = await part('times', ({ url }) => measureTimes(runtime, { kind: store, url }, operations, progress));
  const calls = await part('calls', ({ url }) => measureCalls(runtime, url, rounds, progress));
  const parked = await part('parked', ({ url }) => measureParked(runtime, url, tasks, progress));
  const deaths = await part('deaths', ({ url }) => measureTaskDeaths(runtime, url, Math.ceil(tasks / 10), progress));
  return {
    runtime,
    store,
    ...(times && { times }),
    ...(calls && { calls }),
    ...(parked && { parked }),
    ...(deaths && { deaths }),
  };
}

/** Until then caches and buffers fill. */
const WARM = 10_000;

async function measureParked(
  runtime: Runtime,
  url: string,
  tasks: number,
  progress: (text: string) => void,
): Promise<Parked> {
  const server = await startInstance(runtime, url);
  const used = async (): Promise<number> => {
    const { heapUsed, external } = await server.ask<NodeJS.MemoryUsage>('settledMemory');
    return heapUsed + external;
  };
  let id = '';
  const rows: Array<Parked['rows'][number]> = [];
  try {
    await createTasks(server.port, 'asks', WARM);
    let last = { tasks: 0, bytes: await used(), each: 0 };
    rows.push(last);
    for (const count of [tasks / 10, tasks / 2, tasks].map(Math.ceil)) {
      progress(`${String(count)} tasks park`);
      const more = count - last.tasks;
      id = await createTasks(server.port, 'asks', more);
      const bytes = await used();
      last = { tasks: count, bytes, each: (bytes - last.bytes) / more };
      rows.push(last);
    }
  } finally {
    await server.stop();
  }
  const from = performance.now();
  const again = await startInstance(runtime, url);
  try {
    const get = await Repeated.open(getOf(again.port, id), '"status":"input_required"');
    await get.send();
    get.close();
    return { rows, restartedMs: performance.now() - from };
  } finally {
    await again.stop();
  }
}

// ——— the report ———

const ms = (value: number): string => `${value.toFixed(3)} ms`;
const tenths = (value: number): string => `${value.toFixed(1)} ms`;
const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const verdict = (is: boolean, goal: string): string => `${is ? 'reached' : 'missed'}: ${goal}`;

export function formatTasks({ runtime, store, times, calls, parked, deaths }: TasksReport): string {
  const parts = [`Tasks on ${store} · Node ${runtime.version}`];
  if (times !== undefined) parts.push(formatTimes(times));
  if (calls !== undefined) parts.push(formatCalls(calls));
  if (parked !== undefined) parts.push(formatParked(parked));
  if (deaths !== undefined) parts.push(formatDeaths(deaths));
  return parts.join('\n\n');
}

function formatTimes(times: TaskTimes): string {
  const { operations, roundTrip, call, created, once, marked, onceOnSession, bare, foreign, gets } = times;
  const stored = (title: string, { answer, more, write, mostMore }: TaskTimes['once']): string[] => {
    const goal = mostMore === undefined ? '' : verdict(more <= mostMore, `≤ ${ms(mostMore)} more`);
    return [title, ms(answer), ms(more), ms(write), goal];
  };
  const creating = [
    [`p50 of ${whole(operations)}`, 'answer', 'more', 'the store’s part', ''],
    ['a round trip to the store', ms(roundTrip), '', '', ''],
    ['an ordinary call', ms(call), '', '', ''],
    stored('a call answered with a task', created),
    stored('a call of once(), a new key', once),
    ['on a session, a tool that may not run twice', ms(marked), '', '', ''],
    stored('the same with once(), a new key', onceOnSession),
  ];
  const asking = [
    ['tasks/get', 'answer', 'more', 'the read', 'beyond it', ''],
    ['bare node:http, the same answer', ms(bare), '', '', '', ''],
    ['an id of another user', ms(foreign), '', '', '', ''],
    ...gets.map(({ title, get, read, beyond, more: than }, n) => [
      title,
      ms(get),
      n === 0 ? '' : ms(than),
      ms(read),
      ms(beyond),
      verdict(beyond <= 0.2, '≤ 0.2 ms beyond'),
    ]),
  ];
  return `${formatTable(creating)}\n\n${formatTable(asking)}`;
}

function formatCalls({ slices, rows }: TaskCalls): string {
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  const lines = rows.map(({ title, cpuUs, ratio: { median, quartiles } }, n) => [
    title,
    cpuUs.toFixed(1),
    n === 0 ? '' : percent(median),
    n === 0 ? '' : quartiles.map(percent).join(' to '),
    n === 1 ? verdict(median <= 1.02, '≤ 102 %') : '',
  ]);
  const head = [`a call that is no task, ${whole(slices)} slices`, 'CPU µs', 'of the first', 'quartiles', ''];
  return formatTable([head, ...lines]);
}

function formatParked({ rows, restartedMs }: Parked): string {
  const lines = rows.map(({ tasks, bytes, each }) => [
    `${whole(tasks)} parked tasks`,
    `${(bytes / 1e6).toFixed(2)} MB`,
    tasks === 0 ? '' : `${each.toFixed(0)} B for each more`,
  ]);
  const restarted = `  another process answers about one of them ${whole(restartedMs)} ms after its start`;
  return `${formatTable([['', 'heap and buffers', ''], ...lines])}\n\n${restarted}`;
}

function formatDeaths({ tasks, firstS, lastS, before, during }: TaskDeaths): string {
  const row = (title: string, { calls, windows, p50, p99, longest }: CallTimes, goal: string): string[] => [
    title,
    whole(calls),
    whole(windows),
    tenths(p50),
    tenths(p99),
    tenths(longest),
    goal,
  ];
  const times = during.p99 / before.p99;
  const title = `An instance is killed: its ${whole(tasks)} tasks end at another ${firstS.toFixed(1)} to ${lastS.toFixed(1)} s later`;
  const lines = [
    ['calls of other clients there', 'calls', 'windows', 'p50', 'p99', 'longest', ''],
    row('before', before, ''),
    row('while tasks are taken over', during, verdict(times < 2, `p99 ${times.toFixed(2)} ×, < 2 ×`)),
  ];
  return `${title}\n\n${formatTable(lines)}`;
}
