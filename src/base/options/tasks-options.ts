/** The option `tasks`. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { checkChoice, checkFunction } from './checks.ts';
import { type Specs, value, type Values, valuesIn } from './value-kinds.ts';

const HOUR_MS = 3_600_000;

/** The range of a time of a task. */
export const TASK_MS = { min: 1_000, max: 720 * HOUR_MS, unit: 'ms', integer: true };
export const POLL_MS = { ...TASK_MS, min: 100, max: HOUR_MS };

/** What holds for a tool whose `task()` says nothing else. */
export const TASK_TIMES = { ttlMs: 24 * HOUR_MS, keepMs: HOUR_MS, pollIntervalMs: 1_000 } as const;

/** A task that is about to run again. */
export interface TaskToRun {
  readonly taskId: string;
  readonly tool: string;
  /** The key of its user, for comparisons; `undefined`: its caller had none. */
  readonly userKey: string | undefined;
  /** The name in `userKey` for display. */
  readonly userName: string | undefined;
}

/** The `authInfo` of a later run; `undefined`: the task may not run now. */
export type TaskAuthInfo = (
  task: TaskToRun,
) => AuthInfo | undefined | Promise<AuthInfo | undefined>;

export interface TasksOptions {
  /** What clients without tasks get: `'wait'` (default), the result; `'tools'`, a handle at once. */
  fallback?: 'wait' | 'tools' | undefined;
  /** Gives the `authInfo` of each run after the first, so that none is stored; `undefined`: the task may not run now. */
  authInfo?: TaskAuthInfo | undefined;
}

const TASKS = {
  fallback: value<'wait' | 'tools'>('wait', (name, given) =>
    checkChoice(name, given, ['wait', 'tools']),
  ),
  authInfo: value<TaskAuthInfo | undefined>(undefined, (name, given) =>
    checkFunction(
      name,
      given as TaskAuthInfo,
      'a function (task) that returns AuthInfo or undefined',
    ),
  ),
} satisfies Specs<TasksOptions>;
export type ResolvedTasks = Values<typeof TASKS>;

/** `false`: there are none. */
export function parseTasks(name: string, given: unknown): ResolvedTasks | false {
  return given === false ? false : valuesIn(name, given === true ? {} : given, TASKS);
}
