/** `endpoint.tasks`: the tasks of the deployment, for the application. */
import { optionsContradict, RPC } from '../base/errors.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import { readOutcome, readBody } from '../durable/tasks/task-record.ts';
import type { FoundTask } from '../durable/tasks/task-store.ts';
import type { Tasks } from '../durable/tasks/tasks.ts';
import { type DetailedTask, livingTask, readableTask } from '../durable/tasks/wire-shapes.ts';
import { UnreadableRecords } from '../stores/shared/unreadable-records.ts';
import type { Core } from './core.ts';
import { pagedList, pageLimit, type PagedList, type PageRequest } from './sessions.ts';

/** A task, as `endpoint.tasks` shows it. */
export interface TaskInfo extends DetailedTask {
  readonly tool: string;
  /** The key of the user of its call, for comparisons; `undefined`: a caller without one. */
  readonly userKey: string | undefined;
}

export interface TaskInfoPage {
  tasks: TaskInfo[];
  nextCursor?: string;
}

/**
 * The tasks of the deployment, from any instance. Each method rejects with `STORE_UNAVAILABLE`
 * where the store stays away.
 * @experimental
 */
export interface EndpointTasks {
  /** How many tasks have not ended: all, or those of one user. */
  count(userKey?: string): Promise<number>;
  /** Tasks that have not ended, page by page or one by one. */
  list(page?: PageRequest): PagedList<TaskInfoPage, TaskInfo>;
  /** `undefined`: there is none, or its time is over. An ended task has no `userKey`. */
  get(taskId: string): Promise<TaskInfo | undefined>;
  /** `false`: it had ended. */
  cancel(taskId: string): Promise<boolean>;
  /** Ends a task with the result of its call: what its handler would have returned. `false`: it had ended. */
  complete(taskId: string, result: Readonly<Record<string, unknown>>): Promise<boolean>;
  /** Ends a task with a JSON-RPC error, code −32603. `false`: it had ended. */
  fail(taskId: string, error: Error): Promise<boolean>;
}

function infoOf(taskId: string, found: FoundTask | undefined): TaskInfo | undefined {
  if (found === undefined) return undefined;
  if ('record' in found) {
    const { kept, record } = found;
    return { ...readableTask(taskId, found), tool: kept.tool, userKey: record.user ?? undefined };
  }
  const outcome = readOutcome(found.outcome);
  return outcome && { ...readableTask(taskId, found), tool: outcome.tool, userKey: undefined };
}

export function endpointTasks(core: Core): EndpointTasks {
  const unreadable = new UnreadableRecords('tasks', core.options.logger);
  const opened = async (): Promise<Tasks> => {
    if (core.tasks === undefined)
      throw optionsContradict('endpoint.tasks: there are none without tasks: true');
    await core.ready();
    return core.tasks.tasks;
  };
  const readPage = async (page: PageRequest): Promise<TaskInfoPage> => {
    const { userKey, cursor } = page;
    const limit = pageLimit(page);
    const { store } = await opened();
    const group = userKey === undefined ? undefined : await store.group(userKey);
    const listed = await store.records.list(limit, cursor, group);
    const { nextCursor } = listed;
    const { rows } = unreadable.split(listed, (record) => {
      const kept = readBody(record.body);
      if (kept === undefined) return [];
      return [{ ...livingTask(record, kept), tool: kept.tool, userKey: record.user ?? undefined }];
    });
    return { tasks: rows.flat(), ...(nextCursor !== undefined && { nextCursor }) };
  };
  return {
    count: async (userKey) => {
      const { store } = await opened();
      return userKey === undefined
        ? store.records.count()
        : store.records.count(await store.group(userKey));
    },
    list: (page = {}) => pagedList(page, readPage, ({ tasks }) => tasks),
    get: async (taskId) => infoOf(taskId, await (await opened()).store.read(taskId)),
    cancel: async (taskId) => (await opened()).end(taskId, { status: 'cancelled' }),
    complete: async (taskId, result) => {
      if (!isObject(result))
        throw new TypeError(
          'complete(): the result of a task must be an object, as a handler returns it',
        );
      return (await opened()).end(taskId, {
        status: 'completed',
        resultJson: JSON.stringify(result),
      });
    },
    fail: async (taskId, error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      return (await opened()).end(taskId, {
        status: 'failed',
        error: { code: RPC.internal, message },
      });
    },
  };
}
