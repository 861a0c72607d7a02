/**
 * The calls of other clients at an instance that takes over the tasks of one that was killed. Nobody asks for these
 * tasks, so the sweep finds them, page by page as they become due. Each runs again and ends at once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { paced, type PacedCall } from './paced.ts';
import { modernCalls } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import type { ServerProcess } from './server-process.ts';
import { percentile } from './statistics.ts';
import { createTasks, Repeated, startInstance } from './task-client.ts';

export interface TaskDeaths {
  readonly tasks: number;
  /** From the kill to the first and to the last end of a task. */
  readonly firstS: number;
  readonly lastS: number;
  /** Calls while both instances lived. */
  readonly before: CallTimes;
  /** Calls from the first to the last end. */
  readonly during: CallTimes;
  /** Those of them that were due within `NEAR_MS` of an end: the sweep has pauses. */
  readonly beside: CallTimes;
}

export interface CallTimes {
  readonly calls: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

const CLIENTS = 16;
const EVERY_MS = 20;
/** Both instances are warm by then. */
const WARM_MS = 3_000;
const BEFORE_MS = 20_000;
const NEAR_MS = 50;
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
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => Repeated.open(load, '"text":"hello"')),
    );
    let isOver = false;
    const from = performance.now();
    const calling = clients.map((client, n) =>
      paced(EVERY_MS, (n * EVERY_MS) / CLIENTS, () => !isOver, () => client.send().then(() => {})),
    );
    progress('calls before a death');
    await delay(WARM_MS + BEFORE_MS);
    const killed = performance.now();
    process.kill(owner.pid, 'SIGKILL');
    const ends = await untilEnded(survivor, tasks, progress);
    isOver = true;
    const calls = (await Promise.all(calling)).flat();
    for (const client of clients) client.close();
    const within = (least: number, most: number): PacedCall[] =>
      calls.filter(({ due }) => due >= least && due < most);
    const [first = Number.NaN, last = Number.NaN] = [ends[0], ends.at(-1)];
    const during = within(first - NEAR_MS, last);
    return {
      tasks,
      firstS: (first - killed) / 1_000,
      lastS: (last - killed) / 1_000,
      before: timesOf(within(from + WARM_MS, killed - NEAR_MS)),
      during: timesOf(during),
      beside: timesOf(during.filter(({ due }) => isNear(ends, due))),
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

/** Whether a task ended so soon before or after. */
function isNear(ends: readonly number[], at: number): boolean {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? Infinity) < at - NEAR_MS) low = middle + 1;
    else high = middle;
  }
  return (ends[low] ?? Infinity) <= at + NEAR_MS;
}

function timesOf(calls: readonly PacedCall[]): CallTimes {
  const ms = calls.map((call) => call.ms).toSorted((a, b) => a - b);
  return { calls: ms.length, p50: percentile(ms, 0.5), p99: percentile(ms, 0.99), longest: ms.at(-1) ?? Number.NaN };
}
