/** The response to a call whose live object is here, to the instance that has its client (`durable/live/`). */
import type { RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../../base/errors.ts';
import type { LinkSink } from './link-sink.ts';
import type { LostForm } from '../../http/answer.ts';
import type { AnswerSink, ResponsePolicy, SinkListener } from '../../http/sink.ts';

/** The other instance frames it for its client. */
const POLICY: ResponsePolicy = { onSession: 'post', form: 'events' };

export class GuestResponse implements AnswerSink {
  readonly attempt: number;
  readonly #sink: LinkSink;

  /** `runs`: how often the call may have run before. */
  constructor(sink: LinkSink, runs: number) {
    this.#sink = sink;
    this.attempt = 1 + runs;
  }

  get isOpen(): boolean {
    return this.#sink.isOpen;
  }

  get listener(): SinkListener | undefined {
    return this.#sink.listener;
  }

  set listener(listener: SinkListener | undefined) {
    this.#sink.listener = listener;
  }

  begin(): void {
    this.#sink.begin(POLICY);
  }

  message(json: string): void {
    this.#sink.message(json);
  }

  answer(json: string): void {
    this.#sink.begin(POLICY);
    this.#sink.message(json);
    this.#sink.end();
  }

  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    this.#sink.refuse(error, id, form);
  }

  done(status: 200 | 202 | 204): void {
    this.#sink.done(status);
  }
}
