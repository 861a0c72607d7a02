/** What the client of a task is shown. One write is pending at most, at most once a second, and has the newest text. */
import type { Timers } from '../base/timers.ts';
import type { TimeProvider } from '../types.ts';
import { MESSAGE_FIELD, storable } from './task-record.ts';

const MESSAGE_LENGTH = 1_000;
const MESSAGE_MS = 1_000;

export interface ShowingTask {
  readonly fields: Record<string, string>;
  readonly timers: Timers;
  /** `textOf` is asked at each try. `settled`: no try follows. */
  storeMessage(textOf: () => string, settled: () => void): void;
}

export class ShownMessage {
  readonly #task: ShowingTask;
  readonly #time: Required<TimeProvider>;
  #unstored: string | undefined = undefined;
  #isPending = false;
  #at = -MESSAGE_MS;

  constructor(task: ShowingTask, time: Required<TimeProvider>) {
    this.#task = task;
    this.#time = time;
  }

  /** `undefined`: the store has the newest. */
  get unstored(): string | undefined {
    return this.#unstored;
  }

  shows(text: string): void {
    this.#unstored = this.#task.fields[MESSAGE_FIELD] = storable(text.slice(0, MESSAGE_LENGTH));
    this.#plan();
  }

  #plan(): void {
    if (this.#isPending || this.#unstored === undefined) return;
    this.#isPending = true;
    this.#task.timers.after(Math.max(0, this.#at + MESSAGE_MS - this.#time.monotonic()), () => this.#store());
  }

  #store(): void {
    this.#at = this.#time.monotonic();
    let sent = '';
    const settled = (): void => {
      if (this.#unstored === sent) this.#unstored = undefined;
      this.#isPending = false;
      this.#plan();
    };
    this.#task.storeMessage(() => (sent = this.#unstored ?? ''), settled);
  }
}
