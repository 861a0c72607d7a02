/** The option `tasks`. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { checkChoice, checkFunction, checkNames, checkNumber } from './checks.ts';

const HOUR_MS = 3_600_000;

/** The range of a time of a task. */
export const TASK_MS = { min: 1_000, max: 720 * HOUR_MS, unit: 'ms', integer: true };
export const POLL_MS = { ...TASK_MS, min: 100, max: HOUR_MS };

/** What holds for a tool whose `task()` says nothing else. */
export const TASK_TIMES = { ttlMs: 24 * HOUR_MS, keepMs: HOUR_MS, pollIntervalMs: 1_000 } as const;

export interface TaskLimits {
  /** Tasks of one user that have not ended. Default 1,000. */
  open: number;
  /** The same of all callers without a user together. Default 100,000. */
  anonymous: number;
  /** Handlers of tasks that run on this instance; one user gets `limits.userShare` of what is free. Default 1,000. */
  running: number;
}

/** A task that is about to run again. */
export interface TaskToRun {
  readonly taskId: string;
  readonly tool: string;
  /** The user as `endpoint.tasks.list()` names it; `undefined`: its caller had none. */
  readonly user: string | undefined;
  /** What its token named it. */
  readonly userName: string | undefined;
}

export type AuthorizeTask = (task: TaskToRun) => AuthInfo | undefined | Promise<AuthInfo | undefined>;

export interface TasksOptions {
  /** `open` tasks of one user (1,000), of all `anonymous` callers (100,000), and `running` handlers here (1,000). */
  limits?: Partial<TaskLimits> | undefined;
  /** What clients without tasks get: `'wait'` (default), the result; `'tools'`, a handle at once. */
  fallback?: 'wait' | 'tools' | undefined;
  /** The `authInfo` of each run after the first, which is not stored then; `undefined`: the task may not run now. */
  authorize?: AuthorizeTask | undefined;
}

export interface ResolvedTasks {
  readonly limits: Readonly<TaskLimits>;
  readonly fallback: 'wait' | 'tools';
  readonly authorize: AuthorizeTask | undefined;
}

const NAMES: readonly (keyof TasksOptions)[] = ['limits', 'fallback', 'authorize'];
const LIMITS: Readonly<TaskLimits> = { open: 1_000, anonymous: 100_000, running: 1_000 };

/** `false`: there are none. */
export function parseTasks(name: string, value: unknown): ResolvedTasks | false {
  if (value === false) return false;
  const given: TasksOptions = value === true ? {} : checkNames(name, value, NAMES, []);
  const limits: Partial<TaskLimits> = checkNames(`${name}.limits`, given.limits ?? {}, Object.keys(LIMITS), []);
  const limit = (one: keyof TaskLimits): number =>
    checkNumber(`${name}.limits.${one}`, limits[one] ?? LIMITS[one], { min: 1, unit: 'tasks', integer: true });
  const { authorize } = given;
  return Object.freeze({
    limits: { open: limit('open'), anonymous: limit('anonymous'), running: limit('running') },
    fallback: checkChoice(`${name}.fallback`, given.fallback ?? 'wait', ['wait', 'tools']),
    authorize:
      authorize &&
      checkFunction(`${name}.authorize`, authorize, 'a function (task) that returns AuthInfo or undefined'),
  });
}
