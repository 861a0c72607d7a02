/** A task that a test has started in a lab, as its client sees it. */
import { ProtocolError } from '@modelcontextprotocol/server';
import type { DetailedTask } from '../../durable/tasks/wire-shapes.ts';
import type { until, UntilOptions } from '../until.ts';
import type { LabResult, Params } from './lab-client.ts';

/** Asks the instance that started the task while it serves, else another one. */
type AskInstance = (method: string, params: Params) => Promise<Params>;

/** A task of {@link LabInstance.callTask}. Its methods ask a living instance, and reject if there is none. */
export class LabTask {
  readonly id: string;
  readonly tool: string;
  readonly #ask: AskInstance;
  readonly #until: typeof until;

  constructor(id: string, tool: string, ask: AskInstance, wait: typeof until) {
    this.id = id;
    this.tool = tool;
    this.#ask = ask;
    this.#until = wait;
  }

  /** What `tasks/get` answers. */
  async status(): Promise<DetailedTask> {
    const { resultType: _, ...task } = await this.#ask('tasks/get', { taskId: this.id });
    return task as unknown as DetailedTask;
  }

  /**
   * Answers a question of the task, once it is asked: `answer('sure', { action: 'accept', content: { ok: true } })`.
   * Rejects if the task ends without it.
   */
  async answer(key: string, value: unknown): Promise<void> {
    const what = `the question '${key}' of ${this.#name}`;
    const { status } = await this.#once(what, ({ inputRequests = {} }) =>
      Object.hasOwn(inputRequests, key),
    );
    if (status !== 'input_required')
      throw new Error(`answer('${key}'): ${this.#name} is ${status}, and has not asked that`);
    await this.#ask('tasks/update', { taskId: this.id, inputResponses: { [key]: value } });
  }

  async cancel(): Promise<void> {
    await this.#ask('tasks/cancel', { taskId: this.id });
  }

  /**
   * The result, once there is one; `timeoutMs` by the clock of the machine, default 5,000. Rejects with the
   * `ProtocolError` of a failed task, and at once when the task is cancelled or waits for an answer.
   */
  async result(options: Pick<UntilOptions, 'timeoutMs'> = {}): Promise<LabResult> {
    const isAsking = ({ status }: DetailedTask): boolean => status === 'input_required';
    const task = await this.#once(`the result of ${this.#name}`, isAsking, options);
    const { status, result, error, inputRequests = {} } = task;
    if (status === 'completed') return result as LabResult;
    if (status === 'failed') {
      const { code, message, data } = error as { code: number; message: string; data?: unknown };
      throw ProtocolError.fromError(code, message, data);
    }
    if (status === 'cancelled') throw new Error(`result(): ${this.#name} was cancelled`);
    const [key = ''] = Object.keys(inputRequests);
    throw new Error(
      `result(): ${this.#name} waits for the answer to '${key}': call answer('${key}', { action: 'accept', … }) first`,
    );
  }

  /** The task, once it is so or has ended. */
  async #once(
    what: string,
    isSo: (task: DetailedTask) => boolean,
    options: UntilOptions = {},
  ): Promise<DetailedTask> {
    const look = () =>
      this.status().then(
        (task) =>
          isSo(task) || !/^(?:working|input_required)$/.test(task.status) ? { task } : undefined,
        (failure: unknown) => ({ failure }),
      );
    const found = await this.#until(look, { ...options, what });
    if (found === undefined || 'failure' in found) throw found?.failure;
    return found.task;
  }

  get #name(): string {
    return `the task '${this.tool}'`;
  }
}
