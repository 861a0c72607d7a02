/** What a call has to do with a task that runs apart from it: it waits for its outcome, and answers its questions. */
import { once } from 'node:events';
import { elapse } from '../base/system.ts';
import { lookPauseMs } from '../owned/owned-records.ts';
import { invalidParams, SojournError } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { quoted } from '../base/shown.ts';
import { checkedAnswer } from './answer-check.ts';
import { tooMany } from './task-questions.ts';
import { RecordQueues } from '../stores/shared/record-queues.ts';
import type { TakeOver } from './take-over.ts';
import { answerField, hasOpenQuestions, openQuestions } from './task-record.ts';
import type { Tasks } from './tasks.ts';
import { type DetailedTask, readableTask } from './wire-shapes.ts';

const ANSWER_BYTES = 65_536;

export class TaskOutcomes {
  readonly #tasks: Tasks;
  readonly #takeOver: TakeOver;
  /** One request after the other for each task: each reads what the earlier ones have stored. */
  readonly #answering = new RecordQueues();

  constructor(tasks: Tasks, takeOver: TakeOver) {
    this.#tasks = tasks;
    this.#takeOver = takeOver;
  }

  /**
   * The task once it has ended or asks its client, or as it is after `ms`. Throws `TASK_UNKNOWN`. Rejects when `signal`
   * aborts.
   */
  async wait(id: string, user: string | undefined, ms: number, signal: AbortSignal): Promise<DetailedTask> {
    const { timeProvider: time } = this.#tasks.options;
    const began = time.monotonic();
    for (;;) {
      signal.throwIfAborted();
      const found = await this.#tasks.store.find(id, user);
      if (!('record' in found) || hasOpenQuestions(found.record.fields)) return readableTask(id, found);
      const waited = time.monotonic() - began;
      if (waited >= ms) return readableTask(id, found);
      void this.#takeOver.look(id, found);
      const age = Math.max(waited, time.now() - found.record.createdAt);
      await this.#pause(id, Math.min(ms - waited, lookPauseMs(age)), signal);
    }
  }

  /** `false`: it had ended. Throws `TASK_UNKNOWN`. */
  async cancel(id: string, user: string | undefined): Promise<boolean> {
    const found = await this.#tasks.store.find(id, user);
    return 'record' in found && this.#tasks.end(id, { status: 'cancelled' });
  }

  async #pause(id: string, ms: number, signal: AbortSignal): Promise<void> {
    const { changes, options } = this.#tasks;
    const over = new AbortController();
    const changed = once(changes, id, { signal: over.signal }).catch(() => {});
    await Promise.race([changed, elapse(options.timeProvider, ms, signal)]);
    over.abort();
  }

  /** Stores answers to open questions. Throws `TASK_UNKNOWN`, and stores none if one is wrong or too large. */
  answer(id: string, user: string | undefined, given: unknown): Promise<void> {
    return this.#answering.steps(id, () => this.#answer(id, user, given));
  }

  async #answer(id: string, user: string | undefined, given: unknown): Promise<void> {
    const found = await this.#tasks.store.find(id, user);
    if (!('record' in found)) return;
    const { fields, owner } = found.record;
    const open = openQuestions(fields);
    const added: Record<string, string> = {};
    for (const [key, answer] of Object.entries(isObject(given) ? given : {})) {
      const question = Object.hasOwn(open, key) ? open[key] : undefined;
      if (question === undefined) continue;
      const checked = checkedAnswer(question, answer);
      if ('why' in checked) throw invalidParams(`the answer to the question ${quoted(key)} is wrong: ${checked.why}`);
      const { json } = checked;
      if (Buffer.byteLength(json) > ANSWER_BYTES) throw invalidParams(`an answer has more than ${ANSWER_BYTES} bytes`);
      added[answerField(key)] = json;
    }
    if (tooMany({ ...fields, ...added }) instanceof SojournError)
      throw invalidParams('the questions and answers of this task have more bytes than a task may have');
    const answers = Object.entries(added);
    if (answers.length === 0) return;
    const { owned } = this.#tasks;
    for (const [field, text] of answers) await owned.reach(() => owned.records.add(id, field, text));
    // An answer that was there before may be this one: the reply to an earlier try may be lost.
    this.#tasks.ring(id, owner);
    // It has no owner, or its owner may be dead.
    void this.#takeOver.look(id);
  }
}

export const hasEnded = ({ status }: DetailedTask): boolean => status !== 'working' && status !== 'input_required';

/** The answer of a tool that threw. That was noticed in its run. */
export const failed = (text: string): unknown => ({ content: [{ type: 'text', text }], isError: true });

/** What the call of an ended task answers. */
export function resultOf({ status, result, error, statusMessage }: DetailedTask): unknown {
  // It is no member of earlier revisions, and the SDK adds it for this one.
  if (status === 'completed') return isObject(result) ? { ...result, resultType: undefined } : result;
  const failure: Partial<SojournError> = isObject(error) ? error : {};
  return failed(failure.message ?? statusMessage ?? `The task is ${status}`);
}
