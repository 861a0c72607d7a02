/**
 * A call of `task()` whose work is a task apart from it (`task-requests.ts`): with `key`, and of clients without tasks
 * where `fallback` is `'tools'`. The call waits for the outcome, or tells the id of the task.
 *
 * It asks its client as handlers do that return `inputRequired`: the SDK brings the answers in both eras and calls the
 * handler again, and then the key leads to the same task.
 */
import { SojournError, taskToolsMissing, taskToolUnknown } from '../../base/errors.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import type { Call } from '../../session/calls/call.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import { signalOf } from '../../session/calls/handler-context.ts';
import { listedTools } from '../../session/calls/listed-tool.ts';
import { hasEnded, resultOf, type TaskRequests } from './task-requests.ts';
import type { TaskRun } from './task-run.ts';
import type { DetailedTask } from './wire-shapes.ts';

/** The name of the tool that reads a task (`task-tools.ts`). */
export const STATUS_TOOL = 'task_status';

/**
 * What the call answers; `undefined`: its own handler must run. Rejects with what the call fails with. `run`: its client
 * has declared the extension. `slowerThanMs`: how long a client waits that can ask later.
 */
export async function apart(
  call: Call,
  tasks: TaskRequests,
  ctx: unknown,
  run: TaskRun | undefined,
  { hasKey, slowerThanMs }: { readonly hasKey: boolean; readonly slowerThanMs: number },
): Promise<unknown> {
  const signal = signalOf(ctx);
  const tellsId = run !== undefined || (await hasHandles(tasks, call, ctx));
  if (!tellsId && !hasKey) return undefined;
  const id = await tasks.launch(call, signal);
  if (id === undefined && hasKey) throw new CallRefusal(taskToolUnknown(call.target ?? ''));
  if (id === undefined) return undefined;
  const user = call.caller?.userKey;
  await passAnswers(tasks, id, user, ctx);
  const task = await tasks.wait(id, user, tellsId ? slowerThanMs : Infinity, signal);
  if (hasEnded(task)) return resultOf(task);
  if (run === undefined) return tellsId ? handleOf(task) : askingResult(task);
  run.attach(task);
  throw run.signal.reason;
}

/** Tools with an `outputSchema` wait: their clients check the result. */
async function hasHandles(tasks: TaskRequests, call: Call, ctx: unknown): Promise<boolean> {
  const { handlerServer: server, target = '' } = call;
  if (!tasks.fallsBackToTools || server === undefined) return false;
  const known = withHandles.get(server) ?? new Set();
  if (known.has(target)) return true;
  const tools = await listedTools(server, [STATUS_TOOL, target], ctx);
  if (!tools.has(STATUS_TOOL)) throw new CallRefusal(taskToolsMissing());
  const tool = tools.get(target);
  const has = isObject(tool) && tool['outputSchema'] === undefined;
  if (has) withHandles.set(server, known.add(target));
  return has;
}

/** Tools that had no `outputSchema` when they were listed. The server of a session takes many calls. */
const withHandles = new WeakMap<object, Set<string>>();

/** The answers of the client to what this call has asked are for the task. */
export async function passAnswers(
  tasks: TaskRequests,
  id: string,
  user: string | undefined,
  ctx: unknown,
): Promise<void> {
  const request = isObject(ctx) ? ctx['mcpReq'] : undefined;
  const given = isObject(request) ? request['inputResponses'] : undefined;
  if (given === undefined) return;
  await tasks.take(id, user, given).catch((cause: unknown) => {
    throw cause instanceof SojournError && cause.code === 'INVALID_PARAMS'
      ? new CallRefusal(cause)
      : cause;
  });
}

/** Asks the client what the task asks. */
export const askingResult = ({ inputRequests }: DetailedTask): unknown => ({
  resultType: 'input_required',
  inputRequests,
});

function handleOf({ taskId, status, pollIntervalMs }: DetailedTask): unknown {
  const text = `This continues as the task ${taskId}. Call ${STATUS_TOOL} with this taskId for its result.`;
  return {
    content: [{ type: 'text', text }],
    structuredContent: { taskId, status, pollIntervalMs },
  };
}
