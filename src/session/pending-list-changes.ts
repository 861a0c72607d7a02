/**
 * The `list_changed` notifications that the client of a session has not received, because the lists changed while the
 * session was live nowhere, or because a newer build restored its server. The client gets them on its next GET stream,
 * or on the stream of its next request if it has no GET stream.
 */
import type { Stream } from './stream.ts';

/** What the list changes of a session depend on. */
interface InitializeAnswer {
  readonly answerJson: string;
  answerChanged(answerJson: string): void;
}

export class PendingListChanges {
  readonly #record: InitializeAnswer;
  /** `list_changed` methods. */
  #pending: readonly string[] | undefined = undefined;

  constructor(record: InitializeAnswer) {
    this.#record = record;
  }

  /** After a restore: what the rebuilt server answers to `initialize`. A deploy may have changed it. */
  answered(answerJson: string): void {
    if (answerJson === this.#record.answerJson) return;
    this.#record.answerChanged(answerJson);
    this.#pending = listChanges(answerJson);
  }

  /** Adds changes that happened while the session was live nowhere. */
  missed(methods: readonly string[]): void {
    const pending = new Set(this.#pending);
    for (const method of methods) if (this.announces(method)) pending.add(method);
    if (pending.size > 0) this.#pending = [...pending];
  }

  /** Messages of the GET stream were lost, so every list may have changed. */
  missedAll(): void {
    const announced = listChanges(this.#record.answerJson);
    if (announced.length > 0) this.#pending = announced;
  }

  get any(): boolean {
    return this.#pending !== undefined;
  }

  /** Whether the server declared in its `initialize` answer that it sends this `list_changed`. */
  announces(method: string): boolean {
    return listChanges(this.#record.answerJson).includes(method);
  }

  sendOn(stream: Stream): void {
    if (this.#pending === undefined) return;
    const pending = this.#pending;
    this.#pending = undefined;
    for (const method of pending) stream.send(JSON.stringify({ jsonrpc: '2.0', method }));
  }
}

/** The `list_changed` methods that a server announces in its `initialize` answer. */
function listChanges(answerJson: string): readonly string[] {
  if (answerJson === lastAnswer) return lastChanges;
  const { capabilities } = JSON.parse(answerJson) as {
    capabilities?: Record<string, { listChanged?: boolean } | undefined>;
  };
  lastAnswer = answerJson;
  lastChanges = ['tools', 'prompts', 'resources'].flatMap((what) =>
    capabilities?.[what]?.listChanged === true ? [`notifications/${what}/list_changed`] : [],
  );
  return lastChanges;
}

/** Most sessions of one factory have the same answer, so the last result is kept. */
let lastAnswer: string | undefined;
let lastChanges: readonly string[] = [];
