/**
 * What a session's client is still to be told: lists that changed while nobody could tell it, because its server was rebuilt
 * from a newer build or slept. Told on its next GET, or on the stream of its next request when it has none.
 */
import { listChanges, type RecordKeeper } from './record-keeper.ts';
import type { Stream } from './stream.ts';

export class UntoldNews {
  readonly #record: RecordKeeper;
  /** `list_changed` methods. */
  #untold: readonly string[] | undefined = undefined;

  constructor(record: RecordKeeper) {
    this.#record = record;
  }

  /** After a restore: what the server now answers to `initialize`. A deploy may have changed it. */
  answered(answerJson: string): void {
    if (answerJson === this.#record.answerJson) return;
    this.#record.answerJson = answerJson;
    this.#untold = listChanges(answerJson);
    this.#record.save({ answer: answerJson });
  }

  /** Events that came while it was live nowhere. */
  missed(methods: readonly string[]): void {
    const untold = new Set(this.#untold);
    for (const method of methods) if (this.announces(method)) untold.add(method);
    if (untold.size > 0) this.#untold = [...untold];
  }

  /** Messages of its GET stream were lost: every list may have changed. */
  missedAll(): void {
    const announced = listChanges(this.#record.answerJson);
    if (announced.length > 0) this.#untold = announced;
  }

  /** Something is to be told. */
  get owed(): boolean {
    return this.#untold !== undefined;
  }

  /** Whether its server said in its `initialize` answer that it sends this `list_changed`. */
  announces(method: string): boolean {
    return listChanges(this.#record.answerJson).includes(method);
  }

  tell(stream: Stream): void {
    if (this.#untold === undefined) return;
    const untold = this.#untold;
    this.#untold = undefined;
    for (const method of untold) stream.send(JSON.stringify({ jsonrpc: '2.0', method }));
  }
}
