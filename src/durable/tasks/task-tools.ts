/** The tools with which clients without tasks read a task and end it (`fallback: 'tools'`). */
import { fromJsonSchema, type McpServer } from '@modelcontextprotocol/server';
import { SojournError, taskRequired } from '../../base/errors.ts';
import { currentCall } from '../../session/calls/call.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import { signalOf } from '../../session/calls/handler-context.ts';
import { askingResult, passAnswers, STATUS_TOOL } from './separate-task.ts';
import { failed, hasEnded, resultOf, type TaskRequests, tasksOf } from './task-requests.ts';
import type { DetailedTask } from './wire-shapes.ts';

/** Clients wait for 5 s at least. */
const WAIT_MS = 4_000;
const TASK_ID = { type: 'string', description: 'As the tool that began the task has told it' };

type OfTask = { readonly taskId: string };
const inputSchema = fromJsonSchema<OfTask>({
  type: 'object',
  properties: { taskId: TASK_ID },
  required: ['taskId'],
});

/**
 * Registers `task_status` and `task_cancel`. They answer for the tasks of the caller: `task_status` with the result of
 * an ended task, or after 4 s with its state, and it asks what the task asks.
 * @experimental
 */
export function taskTools(server: McpServer): void {
  const status = {
    description:
      'Waits some seconds for a task, and returns its result, or how far it is. Call it again until it ends.',
    inputSchema,
    annotations: { readOnlyHint: true, openWorldHint: false },
  };
  const cancel = {
    description: 'Ends a task',
    inputSchema,
    annotations: { destructiveHint: true, idempotentHint: true, openWorldHint: false },
  };
  server.registerTool(
    STATUS_TOOL,
    status,
    async ({ taskId }, ctx) => (await told(statusOf(taskId, ctx))) as never,
  );
  server.registerTool(
    'task_cancel',
    cancel,
    async ({ taskId }) => (await told(cancelled(taskId))) as never,
  );
}

/** A wrong id is a mistake of the client. */
const told = (answer: Promise<unknown>): Promise<unknown> =>
  answer.catch((cause: unknown) => {
    if (cause instanceof SojournError && cause.code === 'TASK_NOT_FOUND')
      return failed(cause.message);
    throw cause;
  });

function present(): { readonly tasks: TaskRequests; readonly user: string | undefined } {
  const call = currentCall.getStore();
  const tasks = tasksOf(call);
  if (tasks === undefined) throw new CallRefusal(taskRequired('A tool of taskTools()'));
  return { tasks, user: call?.caller?.userKey };
}

async function statusOf(id: string, ctx: unknown): Promise<unknown> {
  const { tasks, user } = present();
  await passAnswers(tasks, id, user, ctx);
  const task = await tasks.wait(id, user, WAIT_MS, signalOf(ctx));
  if (hasEnded(task)) return resultOf(task);
  return task.status === 'input_required' ? askingResult(task) : working(task);
}

function working({ taskId, status, statusMessage, pollIntervalMs }: DetailedTask): unknown {
  const text = `The task is not over${statusMessage === undefined ? '' : `: ${statusMessage}`}. Call ${STATUS_TOOL} again.`;
  return {
    content: [{ type: 'text', text }],
    structuredContent: { taskId, status, statusMessage, pollIntervalMs },
  };
}

async function cancelled(id: string): Promise<unknown> {
  const { tasks, user } = present();
  const ends = await tasks.cancel(id, user);
  return {
    content: [{ type: 'text', text: ends ? 'The task is cancelled.' : 'The task was over.' }],
  };
}
