/**
 * `task()`: lets the call of a tool become a task, for clients that declare the extension
 * `io.modelcontextprotocol/tasks`. The handler's own code decides when: no list of such tools exists. For other clients
 * the call is ordinary. Three options change that: `when: 'required'` refuses them, with `key` they wait for the task
 * of the key, and with `fallback: 'tools'` of the endpoint they get the id of a task.
 *
 * It works for each handler that the SDK calls in a request that an endpoint of this copy of the library serves.
 */
import {
  onceNeedsUser,
  optionsContradict,
  requestDrained,
  taskRequired,
} from '../../base/errors.ts';
import { withContext } from '../../session/calls/handler-context.ts';
import { asTaskHandler, keyOf, scopeOf } from '../records/call-key.ts';
import {
  checkChoice,
  checkFunction,
  checkNames,
  checkNumber,
  type NumberRange,
} from '../../base/options/checks.ts';
import { POLL_MS, TASK_MS, TASK_TIMES } from '../../base/options/tasks-options.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import type { MaybePromise } from '../../base/types.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import { type Call, currentCall } from '../../session/calls/call.ts';
import { quoted } from '../../base/shown.ts';
import { apart } from './separate-task.ts';
import {
  type AuthorSettings,
  inTask,
  type RunningTask,
  taskContext,
  TaskOfCall,
} from './task-of-call.ts';
import { tasksOf } from './task-requests.ts';
import { TaskRun } from './task-run.ts';
import type { TaskKey } from './task-store.ts';

/** @experimental */
export interface TaskOptions<Given extends unknown[] = unknown[]> {
  /**
   * Which calls of clients with tasks become one. `'always'` (default): each. `'required'`: each, and clients without
   * tasks are refused. `{ slowerThanMs }`: calls that take longer than this, in ms. `'manual'`: at `task.start()`.
   */
  readonly when?: 'always' | 'required' | 'manual' | { readonly slowerThanMs: number } | undefined;
  /**
   * After a crash or a drain. `'run'`: the handler runs again. `'fail'`: the task ends as `owner_lost`. Default: `'run'`
   * for tools with `readOnlyHint` or `idempotentHint`, else `'fail'`.
   */
  readonly afterCrash?: 'run' | 'fail' | undefined;
  /**
   * The idempotency key, a text of 1 to 512 characters: calls of a user with the same key and arguments have one task, running or ended.
   * Other arguments are refused (`once_conflict`). Clients without tasks wait for its outcome. Not with `'manual'`.
   */
  readonly key?: ((...given: Given) => string) | undefined;
  /**
   * `'shared'`: all callers without a user share keys and tasks. Default: keys are of the session, and a call without
   * either is refused.
   */
  readonly anonymous?: 'shared' | undefined;
  /** How long the task may take from its creation, in ms: 1,000 to 2,592,000,000 (30 days). Default 24 h. */
  readonly ttlMs?: number | undefined;
  /** How long its result is kept at least, in ms. Default 3,600,000 (1 h). */
  readonly keepMs?: number | undefined;
  /** How often clients should ask, in ms: 100 to 3,600,000. Default 1,000. */
  readonly pollIntervalMs?: number | undefined;
  /** How many runs may end with the death of their process: 1 to 100. Default 5. */
  readonly maxAttempts?: number | undefined;
}

type When = 'always' | 'required' | 'manual' | 'slow';

interface CheckedTask {
  readonly when: When;
  readonly slowerThanMs: number;
  readonly settings: AuthorSettings;
  readonly key: ((...given: unknown[]) => unknown) | undefined;
  readonly isShared: boolean;
}

/**
 * Wraps the handler of a tool. It gets one more argument, its `RunningTask`. Throws a `TypeError` or `RangeError` for
 * an invalid option.
 * @experimental
 */
export function task<Given extends unknown[], Result>(
  handler: (...given: [...Given, RunningTask]) => MaybePromise<Result>,
  options?: TaskOptions<Given>,
): (...given: Given) => Promise<Result>;
/** A handler may leave its last arguments out. */
export function task<Args, Context, Result>(
  handler: (args: Args, ctx: Context, task: RunningTask) => MaybePromise<Result>,
  options?: TaskOptions<[Args, Context]>,
): (args: Args, ctx: Context) => Promise<Result>;
export function task<Result>(
  given: (...given: never[]) => MaybePromise<Result>,
  options: TaskOptions = {},
): (...given: unknown[]) => Promise<Result> {
  const checked = check(given, options);
  const handler = given as (...given: unknown[]) => MaybePromise<Result>;
  return asTaskHandler(async (...given: unknown[]) => {
    const call = currentCall.getStore();
    const run = call?.task instanceof TaskRun ? call.task : undefined;
    const outcome = await elsewhere(call, run, checked, given.at(-1));
    if (outcome !== undefined) return outcome as Result;
    const handle = new TaskOfCall(call, run, checked.settings, given.at(-1));
    if (run === undefined)
      return inTask(handle, () =>
        Promise.race([handler(...given, handle), handle.outcome as Promise<Result>]),
      );
    run.handler.enters();
    try {
      const key = run.task === undefined ? keyOfCall(checked, run, given) : undefined;
      return await started(run, handle, checked, key, () =>
        inTask(handle, () =>
          handler(...withContext(given, taskContext(given.at(-1), run, handle)), handle),
        ),
      );
    } catch (cause) {
      run.handler.throws(cause);
      // Another run continues the task, so what ended this one is no failure of the tool.
      throw run.isDraining ? new CallRefusal(requestDrained()) : cause;
    } finally {
      run.handlerSettled();
    }
  });
}

