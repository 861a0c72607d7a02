/** The answer to a request that this process sends to itself: on a session, or without one. */
import type { RequestId } from '@modelcontextprotocol/server';
import { internal, requestClosed, type SojournError } from '../base/errors.ts';
import { errorJson } from './answer.ts';
import type { AnswerSink, ResponseSink, SinkListener } from './sink.ts';

export class HeardAnswer implements AnswerSink, ResponseSink {
  /** Resolves with the JSON of the answer, or `{}`. */
  readonly answered: Promise<string>;
  /** The error that the request was refused with, by this library. */
  refused: SojournError | undefined = undefined;
  listener: SinkListener | undefined = undefined;
  sessionId: string | undefined = undefined;
  isOpen = true;
  readonly takes = 'answers';
  readonly hasBegun = false;
  readonly lastId = undefined;
  #resolve: (json: string) => void = () => {};

  get closed(): boolean {
    return !this.isOpen;
  }

  constructor() {
    this.answered = new Promise((resolve) => (this.#resolve = resolve));
  }

  answer(json: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#resolve(json);
    this.listener?.sinkClosed(this);
  }

  done(): void {
    this.answer('{}');
  }

  refuse(error: SojournError, id: RequestId | null): void {
    if (this.isOpen) this.refused = error;
    this.answer(errorJson(error, id));
  }

  fail(cause: unknown): void {
    this.refuse(internal(cause), null);
  }

  end(): void {
    this.refuse(requestClosed(), null);
  }
  cut(): void {
    this.end();
  }
  handOver(): void {
    this.end();
  }
  begin(): void {}
  point(): void {}
  withdraw(): void {}
  sendHead(): void {}
  message(): void {}
  onClose(): void {}
  heldBy(): void {}
}
