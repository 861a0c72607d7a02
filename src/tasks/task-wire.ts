/**
 * The methods of the extension `io.modelcontextprotocol/tasks` (SEP-2663): `tasks/get`, `tasks/update`, `tasks/cancel`.
 * Any instance answers them from the store. Each checks that its client has declared the extension, before it looks at
 * the id.
 */
import { CLIENT_CAPABILITIES_META_KEY } from '@modelcontextprotocol/server';
import { taskRequired } from '../errors.ts';
import type { CallerRequest, Exchange } from '../http/exchange.ts';
import type { AnswerSink } from '../http/sink.ts';
import { isObject, type RpcRequest } from '../protocol/jsonrpc.ts';
import { callRequestOf } from '../relay/sent-request.ts';
import type { TakeOver } from './take-over.ts';
import type { TaskOutcomes } from './task-outcomes.ts';
import { TaskRun } from './task-run.ts';
import type { Tasks } from './tasks.ts';
import { gotTask, TASKS_EXTENSION } from './wire-shapes.ts';

const DONE = JSON.stringify({ resultType: 'complete' });

const METHODS: ReadonlySet<string> = new Set(['tasks/get', 'tasks/update', 'tasks/cancel']);

/** Whether its client has declared the extension, in this request. */
function declaresTasks({ params }: RpcRequest): boolean {
  const meta = params?.['_meta'];
  const capabilities = isObject(meta) ? meta[CLIENT_CAPABILITIES_META_KEY] : undefined;
  const extensions = isObject(capabilities) ? capabilities['extensions'] : undefined;
  return isObject(extensions) && isObject(extensions[TASKS_EXTENSION]);
}

/** No such notification is sent, as the extension allows: a client that has declared it hears that from the answer. */
function listensToTasks({ method, params }: RpcRequest): boolean {
  const filter = method === 'subscriptions/listen' ? params?.['notifications'] : undefined;
  return isObject(filter) && filter['taskIds'] !== undefined;
}

export class TaskWire {
  readonly #tasks: Tasks;
  readonly #takeOver: TakeOver;
  readonly #outcomes: TaskOutcomes;

  constructor(tasks: Tasks, takeOver: TakeOver, outcomes: TaskOutcomes) {
    this.#tasks = tasks;
    this.#takeOver = takeOver;
    this.#outcomes = outcomes;
  }

  /** Whether the request is about a task, or asks for notifications about tasks that its client may not get. */
  serves(request: RpcRequest): boolean {
    return METHODS.has(request.method) || (listensToTasks(request) && !declaresTasks(request));
  }

  /** `undefined`: the call cannot become a task. */
  open(exchange: Exchange, response: AnswerSink, request: RpcRequest, version: string): TaskRun | undefined {
    if (request.method !== 'tools/call' || !declaresTasks(request)) return undefined;
    return new TaskRun(callRequestOf(exchange, request, version), this.#tasks, { exchange, response });
  }

  /** The result of such a request: JSON text. Rejects with the error that it is refused with. */
  async answer(request: RpcRequest, { user }: CallerRequest): Promise<string> {
    if (!declaresTasks(request)) throw taskRequired(request.method);
    const { taskId, inputResponses } = request.params ?? {};
    const id = taskId as string;
    switch (request.method) {
      case 'tasks/get': {
        const found = await this.#tasks.store.find(id, user);
        if ('record' in found) void this.#takeOver.look(id, found);
        return gotTask(id, found);
      }
      case 'tasks/update':
        await this.#outcomes.answer(id, user, inputResponses);
        return DONE;
      default:
        await this.#outcomes.cancel(id, user);
        return DONE;
    }
  }
}
