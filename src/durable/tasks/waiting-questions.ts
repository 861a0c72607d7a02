/** Questions of a run whose handler waits for the answers of its client. */
import { overMemory } from '../../base/errors.ts';
import { heldBytes, type StoppableRun } from './run-room.ts';
import { answerField, type InputRequest, questionField } from './task-record.ts';

/** What waits for an answer: its values, its text, and the code that asks. */
const QUESTION_WEIGHT = 3;

export class WaitingQuestions {
  readonly #fields: Record<string, string>;
  readonly #run: StoppableRun;
  readonly #write: (field: string, text: string) => Promise<void>;
  readonly #wakes: Array<() => void> = [];

  /** `fields`: of the task. `write`: stores one of them. */
  constructor(
    fields: Record<string, string>,
    run: StoppableRun,
    write: (field: string, text: string) => Promise<void>,
  ) {
    this.#fields = fields;
    this.#run = run;
    this.#write = write;
    // A handler whose task parks never hears of it.
    run.signal.addEventListener('abort', () => !run.isParked && this.#wake(), { once: true });
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  /** Resolves with the answer of its client. Rejects when the run is over before. */
  async ask(key: string, question: InputRequest): Promise<unknown> {
    const [fields, run] = [this.#fields, this.#run];
    const [field, answer] = [questionField(key), answerField(key)];
    while (fields[answer] === undefined) {
      if (!run.isParked) run.signal.throwIfAborted();
      if (fields[field] === undefined) await this.#store(field, JSON.stringify(question));
      else await new Promise<void>((wake) => this.#wakes.push(wake));
    }
    return JSON.parse(fields[answer]) as unknown;
  }

  async #store(field: string, text: string): Promise<void> {
    const [fields, run] = [this.#fields, this.#run];
    if (!run.room.take(QUESTION_WEIGHT * heldBytes(field, text))) throw overMemory();
    fields[field] = text;
    try {
      await this.#write(field, text);
    } catch (cause) {
      delete fields[field];
      throw cause;
    }
  }

  /** Takes the answers of a record. */
  hear(stored: Readonly<Record<string, string>>): void {
    const [fields, run] = [this.#fields, this.#run];
    for (const [name, text] of Object.entries(stored)) {
      if (!name.startsWith('a') || fields[name] !== undefined) continue;
      run.room.charge(heldBytes(name, text));
      fields[name] = text;
    }
    this.#wake();
  }
}
