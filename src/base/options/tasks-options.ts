/** The option `tasks`. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { checkChoice, checkFunction } from './checks.ts';
import {
  count,
  type Given,
  numberLimit,
  type Numbers,
  type Some,
  value,
  type Values,
  valuesIn,
  valuesOf,
} from './value-kinds.ts';

const HOUR_MS = 3_600_000;

/** The range of a time of a task. */
export const TASK_MS = { min: 1_000, max: 720 * HOUR_MS, unit: 'ms', integer: true };
export const POLL_MS = { ...TASK_MS, min: 100, max: HOUR_MS };

/** What holds for a tool whose `task()` says nothing else. */
export const TASK_TIMES = { ttlMs: 24 * HOUR_MS, keepMs: HOUR_MS, pollIntervalMs: 1_000 } as const;

const LIMITS = {
  /** Tasks of one user that have not ended. Default 1,000. */
  open: numberLimit(1_000, count('tasks', 1)),
  /** The same of all callers without a user together. Default 100,000. */
  anonymous: numberLimit(100_000, count('tasks', 1)),
  /** Handlers of tasks that run on this instance; one user gets `limits.userShare` of what is free. Default 1,000. */
  running: numberLimit(1_000, count('tasks', 1)),
};
export type TaskLimits = Numbers<typeof LIMITS>;

/** A task that is about to run again. */
export interface TaskToRun {
  readonly taskId: string;
  readonly tool: string;
  /** The user as `endpoint.tasks.list()` names it; `undefined`: its caller had none. */
  readonly user: string | undefined;
  /** What its token named it. */
  readonly userName: string | undefined;
}

export type AuthorizeTask = (
  task: TaskToRun,
) => AuthInfo | undefined | Promise<AuthInfo | undefined>;

const TASKS = {
  /** `open` tasks of one user (1,000), of all `anonymous` callers (100,000), and `running` handlers here (1,000). */
  limits: value<Readonly<TaskLimits>, Some<TaskLimits>>(valuesOf(LIMITS), (name, given) =>
    valuesIn(name, given, LIMITS),
  ),
  /** What clients without tasks get: `'wait'` (default), the result; `'tools'`, a handle at once. */
  fallback: value<'wait' | 'tools'>('wait', (name, given) =>
    checkChoice(name, given, ['wait', 'tools']),
  ),
  /** The `authInfo` of each run after the first, which is not stored then; `undefined`: the task may not run now. */
  authorize: value<AuthorizeTask | undefined>(undefined, (name, given) =>
    checkFunction(
      name,
      given as AuthorizeTask,
      'a function (task) that returns AuthInfo or undefined',
    ),
  ),
};
export interface TasksOptions extends Given<typeof TASKS> {}
export type ResolvedTasks = Values<typeof TASKS>;

/** `false`: there are none. */
export function parseTasks(name: string, given: unknown): ResolvedTasks | false {
  return given === false ? false : valuesIn(name, given === true ? {} : given, TASKS);
}
