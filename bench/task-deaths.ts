/**
 * The calls of other clients at an instance that takes over the tasks of one that was killed. Nobody asks for these
 * tasks, so the sweep finds them, page by page as they become due. Each runs again and ends at once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { paced, type PacedCall } from './paced.ts';
import { modernCalls } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import type { ServerProcess } from './server-process.ts';
import { percentile, summarize } from './statistics.ts';
import { createTasks, Repeated, startInstance } from './task-client.ts';

export interface TaskDeaths {
  readonly tasks: number;
  /** From the kill to the first and to the last end of a task. */
  readonly firstS: number;
  readonly lastS: number;
  /** Calls while both instances lived. */
  readonly before: CallTimes;
  /** Calls in the windows in which tasks ended. */
  readonly during: CallTimes;
}

/** Medians of windows of `WINDOW_MS`: what else the machine does disturbs some of them. */
export interface CallTimes {
  readonly calls: number;
  readonly windows: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

const CLIENTS = 16;
const EVERY_MS = 50;
/** Both instances are warm by then. */
const WARM_MS = 3_000;
const BEFORE_MS = 20_000;
const WINDOW_MS = 1_000;
const LOOK_MS = 500;
/** The lease and the due time of every task have passed by then, with a sweep after them. */
const MOST_MS = 240_000;

interface Note {
  /** ms since 1970. */
  readonly at: number;
}

export async function measureTaskDeaths(
  runtime: Runtime,
  url: string,
  tasks: number,
  progress: (text: string) => void,
): Promise<TaskDeaths> {
  const owner = await startInstance(runtime, url);
  const survivor = await startInstance(runtime, url, { notes: true });
  try {
    progress(`${String(tasks)} tasks begin`);
    await createTasks(owner.port, 'hold', tasks);
    const load = await modernCalls(survivor.port);
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => Repeated.open(load, '"text":"hello"')));
    let isOver = false;
    const from = performance.now();
    const calling = clients.map((client, n) =>
      paced(
        EVERY_MS,
        (n * EVERY_MS) / CLIENTS,
        () => !isOver,
        () => client.send().then(() => {}),
      ),
    );
    progress('calls before a death');
    await delay(WARM_MS + BEFORE_MS);
    const killed = performance.now();
    process.kill(owner.pid, 'SIGKILL');
    const ends = await untilEnded(survivor, tasks, progress);
    isOver = true;
    const calls = (await Promise.all(calling)).flat();
    for (const client of clients) client.close();
    const windows = windowsOf(calls);
    const some = (is: (window: number) => boolean): CallTimes =>
      timesOf([...windows].filter(([window]) => is(window)).map(([, ms]) => ms));
    const taken = new Set(ends.map(windowOf));
    return {
      tasks,
      firstS: ((ends[0] ?? Number.NaN) - killed) / 1_000,
      lastS: ((ends.at(-1) ?? Number.NaN) - killed) / 1_000,
      before: some((window) => window > windowOf(from + WARM_MS) && window < windowOf(killed)),
      during: some((window) => taken.has(window)),
    };
  } finally {
    await Promise.all([owner.stop(), survivor.stop()]);
  }
}

/** Resolves with the times of the ends, in order, on the clock of `performance`. */
async function untilEnded(
  survivor: ServerProcess,
  tasks: number,
  progress: (text: string) => void,
): Promise<readonly number[]> {
  const deadline = performance.now() + MOST_MS;
  for (;;) {
    await delay(LOOK_MS);
    const ended = await survivor.ask<number>('ended');
    progress(`${String(ended)} of ${String(tasks)} tasks were taken over`);
    if (ended >= tasks) break;
    if (performance.now() > deadline) throw new Error(`${String(ended)} of ${String(tasks)} tasks were taken over`);
  }
  const { end } = await survivor.ask<{ end: readonly Note[] }>('notes');
  return end.map(({ at }) => at - performance.timeOrigin);
}

const windowOf = (at: number): number => Math.floor(at / WINDOW_MS);

function windowsOf(calls: readonly PacedCall[]): Map<number, number[]> {
  const windows = new Map<number, number[]>();
  for (const { due, ms } of calls) {
    const window = windowOf(due);
    windows.set(window, [...(windows.get(window) ?? []), ms]);
  }
  return windows;
}

function timesOf(windows: ReadonlyArray<readonly number[]>): CallTimes {
  const sorted = windows.map((ms) => ms.toSorted((a, b) => a - b));
  const median = (share: number): number => summarize(sorted.map((ms) => percentile(ms, share))).median;
  return {
    calls: windows.reduce((sum, { length }) => sum + length, 0),
    windows: windows.length,
    p50: median(0.5),
    p99: median(0.99),
    longest: Math.max(...sorted.map((ms) => ms.at(-1) ?? 0)),
  };
}
