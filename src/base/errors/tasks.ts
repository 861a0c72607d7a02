/** Tasks (`durable/tasks/task.ts`), in calls and in the methods of the extension. */
import { quoted } from '../shown.ts';
import { ended, SojournError, unavailable } from './sojourn-error.ts';

const EXTENSION = 'io.modelcontextprotocol/tasks';

/** `what`: the method, or the tool. The extension names this shape of `data`. */
export const taskRequired = (what: string): SojournError =>
  new SojournError(
    'TASK_REQUIRED',
    `${what} needs a client that declares the extension ${EXTENSION} in this request`,
    {
      data: { requiredCapabilities: { extensions: { [EXTENSION]: {} } } },
    },
  );

/** For the author: `fallback: 'tools'` tells ids that nothing reads. */
export const taskToolsMissing = (): SojournError =>
  new SojournError(
    'TASK_REQUIRED',
    "tasks.fallback: 'tools' needs taskTools(server); this call did not run",
  );

export const taskToolUnknown = (tool: string): SojournError =>
  new SojournError(
    'TASK_REQUIRED',
    `The tool ${quoted(tool)} has a key, and only the server of its session has it; this call did not run`,
  );

/** Also for the id of another user, in the same words. */
export const taskNotFound = (): SojournError =>
  new SojournError(
    'TASK_NOT_FOUND',
    'There is no task with this id (any more): the id is wrong, or its time is over',
  );

export const taskUnreadable = (): SojournError =>
  new SojournError(
    'TASK_UNREADABLE',
    'A newer build of this server has made this task, and this one cannot read it',
  );

/** `limit`: the member of `limits`. */
export const tooManyTasks = (what: string, limit: string, most: number): SojournError =>
  unavailable(
    'TOO_MANY_TASKS',
    `${what} reached ${most} tasks (limits.${limit}); this call did not run`,
  );

export const taskTooLarge = (tool: string, bytes: number): SojournError =>
  new SojournError(
    'TASK_TOO_LARGE',
    `A call of the tool ${quoted(tool)} becomes a task only up to ${bytes} bytes; this call did not run`,
  );

export const tooManyAttempts = (attempts: number): SojournError =>
  ended(
    'TOO_MANY_ATTEMPTS',
    `The process of this task died ${attempts} times; it may have run`,
    true,
  );

export const resultTooLarge = (bytes: number, most: number): SojournError =>
  ended(
    'RESULT_TOO_LARGE',
    `The result of ${bytes} bytes is not kept, the most is ${most}; the task may have run`,
    true,
  );

/** For the author. */
export const stepInvalid = (name: string, why: string): SojournError =>
  new SojournError('STEP_INVALID', `The step ${quoted(name)} of a task ${why}`);
