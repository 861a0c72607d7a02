/** `responseMode: 'json'`: the answers of a POST as one JSON body. Every other message was routed to another stream. */
import type { Sink, SinkListener } from './sink.ts';
import type { Exchange, HeaderList } from './exchange.ts';

export class JsonSink implements Sink {
  readonly #exchange: Exchange;
  readonly #headers: HeaderList;
  readonly #batch: boolean;
  readonly #answers: string[] = [];
  #listener: SinkListener | undefined;

  constructor(exchange: Exchange, headers: HeaderList, batch: boolean) {
    this.#exchange = exchange;
    this.#headers = headers;
    this.#batch = batch;
  }

  message(json: string): void {
    this.#answers.push(json);
  }

  prime(): void {}

  end(): void {
    this.#send();
    this.#done();
  }

  get listener(): SinkListener | undefined {
    return this.#listener;
  }

  set listener(listener: SinkListener | undefined) {
    if (this.#listener === undefined) this.#exchange.onClose(() => this.#done());
    this.#listener = listener;
  }

  #done(): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.sinkDone(this);
  }

  #send(): void {
    const [only] = this.#answers;
    if (only === undefined) {
      // Every request of the POST was cancelled, so it gets no answer, as for notifications.
      this.#exchange.respond(202, []);
      return;
    }
    const body = this.#batch ? `[${this.#answers.join(',')}]` : only;
    this.#exchange.respond(200, this.#headers, body);
  }

  get open(): boolean {
    return !this.#exchange.closed;
  }
}
