/**
 * What clients ask of tasks, by the methods of the extension `io.modelcontextprotocol/tasks` (SEP-2663) or by calls that
 * wait for a task. Any instance answers from the store. A method checks that its client has declared the extension
 * before it looks at the id.
 *
 * Some calls cannot become a task: in sessions, of clients that do not declare the extension, and where the task of a
 * key must be looked for before a handler begins. For these the instance calls the tool once more, as a client with
 * tasks. The call of the client waits for that task, or tells its id.
 */
import { once } from 'node:events';
import { elapse } from '../../base/system.ts';
import { lookPauseMs, type OwnedParts } from '../records/owned-records.ts';
import type { ResolvedTasks } from '../../base/options/tasks-options.ts';
import { internal, invalidParams, SojournError, taskRequired } from '../../base/errors.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { Exchange } from '../../http/exchange.ts';
import { HeardAnswer } from '../../http/heard-answer.ts';
import type { AnswerSink } from '../../http/sink.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../../base/protocol/jsonrpc.ts';
import { callsTool, roleOf, type Role } from '../../base/protocol/methods.ts';
import { callRequestOf } from '../../cluster/relay/sent-request.ts';
import type { Call } from '../../session/calls/call.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import { quoted } from '../../base/shown.ts';
import { checkedAnswer } from './answer-check.ts';
import { launchedRequest } from './launched-call.ts';
import { tooMany } from './task-questions.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import { TakeOver } from './take-over.ts';
import { answerField, hasOpenQuestions, openQuestions } from './task-record.ts';
import { TaskRun } from './task-run.ts';
import { Tasks } from './tasks.ts';
import {
  declaredIn,
  type DetailedTask,
  gotTask,
  readableTask,
  TASKS_EXTENSION,
} from './wire-shapes.ts';

const ANSWER_BYTES = 65_536;
const DONE = JSON.stringify({ resultType: 'complete' });

const ABOUT_TASKS: ReadonlySet<Role | undefined> = new Set(['getTask', 'updateTask', 'cancelTask']);

/** Whether its client has declared the extension, in this request. */
function declaresTasks(request: RpcRequest): boolean {
  const { extensions } = declaredIn(request);
  return isObject(extensions) && isObject(extensions[TASKS_EXTENSION]);
}

/** No such notification is sent, as the extension allows: a client that has declared it hears that from the answer. */
function listensToTasks({ method, params }: RpcRequest): boolean {
  const filter = roleOf(method) === 'listen' ? params?.['notifications'] : undefined;
  return isObject(filter) && filter['taskIds'] !== undefined;
}

export class TaskRequests {
  readonly tasks: Tasks;
  readonly #takeOver: TakeOver;
  /** One request after the other for each task: each reads what the earlier ones have stored. */
  readonly #taking = new RecordQueues();

  /** `settings`: the option `tasks`. */
  constructor(given: OwnedParts, settings: ResolvedTasks) {
    this.tasks = new Tasks(given, settings);
    this.#takeOver = new TakeOver(this.tasks);
  }

  async close(graceMs: number): Promise<void> {
    this.#takeOver.stop();
    await this.tasks.close(graceMs);
  }

  /** Clients without tasks get a handle at once. */
  get fallsBackToTools(): boolean {
    return this.tasks.settings.fallback === 'tools';
  }

  /** Whether the request is about a task, or asks for notifications about tasks that its client may not get. */
  serves(request: RpcRequest): boolean {
    return (
      ABOUT_TASKS.has(roleOf(request.method)) ||
      (listensToTasks(request) && !declaresTasks(request))
    );
  }

  /** `undefined`: the call cannot become a task. */
  open(
    exchange: Exchange,
    response: AnswerSink,
    request: RpcRequest,
    version: string,
  ): TaskRun | undefined {
    if (!callsTool(request.method) || !declaresTasks(request)) return undefined;
    return new TaskRun(callRequestOf(exchange, request, version), this.tasks, {
      exchange,
      response,
    });
  }

  /** The result of such a request: JSON text. Rejects with the error that it is refused with. */
  async answer(request: RpcRequest, { userKey: user }: CallerRequest): Promise<string> {
    if (!declaresTasks(request)) throw taskRequired(request.method);
    const { taskId, inputResponses } = request.params ?? {};
    const id = taskId as string;
    switch (roleOf(request.method)) {
      case 'getTask': {
        const found = await this.tasks.store.find(id, user);
        if ('record' in found) void this.#takeOver.look(id, found);
        return gotTask(id, found);
      }
      case 'updateTask':
        await this.take(id, user, inputResponses);
        return DONE;
      default:
        await this.cancel(id, user);
        return DONE;
    }
  }

  // ——— calls, too ———

