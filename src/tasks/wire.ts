/**
 * The methods of the extension `io.modelcontextprotocol/tasks` (SEP-2663): `tasks/get`, `tasks/update`, `tasks/cancel`.
 * Any instance answers them from the store. Each checks that its client has declared the extension, before it looks at
 * the id.
 */
import { CLIENT_CAPABILITIES_META_KEY } from '@modelcontextprotocol/server';
import { invalidParams, SojournError, taskRequired, taskUnreadable } from '../errors.ts';
import { type TaskCall, type TaskCalls, TASKS_EXTENSION } from '../eras/modern/task-calls.ts';
import type { Caller } from '../http/exchange.ts';
import { isObject, type RpcRequest } from '../protocol/jsonrpc.ts';
import { tooMany } from './questions.ts';
import { fieldsOf } from '../relay/sent-request.ts';
import { answerField, openQuestions } from './task-record.ts';
import type { TakeOver } from './take-over.ts';
import { TaskRun } from './task-run.ts';
import type { Tasks } from './tasks.ts';
import { detailedTask } from './wire-shapes.ts';

const ANSWER_BYTES = 65_536;
const DONE = { resultType: 'complete' };

const METHODS: ReadonlySet<string> = new Set(['tasks/get', 'tasks/update', 'tasks/cancel']);

/** Whether its client has declared the extension, in this request. */
function declaresTasks({ params }: RpcRequest): boolean {
  const meta = params?.['_meta'];
  const capabilities = isObject(meta) ? meta[CLIENT_CAPABILITIES_META_KEY] : undefined;
  const extensions = isObject(capabilities) ? capabilities['extensions'] : undefined;
  return isObject(extensions) && isObject(extensions[TASKS_EXTENSION]);
}

export class TaskWire implements TaskCalls {
  readonly #tasks: Tasks;
  readonly #takeOver: TakeOver;

  constructor(tasks: Tasks, takeOver: TakeOver) {
    this.#tasks = tasks;
    this.#takeOver = takeOver;
  }

  serves(method: string): boolean {
    return METHODS.has(method);
  }

  open({ exchange, response, request, version, isOpen }: Parameters<TaskCalls['open']>[0]): TaskCall | undefined {
    if (request.method !== 'tools/call' || !declaresTasks(request)) return undefined;
    return new TaskRun({ ...fieldsOf(exchange), request, version }, this.#tasks, { exchange, response, isOpen });
  }

  async answer(request: RpcRequest, { user }: Caller): Promise<Readonly<Record<string, unknown>>> {
    if (!declaresTasks(request)) throw taskRequired(request.method);
    const { taskId, inputResponses } = request.params ?? {};
    const id = taskId as string;
    switch (request.method) {
      case 'tasks/get':
        return this.#get(id, user);
      case 'tasks/update':
        return this.#update(id, user, inputResponses);
      default:
        return this.#cancel(id, user);
    }
  }

  async #get(id: string, user: string | undefined): Promise<Readonly<Record<string, unknown>>> {
    const found = await this.#tasks.store.find(id, user);
    const task = detailedTask(id, found);
    if (task === undefined) throw taskUnreadable();
    if ('record' in found) this.#takeOver.seen(found);
    return { ...DONE, ...task };
  }

  async #update(id: string, user: string | undefined, given: unknown): Promise<typeof DONE> {
    const found = await this.#tasks.store.find(id, user);
    if (!('record' in found)) return DONE;
    const { fields, owner } = found.record;
    const open = openQuestions(fields);
    const answers = new Map<string, string>();
    for (const [key, answer] of Object.entries(isObject(given) ? given : {})) {
      if (!Object.hasOwn(open, key)) continue;
      const text = JSON.stringify(answer);
      if (Buffer.byteLength(text) > ANSWER_BYTES) throw invalidParams(`an answer has more than ${ANSWER_BYTES} bytes`);
      answers.set(key, text);
    }
    const added = Object.fromEntries([...answers].map(([key, text]) => [answerField(key), text]));
    if (tooMany({ ...fields, ...added }) instanceof SojournError)
      throw invalidParams('the questions and answers of this task have more bytes than a task may have');
    if (!(await this.#tasks.store.answer(id, answers))) return DONE;
    this.#tasks.ring(id, owner);
    // It has no owner, or its owner may be dead.
    this.#takeOver.look(id);
    return DONE;
  }

  async #cancel(id: string, user: string | undefined): Promise<typeof DONE> {
    const found = await this.#tasks.store.find(id, user);
    if ('record' in found) await this.#tasks.end(id, { status: 'cancelled' });
    return DONE;
  }
}
