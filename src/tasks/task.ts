/**
 * `task()`: lets the call of a tool become a task, for clients that declare the extension
 * `io.modelcontextprotocol/tasks`. The handler's own code decides when: no list of such tools exists. For every other
 * client the call is ordinary.
 *
 * It works for each handler that the SDK calls in a request that an endpoint of this copy of the library serves.
 */
import { optionInvalid, taskRequired } from '../errors.ts';
import { checkChoice, checkFunction, checkNames, checkNumber } from '../options/checks.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { isAnswer } from '../session/calls/answer-error.ts';
import { CallRefusal } from '../session/calls/call-refusal.ts';
import { currentCall } from '../session/calls/call.ts';
import { quoted } from '../shown.ts';
import { inTask, type RunningTask, taskContext, TaskHandle } from './task-handle.ts';
import type { TaskSettings } from './task-record.ts';
import { TaskRun } from './task-run.ts';

type Returned<Result> = Result | Promise<Result>;

export interface TaskOptions {
  /**
   * Which calls of clients with tasks become one. `'always'` (default): each. `'required'`: each, and clients without
   * tasks are refused. A time in ms: calls that take longer. `'manual'`: at `task.start()`.
   */
  readonly when?: 'always' | 'required' | 'manual' | { readonly slowerThanMs: number } | undefined;
  /**
   * Whether the handler may run again after a crash or a drain. Default: as `readOnlyHint` or `idempotentHint` of its
   * tool say. A task that may not run again ends as `owner_lost`.
   */
  readonly resume?: boolean | undefined;
  /** How long the task may take from its creation, in ms: 1,000 to 2,592,000,000 (30 days). Default 24 h. */
  readonly ttlMs?: number | undefined;
  /** How long its result is kept at least, in ms. Default 3,600,000 (1 h). */
  readonly keepMs?: number | undefined;
  /** How often clients should ask, in ms: 100 to 3,600,000. Default 1,000. */
  readonly pollIntervalMs?: number | undefined;
  /** How many runs may end with the death of their process: 1 to 100. Default 5. */
  readonly maxAttempts?: number | undefined;
}

const HOUR_MS = 3_600_000;
const TIME = { min: 1_000, max: 720 * HOUR_MS, unit: 'ms', integer: true };

interface Checked {
  readonly when: 'always' | 'required' | 'manual' | 'slow';
  readonly slowerThanMs: number;
  readonly settings: TaskSettings;
}

/**
 * Wraps the handler of a tool. It gets one more argument, its `RunningTask`. Throws a `TypeError` or `RangeError` for
 * an invalid option.
 */
export function task<Given extends unknown[], Result>(
  handler: (...given: [...Given, RunningTask]) => Returned<Result>,
  options?: TaskOptions,
): (...given: Given) => Promise<Result>;
/** A handler may leave its last arguments out. */
export function task<Args, Context, Result>(
  handler: (args: Args, ctx: Context, task: RunningTask) => Returned<Result>,
  options?: TaskOptions,
): (args: Args, ctx: Context) => Promise<Result>;
export function task<Result>(
  given: (...given: never[]) => Returned<Result>,
  options: TaskOptions = {},
): (...given: unknown[]) => Promise<Result> {
  const checked = check(given, options);
  const handler = given as (...given: unknown[]) => Returned<Result>;
  return async (...given) => {
    const call = currentCall.getStore();
    const run = call?.task instanceof TaskRun ? call.task : undefined;
    if (run === undefined && checked.when === 'required')
      throw new CallRefusal(taskRequired(`The tool ${quoted(call?.target ?? '')}`));
    const handle = new TaskHandle(run, checked.settings, given.at(-1));
    if (run === undefined) return inTask(handle, () => handler(...given, handle));
    run.handler.enters();
    try {
      return await started(run, checked, () =>
        inTask(handle, () => handler(...withContext(given, run, handle), handle)),
      );
    } catch (cause) {
      run.handler.throws(isAnswer(cause) ? errorOf(cause) : undefined);
      throw cause;
    } finally {
      run.settles();
    }
  };
}

const NAMES: readonly (keyof TaskOptions)[] = ['when', 'resume', 'ttlMs', 'keepMs', 'pollIntervalMs', 'maxAttempts'];

function check(handler: unknown, given: TaskOptions): Checked {
  checkFunction('the handler of task()', handler, 'a function');
  const { when = 'always', ...of } = checkNames('task()', given, NAMES, []) as TaskOptions;
  if (of.resume !== undefined && typeof of.resume !== 'boolean')
    throw optionInvalid('type', 'resume of task()', of.resume, 'true or false');
  const isSlow = isObject(when);
  return {
    when: isSlow ? 'slow' : checkChoice('when of task()', when, ['always', 'required', 'manual']),
    slowerThanMs: isSlow
      ? checkNumber('when.slowerThanMs of task()', when.slowerThanMs, {
          min: 0,
          max: HOUR_MS,
          unit: 'ms',
          integer: true,
        })
      : 0,
    settings: {
      resume: of.resume,
      ttlMs: checkNumber('ttlMs of task()', of.ttlMs ?? 24 * HOUR_MS, TIME),
      keepMs: checkNumber('keepMs of task()', of.keepMs ?? HOUR_MS, TIME),
      pollIntervalMs: checkNumber('pollIntervalMs of task()', of.pollIntervalMs ?? 1_000, {
        ...TIME,
        min: 100,
        max: HOUR_MS,
      }),
      maxAttempts: checkNumber('maxAttempts of task()', of.maxAttempts ?? 5, {
        min: 1,
        max: 100,
        unit: 'runs',
        integer: true,
      }),
    },
  };
}

/** The last argument is the context, in both versions of the SDK. */
const withContext = <Given extends unknown[]>(given: Given, run: TaskRun, handle: TaskHandle): Given =>
  [...given.slice(0, -1), taskContext(given.at(-1), run, handle)] as Given;

async function started<Result>(
  run: TaskRun,
  { when, slowerThanMs, settings }: Checked,
  handler: () => Returned<Result>,
): Promise<Result> {
  if ((when === 'always' || when === 'required') && run.task === undefined) {
    try {
      await run.start(settings);
    } catch (cause) {
      throw new CallRefusal(cause as never);
    }
    // The client left before it heard of the task.
    run.signal.throwIfAborted();
  }
  const stop = when === 'slow' ? run.after(slowerThanMs, () => void run.start(settings).catch(() => {})) : undefined;
  try {
    return await handler();
  } finally {
    stop?.();
  }
}

function errorOf({ code, message, data }: { code: number; message: string; data?: unknown }): {
  code: number;
  message: string;
  data?: unknown;
} {
  return { code, message, ...(data !== undefined && { data }) };
}