  /**
   * Calls the tool of this call. Resolves with the id of its task; `undefined`: a server that is made for one request
   * lacks the tool. Rejects with `CallRefusal`, and when `signal` aborts.
   */
  async launch(call: Call, signal: AbortSignal): Promise<string | undefined> {
    signal.throwIfAborted();
    const { run, heard } = this.prepare(call);
    const left = (): void => heard.done();
    signal.addEventListener('abort', left, { once: true });
    call.leaveTool();
    this.tasks.serve(run);
    try {
      const { result, error } = JSON.parse(await heard.answered) as Partial<RpcResponse>;
      signal.throwIfAborted();
      if (isObject(result) && result['resultType'] === 'task') return String(result['taskId']);
      const refusal = heard.refused ?? run.handler.refusal;
      if (refusal !== undefined) throw new CallRefusal(refusal);
      // Its `key` threw, or is none: the call of the client throws the same.
      if (run.handler.thrown !== undefined) throw run.handler.thrown.cause;
      if (run.handler.hasBegun)
        throw new CallRefusal(internal(error ?? new Error('A call did not become a task')));
      return undefined;
    } finally {
      signal.removeEventListener('abort', left);
    }
  }

  /** A run whose handler does not begin by itself. */
  prepare(call: Call): { readonly run: TaskRun; readonly heard: HeardAnswer } {
    const heard = new HeardAnswer();
    return {
      run: new TaskRun(launchedRequest(call), this.tasks, { exchange: heard, response: heard }),
      heard,
    };
  }

  /**
   * The task once it has ended or asks its client, or as it is after `ms`. Throws `TASK_NOT_FOUND`. Rejects when `signal`
   * aborts.
   */
  async wait(
    id: string,
    user: string | undefined,
    ms: number,
    signal: AbortSignal,
  ): Promise<DetailedTask> {
    const { timeProvider: time } = this.tasks.options;
    const began = time.monotonic();
    for (;;) {
      signal.throwIfAborted();
      const found = await this.tasks.store.find(id, user);
      if (!('record' in found) || hasOpenQuestions(found.record.fields))
        return readableTask(id, found);
      const waited = time.monotonic() - began;
      if (waited >= ms) return readableTask(id, found);
      void this.#takeOver.look(id, found);
      const age = Math.max(waited, time.now() - found.record.createdAt);
      await this.#pause(id, Math.min(ms - waited, lookPauseMs(age)), signal);
    }
  }

  /** `false`: it had ended. Throws `TASK_NOT_FOUND`. */
  async cancel(id: string, user: string | undefined): Promise<boolean> {
    const found = await this.tasks.store.find(id, user);
    return 'record' in found && this.tasks.end(id, { status: 'cancelled' });
  }

  async #pause(id: string, ms: number, signal: AbortSignal): Promise<void> {
    const { changes, options } = this.tasks;
    const over = new AbortController();
    const changed = once(changes, id, { signal: over.signal }).catch(() => {});
    await Promise.race([changed, elapse(options.timeProvider, ms, signal)]);
    over.abort();
  }

  /** Stores answers to open questions. Throws `TASK_NOT_FOUND`, and stores none if one is wrong or too large. */
  take(id: string, user: string | undefined, given: unknown): Promise<void> {
    return this.#taking.steps(id, () => this.#take(id, user, given));
  }

  async #take(id: string, user: string | undefined, given: unknown): Promise<void> {
    const found = await this.tasks.store.find(id, user);
    if (!('record' in found)) return;
    const { fields, owner } = found.record;
    const open = openQuestions(fields);
    const added: Record<string, string> = {};
    for (const [key, answer] of Object.entries(isObject(given) ? given : {})) {
      const question = Object.hasOwn(open, key) ? open[key] : undefined;
      if (question === undefined) continue;
      const checked = checkedAnswer(question, answer);
      if ('why' in checked)
        throw invalidParams(`the answer to the question ${quoted(key)} is wrong: ${checked.why}`);
      const { json } = checked;
      if (Buffer.byteLength(json) > ANSWER_BYTES)
        throw invalidParams(`an answer has more than ${ANSWER_BYTES} bytes`);
      added[answerField(key)] = json;
    }
    if (tooMany({ ...fields, ...added }) instanceof SojournError)
      throw invalidParams(
        'the questions and answers of this task have more bytes than a task may have',
      );
    const answers = Object.entries(added);
    if (answers.length === 0) return;
    const { store } = this.tasks;
    for (const [field, text] of answers)
      await store.reach(() => store.records.add(id, field, text));
    // An answer that was there before may be this one: the reply to an earlier try may be lost.
    this.tasks.ring(id, owner);
    // It has no owner, or its owner may be dead.
    void this.#takeOver.look(id);
  }
}

/** What the endpoint that serves a call has. `undefined`: it is of another copy of sojourn, or has no tasks. */
export function tasksOf(call: Call | undefined): TaskRequests | undefined {
  const tasks = call?.services?.tasks;
  return tasks instanceof TaskRequests ? tasks : undefined;
}

export const hasEnded = ({ status }: DetailedTask): boolean =>
  status !== 'working' && status !== 'input_required';

/** The answer of a tool that threw. That was noticed in its run. */
export const failed = (text: string): unknown => ({
  content: [{ type: 'text', text }],
  isError: true,
});

/** What the call of an ended task answers. */
export function resultOf({ status, result, error, statusMessage }: DetailedTask): unknown {
  // It is no member of earlier revisions, and the SDK adds it for this one.
  if (status === 'completed')
    return isObject(result) ? { ...result, resultType: undefined } : result;
  const failure: Partial<SojournError> = isObject(error) ? error : {};
  return failed(failure.message ?? statusMessage ?? `The task is ${status}`);
}
