/** Questions of a run whose handler waits for the answers of its client. */
import { overMemory } from '../errors.ts';
import { heldBytes, type RunRoom } from './run-room.ts';
import { answerField, type InputRequest, questionField } from './task-record.ts';

/** What waits for an answer: its values, its text, and the code that asks. */
const QUESTION_WEIGHT = 3;

/** A task whose handler asks. */
interface AskingTask {
  readonly fields: Record<string, string>;
  readonly run: { readonly signal: AbortSignal; readonly isParked: boolean; readonly room: RunRoom };
  storeQuestion(field: string, text: string): Promise<void>;
}

export class WaitingQuestions {
  readonly #task: AskingTask;
  readonly #wakes: Array<() => void> = [];

  constructor(task: AskingTask) {
    this.#task = task;
    // A handler whose task parks never hears of it.
    task.run.signal.addEventListener('abort', () => !task.run.isParked && this.#wake(), { once: true });
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  /** Resolves with the answer of its client. Rejects when the run is over before. */
  async ask(key: string, question: InputRequest): Promise<unknown> {
    const { fields, run } = this.#task;
    const [field, answer] = [questionField(key), answerField(key)];
    while (fields[answer] === undefined) {
      if (!run.isParked) run.signal.throwIfAborted();
      if (fields[field] === undefined) await this.#store(field, JSON.stringify(question));
      else await new Promise<void>((wake) => this.#wakes.push(wake));
    }
    return JSON.parse(fields[answer]) as unknown;
  }

  async #store(field: string, text: string): Promise<void> {
    const { fields, run } = this.#task;
    if (!run.room.take(QUESTION_WEIGHT * heldBytes(field, text))) throw overMemory();
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
    }
    this.#wake();
  }
}