/** The result of a call whose work is a task apart from it; `undefined`: its own handler runs. */
async function elsewhere(
  call: Call | undefined,
  run: TaskRun | undefined,
  { when, key, slowerThanMs }: CheckedTask,
  ctx: unknown,
): Promise<unknown> {
  const hasKey = key !== undefined;
  const tasks = tasksOf(call);
  const isOwn =
    run !== undefined &&
    (run.task !== undefined || run.launched !== undefined || !hasKey || when !== 'slow');
  if (isOwn || when === 'manual') return undefined;
  const needsTasks = run === undefined && when === 'required' && tasks?.fallsBackToTools !== true;
  if (needsTasks || (hasKey && tasks === undefined))
    throw new CallRefusal(taskRequired(`The tool ${quoted(call?.target ?? '')}`));
  if (call === undefined || tasks === undefined) return undefined;
  return apart(call, tasks, ctx, run, { hasKey, slowerThanMs });
}

function keyOfCall(
  { key, isShared }: CheckedTask,
  { caller, request, launched }: TaskRun,
  given: unknown[],
): TaskKey | undefined {
  if (key === undefined) return undefined;
  const { name, arguments: args } = request.params ?? {};
  const tool = String(name);
  const scope = scopeOf({ user: caller.userKey, session: launched?.session }, isShared);
  if (scope === undefined) throw new CallRefusal(onceNeedsUser(tool));
  return { scope, key: keyOf(tool, key(...given)), args };
}

const NAMES: readonly (keyof TaskOptions)[] = [
  'when',
  'afterCrash',
  'key',
  'anonymous',
  'ttlMs',
  'keepMs',
  'pollIntervalMs',
  'maxAttempts',
];
const ATTEMPTS = { min: 1, max: 100, unit: 'runs', integer: true };

function check(handler: unknown, given: TaskOptions): CheckedTask {
  checkFunction('the handler of task()', handler, 'a function');
  const {
    when: asked = 'always',
    key,
    anonymous,
    ...of
  } = checkNames('task()', given, NAMES, []) as TaskOptions;
  const isSlow = isObject(asked);
  const when: When = isSlow
    ? 'slow'
    : checkChoice('when of task()', asked, ['always', 'required', 'manual']);
  if (key !== undefined && when === 'manual')
    throw optionsContradict(
      "key of task(): a handler with when: 'manual' has begun before its task is looked for",
    );
  const time = (name: keyof typeof TASK_TIMES, range: NumberRange): number =>
    checkNumber(`${name} of task()`, of[name] ?? TASK_TIMES[name], range);
  return {
    when,
    slowerThanMs: isSlow
      ? checkNumber('when.slowerThanMs of task()', asked.slowerThanMs, { ...POLL_MS, min: 0 })
      : 0,
    settings: {
      afterCrash:
        of.afterCrash &&
        checkChoice<'run' | 'fail'>('afterCrash of task()', of.afterCrash, ['run', 'fail']),
      maxAttempts: checkNumber('maxAttempts of task()', of.maxAttempts ?? 5, ATTEMPTS),
      ttlMs: time('ttlMs', TASK_MS),
      keepMs: time('keepMs', TASK_MS),
      pollIntervalMs: time('pollIntervalMs', POLL_MS),
    },
    key:
      key &&
      (checkFunction(
        'key of task()',
        key,
        'a function of the arguments and the context',
      ) as CheckedTask['key']),
    isShared:
      anonymous !== undefined &&
      checkChoice('anonymous of task()', anonymous, ['shared']) === 'shared',
  };
}

async function started<Result>(
  run: TaskRun,
  handle: TaskOfCall,
  { when, slowerThanMs }: CheckedTask,
  key: TaskKey | undefined,
  handler: () => MaybePromise<Result>,
): Promise<Result> {
  const isSlow = when === 'slow' && run.launched === undefined;
  if (!isSlow && when !== 'manual' && run.task === undefined) {
    try {
      await handle.begin(run, key);
    } catch (cause) {
      throw new CallRefusal(cause as never);
    }
    // The client left before it heard of the task, or an earlier call has it.
    run.signal.throwIfAborted();
  }
  const stop = isSlow
    ? run.after(slowerThanMs, () => void handle.begin(run).catch(() => {}))
    : undefined;
  try {
    await run.task?.confirmed();
    return await handler();
  } finally {
    stop?.();
  }
}
