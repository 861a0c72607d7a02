/**
 * The body of an answer on the fetch face. An adapter that has a whole text holds it until the client has read all of
 * it, and nothing would count those bytes: it gets them part by part, as the client reads.
 */

/** What an adapter takes and may hold: as much as `node:http` takes before it asks to wait. */
const PART_BYTES = 16_384;

const encoder = new TextEncoder();

export class AnswerBody {
  readonly stream: ReadableStream<Uint8Array>;
  /** Bytes that were written and not pulled. */
  pendingBytes = 0;
  /** Bytes that were pulled. */
  takenBytes = 0;
  /** `undefined` once the body is over. */
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** A queue of our own: that of the stream lives as long as its response, whatever holds that. */
  #parts: Uint8Array[] = [];
  #isPulled = false;
  #isEnded = false;
  readonly #onOver: () => void;

  /** `onOver`: the client has taken everything of a body that has ended, or the adapter gives it up. */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => {
          this.#isPulled = true;
          this.#give();
        },
        cancel: () => {
          this.#drop();
          onOver();
        },
      },
      { highWaterMark: 0 },
    );
  }

  write(text: string): void {
    if (this.#controller === undefined) return;
    const bytes = encoder.encode(text);
    this.pendingBytes += bytes.length;
    // Copies: a view would keep all bytes while the adapter holds one part.
    if (bytes.length <= PART_BYTES) this.#parts.push(bytes);
    else for (let at = 0; at < bytes.length; at += PART_BYTES) this.#parts.push(bytes.slice(at, at + PART_BYTES));
    this.#give();
  }

  /** Nothing more is written. */
  end(): void {
    this.#isEnded = true;
    this.#give();
  }

  /** The client gets no more, and sees a complete body, or with `error` that it is not. An adapter may log the error. */
  close(error?: Error): void {
    const controller = this.#drop();
    if (error === undefined) controller?.close();
    else controller?.error(error);
  }

  #give(): void {
    const part = this.#isPulled ? this.#parts.shift() : undefined;
    if (part !== undefined) {
      this.#isPulled = false;
      this.pendingBytes -= part.length;
      this.takenBytes += part.length;
      this.#controller?.enqueue(part);
    }
    if (!this.#isEnded || this.#controller === undefined || this.#parts.length > 0) return;
    this.close();
    this.#onOver();
  }

  #drop(): ReadableStreamDefaultController<Uint8Array> | undefined {
    const controller = this.#controller;
    this.#controller = undefined;
    this.#parts = [];
    this.pendingBytes = 0;
    return controller;
  }
}
