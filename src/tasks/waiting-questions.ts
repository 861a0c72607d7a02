/** Questions of a run whose handler waits for the answers of its client. */
import { overMemory } from '../errors.ts';
import { heldBytes, type RunRoom } from './run-room.ts';
import { answerField, type InputRequest, questionField } from './task-record.ts';

/** What waits for an answer: its values, its text, and the code that asks. */
const QUESTION_WEIGHT = 3;

interface Waiting {
  resolve(answer: string): void;
  reject(reason: unknown): void;
}

/** A task whose handler asks. */
interface AskingTask {
  readonly fields: Record<string, string>;
  readonly run: { readonly signal: AbortSignal; readonly isParked: boolean; readonly room: RunRoom };
  storeQuestion(field: string, text: string): Promise<void>;
}

export class WaitingQuestions {
  readonly #task: AskingTask;
  readonly #waiting = new Map<string, Waiting>();

  constructor(task: AskingTask) {
    this.#task = task;
    const { run } = task;
    const stopped = (): void => {
      // A handler whose task parks never hears of it.
      if (!run.isParked) for (const { reject } of this.#waiting.values()) reject(run.signal.reason);
    };
    run.signal.addEventListener('abort', stopped, { once: true });
  }

  /** Resolves with the answer of its client. Rejects when the run is over before. */
  async ask(key: string, question: InputRequest): Promise<unknown> {
    const { fields, run } = this.#task;
    const [field, answer] = [questionField(key), answerField(key)];
    const known = fields[answer];
    if (known !== undefined) return JSON.parse(known) as unknown;
    run.signal.throwIfAborted();
    const text = fields[field] ?? JSON.stringify(question);
    if (fields[field] === undefined && !run.room.take(QUESTION_WEIGHT * heldBytes(field, text))) throw overMemory();
    const heard = new Promise<string>((resolve, reject) => this.#waiting.set(answer, { resolve, reject }));
    heard.catch(() => {});
    try {
      if (fields[field] === undefined) await this.#store(field, text);
      return JSON.parse(await heard) as unknown;
    } finally {
      this.#waiting.delete(answer);
    }
  }

  async #store(field: string, text: string): Promise<void> {
    const { fields } = this.#task;
    fields[field] = text;
    try {
      await this.#task.storeQuestion(field, text);
    } catch (cause) {
      delete fields[field];
      throw cause;
    }
  }

  /** Takes the answers of a record. */
  hear(stored: Readonly<Record<string, string>>): void {
    const { fields, run } = this.#task;
    for (const [name, text] of Object.entries(stored)) {
      if (!name.startsWith('a') || fields[name] !== undefined) continue;
      run.room.charge(heldBytes(name, text));
      fields[name] = text;
      this.#waiting.get(name)?.resolve(text);
    }
  }
}
