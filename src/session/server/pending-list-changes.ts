/**
 * The `list_changed` notifications that the client of a session has not received, because the lists changed while the
 * session was live nowhere, or because a newer build restored its server. The client gets them on its next GET stream,
 * or on the stream of its next request if it has no GET stream.
 */
import type { ServerAnswer } from '../record/server-answer.ts';
import type { Stream } from '../streams/stream.ts';

/** What the list changes of a session depend on. */
interface InitializeAnswer {
  readonly answer: ServerAnswer;
  answerChanged(answer: ServerAnswer): void;
}

export class PendingListChanges {
  readonly #record: InitializeAnswer;
  /** `list_changed` methods. */
  #pending: readonly string[] | undefined = undefined;

  constructor(record: InitializeAnswer) {
    this.#record = record;
  }

  /** After a restore: what the rebuilt server answers to `initialize`. A deploy may have changed it. */
  answered(answer: ServerAnswer): void {
    if (answer.word === this.#record.answer.word) return;
    this.#record.answerChanged(answer);
    this.#pending = answer.listChanges;
  }

  /** Adds changes that happened while the session was live nowhere. */
  missed(methods: readonly string[]): void {
    const pending = new Set(this.#pending);
    for (const method of methods) if (this.announces(method)) pending.add(method);
    if (pending.size > 0) this.#pending = [...pending];
  }

  /** Messages of the GET stream were lost, so every list may have changed. */
  missedAll(): void {
    const announced = this.#record.answer.listChanges;
    if (announced.length > 0) this.#pending = announced;
  }

  get any(): boolean {
    return this.#pending !== undefined;
  }

  /** Whether the server declared in its `initialize` answer that it sends this `list_changed`. */
  announces(method: string): boolean {
    return this.#record.answer.listChanges.includes(method);
  }

  sendOn(stream: Stream): void {
    if (this.#pending === undefined) return;
    const pending = this.#pending;
    this.#pending = undefined;
    for (const method of pending) stream.send(JSON.stringify({ jsonrpc: '2.0', method }));
  }
}
