/** What a handler does with its task. Where its call is no task, everything works that needs no client with tasks. */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type CreateMessageRequestParams,
  type CreateMessageResult,
  type ElicitRequestParams,
  type ElicitResult,
  MissingRequiredClientCapabilityError,
} from '@modelcontextprotocol/server';
import { digestText } from '../../base/digest.ts';
import { handledIf } from '../../base/handled-rejections.ts';
import { SojournError, stepInvalid, taskRequired } from '../../base/errors.ts';
import { idText, systemRandom } from '../../base/system.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import {
  changedContext,
  type MethodWay,
  notifying,
  signalOf,
} from '../../session/calls/handler-context.ts';
import type { State } from '../../base/types.ts';
import type { Call } from '../../session/calls/call.ts';
import { toolOfCall } from '../../session/calls/listed-tool.ts';
import { mayRepeat } from '../../session/calls/markers.ts';
import { tooMany, undeclared, wrongQuestion } from './task-questions.ts';
import { resultOf, tasksOf } from './task-requests.ts';
import type { OwnedTask } from './owned-task.ts';
import { type GivenSettings, questionField } from './task-record.ts';
import type { TaskRun } from './task-run.ts';
import type { TaskKey } from './task-store.ts';
import { progressText } from './progress.ts';

/** A task that waits for its client for longer holds nothing in the process. */
const PARK_MS = 60_000;
const CALL_ID_BYTES = 16;
const NAME_LENGTH = 22;

/**
 * The task of a call.
 * @experimental
 */
export interface RunningTask {
  /** `undefined`: this call is no task, or not yet. */
  readonly taskId: string | undefined;
  /** 1, and 1 more after each crash. */
  readonly attempt: number;
  /**
   * Aborts on cancel, at the end of its time, on a drain, when it parks and when another instance takes it over. The
   * signal of the call, where that is no task.
   */
  readonly signal: AbortSignal;
  /** Makes the call a task now. Its client is answered, and asks for the result from then on. */
  start(): Promise<void>;
  /**
   * Runs `run` at least once and records its JSON result: later runs of the task get that result. It runs again after
   * a crash between its effect and the record. Give `key` to the service that it calls, which can then tell.
   */
  step<T>(name: string, run: (key: string) => T | Promise<T>): Promise<T>;
  /** Asks the user. The answer is kept over crashes. `name`: of the question, once for each run. */
  elicit(name: string, params: ElicitRequestParams): Promise<ElicitResult>;
  /** Asks the model of the client. */
  sample(name: string, params: CreateMessageRequestParams): Promise<CreateMessageResult>;
  /** What the client shows while it waits. */
  status(text: string): void;
  progress(done: number, total?: number, text?: string): void;
  /** JSON values that later runs of the task read. */
  readonly state: Pick<State, 'get' | 'set'>;
  /**
   * Ends the run without a result, and calls `begin` with the id of the task. Work elsewhere then ends the task with
   * `endpoint.tasks.complete` or `fail`.
   */
  detach(begin: (taskId: string) => unknown): Promise<never>;
}

const present = new AsyncLocalStorage<RunningTask>();

export const inTask = <T>(handle: RunningTask, work: () => T): T => present.run(handle, work);

/**
 * The task whose handler runs.
 * @experimental
 */
export const currentTask = (): RunningTask | undefined => present.getStore();

/** The SDK's methods that ask the client. */
type Asks = 'elicitInput' | 'requestSampling';

/** `afterCrash`: as its author said. */
export type AuthorSettings = Omit<GivenSettings, 'afterCrash'> & {
  readonly afterCrash: GivenSettings['afterCrash'] | undefined;
};

export class TaskOfCall implements RunningTask {
  readonly #call: Call | undefined;
  readonly #run: TaskRun | undefined;
  readonly #settings: AuthorSettings;
  readonly #used = new Set<string>();
  /** For the keys of steps, where the call is no task. */
  readonly #callId = idText(systemRandom(CALL_ID_BYTES));
  /** The state of a call that is no task yet. */
  readonly #values = new Map<string, string>();

  readonly #ctx: unknown;
  #settle: (outcome: Promise<unknown>) => void = () => {};

