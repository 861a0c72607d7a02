/** The answer to a request that this process sends to itself. */
import type { RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../errors.ts';
import { errorJson } from './answer.ts';
import type { AnswerSink } from './sink.ts';
import type { HeaderList } from './exchange.ts';
import type { SinkListener } from './sink.ts';

const NOTHING = '{}';

export class HeardAnswer implements AnswerSink {
  /** Resolves with the JSON of the answer, or `{}`. */
  readonly answered: Promise<string>;
  /** The error that the request was refused with, by this library. */
  refused: SojournError | undefined = undefined;
  listener: SinkListener | undefined = undefined;
  isOpen = true;
  #resolve: (json: string) => void = () => {};

  constructor() {
    this.answered = new Promise((resolve) => (this.#resolve = resolve));
  }

  answer(json: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#resolve(json);
    this.listener?.sinkClosed(this);
  }

  done(_status: number, _headers?: HeaderList, body = NOTHING): void {
    this.answer(body);
  }

  refuse(error: SojournError, id: RequestId | null): void {
    if (this.isOpen) this.refused = error;
    this.answer(errorJson(error, id));
  }

  begin(): void {}
  sendHead(): void {}
  message(): void {}
  onClose(): void {}
  heldBy(): void {}
}
