/**
 * Complete answers on the fetch face whose clients have not taken them yet. An adapter that has a whole text holds it
 * until the client has read all of it, and nothing would count those bytes: it gets them part by part, as the client
 * reads.
 */
import { breakOff, onConnectionEnd } from './connection-end.ts';
import type { SlowReader, SlowReaders } from './slow-readers.ts';

/** What an answer may have pending before it is charged. A connection that pipelines has some 200 answers at once. */
export const UNCHARGED_BYTES = 4_096;
/** What an adapter takes and may hold: as much as `node:http` takes before it asks to wait. */
const PART_BYTES = 16_384;

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** Its bytes are charged until it is over. */
abstract class UnreadAnswer implements SlowReader {
  readonly share: string;
  readonly #readers: SlowReaders;
  readonly #request: Request;
  #unlisten: (() => void) | undefined;
  #isOver = false;

  constructor(request: Request, share: string, readers: SlowReaders) {
    this.#request = request;
    this.share = share;
    this.#readers = readers;
  }

  abstract readonly pendingBytes: number;
  protected abstract readonly controller: Controller;

  /**
   * An answer behind another one of its connection is never read nor cancelled once the connection has closed, and
   * would keep all answers of that connection.
   */
  protected begin(): void {
    this.#readers.note(this);
    // There may have been no room.
    if (!this.#isOver) this.#unlisten = onConnectionEnd(this.#request, () => this.close());
  }

  /** The client has everything, or has left. The adapter may keep the stream as long as its connection. */
  over(): void {
    this.#isOver = true;
    this.#readers.forget(this);
    this.#unlisten?.();
  }

  close(): void {
    if (this.#isOver) return;
    this.over();
    this.controller.close();
  }

  cut(): void {
    this.over();
    breakOff(this.#request, this.controller, 'The connection was cut: its client does not read its answer');
  }
}

export class LongBody extends UnreadAnswer {
  readonly stream: ReadableStream<Uint8Array>;
  #bytes: Uint8Array;
  #given = 0;
  protected controller!: Controller;

  constructor(text: string, request: Request, share: string, readers: SlowReaders) {
    super(request, share, readers);
    this.#bytes = encoder.encode(text);
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.controller = controller),
        pull: () => this.#give(),
        cancel: () => this.over(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
    );
    this.begin();
  }

  #give(): void {
    // A copy: a view would keep all bytes while the adapter holds one part.
    const part = this.#bytes.slice(this.#given, this.#given + PART_BYTES);
    this.#given += part.length;
    this.controller.enqueue(part);
    if (this.pendingBytes === 0) this.close();
  }

  override over(): void {
    super.over();
    this.#bytes = NO_BYTES;
    this.#given = 0;
  }

  get pendingBytes(): number {
    return this.#bytes.length - this.#given;
  }
}

/** What a stream has left after its last message. Call `close` once the client has taken it. */
export class RestOfStream extends UnreadAnswer {
  protected readonly controller: Controller;

  constructor(controller: Controller, request: Request, share: string, readers: SlowReaders) {
    super(request, share, readers);
    this.controller = controller;
    this.begin();
  }

  get pendingBytes(): number {
    return queuedBytes(this.controller);
  }
}

/** Bytes that a stream with a high-water mark of 0 holds. */
export function queuedBytes(controller: Controller | undefined): number {
  const room = controller?.desiredSize ?? 0;
  return room < 0 ? -room : 0;
}