  constructor(
    call: Call | undefined,
    run: TaskRun | undefined,
    settings: AuthorSettings,
    ctx: unknown,
  ) {
    this.#call = call;
    this.#run = run;
    this.#settings = settings;
    this.#ctx = ctx;
  }

  get #task(): OwnedTask | undefined {
    return this.#run?.task;
  }

  get taskId(): string | undefined {
    return this.#task?.id;
  }

  get attempt(): number {
    return this.#run?.attempt ?? 1;
  }

  get signal(): AbortSignal {
    return this.#run?.signal ?? signalOf(this.#ctx);
  }

  /** What this handle rejects by itself, and all once the run is over, is no mistake of the handler. */
  #told<T>(work: () => Promise<T>): Promise<T> {
    const isOwn = (cause: unknown): boolean =>
      cause instanceof SojournError || cause instanceof MissingRequiredClientCapabilityError;
    return handledIf((cause) => isOwn(cause) || this.signal.aborted, work());
  }

  start(): Promise<void> {
    return this.#told(async () => {
      if (this.#run !== undefined) await this.begin(this.#run);
      await this.#recordEarlier();
    });
  }

  /** Makes the call of `run` a task. */
  async begin(run: TaskRun, key?: TaskKey): Promise<void> {
    const hinted = async () =>
      this.#call !== undefined && mayRepeat(await toolOfCall(this.#call, this.#ctx))
        ? 'run'
        : 'fail';
    const afterCrash = this.#settings.afterCrash ?? (await hinted());
    await run.start({ ...this.#settings, afterCrash }, key);
  }

  /** What the handler has set while its call was no task, for later runs. */
  async #recordEarlier(): Promise<void> {
    for (const [key, json] of this.#task === undefined ? [] : this.#values) {
      this.#values.delete(key);
      this.#task?.steps.checkName('t', key);
      await this.#task?.steps.record('t', key, json);
    }
  }

  step<T>(name: string, run: (key: string) => T | Promise<T>): Promise<T> {
    return this.#told(async () => {
      const { steps } = this.#task ?? {};
      if (this.#values.size > 0) await this.#recordEarlier();
      this.#once(`s${name}`, name);
      steps?.checkName('s', name);
      const known = steps?.get('s', name);
      if (known !== undefined) return JSON.parse(known) as T;
      await this.#task?.confirmed();
      const json = jsonOf(name, await run(`${this.#stepsOf}:${name}`));
      await steps?.record('s', name, json);
      return JSON.parse(json) as T;
    });
  }

  /** Whose steps these are. A task has the id of an earlier one where it has a key, and other steps. */
  get #stepsOf(): string {
    const { id, createdAt } = this.#task ?? {};
    return id === undefined ? this.#callId : digestText(`${id} ${createdAt}`).slice(0, NAME_LENGTH);
  }

  #once(used: string, name: string): void {
    if (this.#used.has(used))
      throw stepInvalid(name, 'comes twice in one run: give each its own name');
    this.#used.add(used);
  }

  elicit(name: string, params: ElicitRequestParams): Promise<ElicitResult> {
    return this.#told(() => this.#ask(name, 'elicitation/create', params, 'elicitInput'));
  }

  sample(name: string, params: CreateMessageRequestParams): Promise<CreateMessageResult> {
    return this.#told(() => this.#ask(name, 'sampling/createMessage', params, 'requestSampling'));
  }

  async #ask<T>(name: string, method: string, params: unknown, way: Asks): Promise<T> {
    const [run, task] = [this.#run, this.#task];
    const wrong = wrongQuestion(name, { method, params });
    if (wrong !== undefined) throw wrong;
    this.#once(`q${name}`, name);
    if (run === undefined || task === undefined) {
      const request = isObject(this.#ctx) ? this.#ctx['mcpReq'] : undefined;
      const ask = isObject(request) ? request[way] : undefined;
      if (typeof ask === 'function') return ask.call(request, params) as Promise<T>;
      throw stepInvalid(name, `cannot be asked: the handler has no ctx.mcpReq.${way}`);
    }
    const missing = undeclared(name, { method, params }, run.request);
    if (missing !== undefined) throw missing;
    const field = questionField(name);
    if (task.fields[field] === undefined) {
      const full = tooMany({ ...task.fields, [field]: JSON.stringify({ method, params }) });
      if (full !== undefined) throw full;
    }
    const stop =
      this.#settings.afterCrash === 'run' ? run.after(PARK_MS, () => this.#park(run)) : undefined;
    try {
      return (await task.questions.ask(name, { method, params })) as T;
    } finally {
      stop?.();
    }
  }

  /** Its handler never settles: another run gets the answer. */
  #park(run: TaskRun): void {
    run.park();
    this.#call?.abandon();
  }

  status(text: string): void {
    this.#task?.shows(String(text));
  }

  progress(done: number, total?: number, text?: string): void {
    this.status(progressText(done, total, text));
  }

  get state(): RunningTask['state'] {
    return {
      get: async <T>(key: string) => {
        const json = this.#values.get(key) ?? this.#task?.steps.get('t', key);
        return json === undefined ? undefined : (JSON.parse(json) as T);
      },
      set: (key, value) =>
        this.#told(async () => {
          this.#task?.steps.checkName('t', key);
          this.#values.set(key, jsonOf(key, value));
          await this.#recordEarlier();
        }),
    };
  }

  detach(begin: (taskId: string) => unknown): Promise<never> {
    return this.#told(async () => {
      const run = this.#run;
      if (run === undefined) return this.#detachHere(begin);
      await this.start();
      await detached(run, begin);
      this.#call?.abandon();
      return new Promise<never>(() => {});
    });
  }

  /** The call is no task: its client waits for one. */
  async #detachHere(begin: (taskId: string) => unknown): Promise<never> {
    const call = this.#call;
    const tasks = tasksOf(call);
    if (call === undefined || tasks === undefined) throw taskRequired('task.detach()');
    const { run } = tasks.prepare(call);
    await this.begin(run);
    const id = await detached(run, begin);
    this.#settle(
      tasks.wait(id, call.caller?.userKey, Infinity, signalOf(this.#ctx)).then(resultOf),
    );
    return new Promise<never>(() => {});
  }

  /** Settles with the outcome of a task to which the handler of an ordinary call has left the rest. */
  get outcome(): Promise<unknown> {
    return new Promise((resolve) => (this.#settle = resolve));
  }
}

/**
 * Returns the id of the task. It has no run any more: what happens now does not end it by itself. Nothing begins for a
 * task that has ended, or runs at another instance.
 */
async function detached(run: TaskRun, begin: (taskId: string) => unknown): Promise<string> {
  await run.task?.confirmed();
  const id = run.running?.id;
  if (id === undefined) throw taskRequired('task.detach()');
  if (!(await run.detach())) return id;
  try {
    await begin(id);
  } catch (cause) {
    await run.failDetached(id, cause);
  }
  return id;
}

function jsonOf(name: string, value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value ?? null);
  } catch (cause) {
    throw stepInvalid(
      name,
      `has a value that is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
  if (json === undefined) throw stepInvalid(name, `has a value that is no JSON: ${typeof value}`);
  return json;
}

// ——— the context of its handler ———

/** `ctx` of a handler whose call may be a task: questions become questions of the task, and signals its signal. */
export function taskContext(ctx: unknown, run: TaskRun, handle: TaskOfCall): unknown {
  const asked = new Map<string, number>();
  /** The same question has the same name in each run, and a number where it is asked again in one. */
  const nameOf = (kind: string, params: unknown): string => {
    const name = `${kind}-${digestText(JSON.stringify(params ?? null)).slice(0, NAME_LENGTH)}`;
    const times = (asked.get(name) ?? 0) + 1;
    asked.set(name, times);
    return times === 1 ? name : `${name}-${times}`;
  };
  const asTask =
    (work: (params: unknown) => unknown): MethodWay =>
    (send, [params]) =>
      run.task === undefined ? send() : work(params);
  return changedContext(ctx, run.signal, {
    // No client gets these, and a rejection would stop the handler half-way.
    ...notifying(asTask((notification) => run.message(JSON.stringify(notification ?? null)))),
    elicitInput: asTask((params) =>
      handle.elicit(nameOf('elicit', params), params as ElicitRequestParams),
    ),
    requestSampling: asTask((params) =>
      handle.sample(nameOf('sample', params), params as CreateMessageRequestParams),
    ),
  });
}
