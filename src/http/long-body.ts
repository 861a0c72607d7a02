/**
 * Bodies of answers on the fetch face. An adapter that has a whole text holds it until the client has read all of it,
 * and nothing would count those bytes: it gets them part by part, as the client reads.
 */
import { cutBody, onConnectionEnd } from './connection-end.ts';
import type { SlowReader, SlowReaders } from './slow-readers.ts';

/** What an answer may have pending before it is charged. A connection that pipelines has some 200 answers at once. */
export const UNCHARGED_BYTES = 4_096;
/** What an adapter takes and may hold: as much as `node:http` takes before it asks to wait. */
const PART_BYTES = 16_384;

const encoder = new TextEncoder();

/** A body that is written here, and read by an adapter. */
export class PartedBody {
  readonly stream: ReadableStream<Uint8Array>;
  /** Called when the adapter gives it up. */
  onCancel: () => void = () => {};
  /** Called when the client has taken everything. */
  onTaken: () => void = () => {};
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  /** A queue of our own: that of the stream lives as long as its response, whatever holds that. */
  #texts: Uint8Array[] = [];
  /** Bytes of the first text that the adapter has. */
  #given = 0;
  #bytes = 0;
  /** The adapter waits for a part. */
  #isAsked = false;
  #isEnded = false;
  #isClosed = false;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => this.#give(true),
        cancel: () => {
          this.drop();
          this.onCancel();
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
    );
  }

  get pendingBytes(): number {
    return this.#bytes - this.#given;
  }

  /** Bun holds the head back until the first byte of the body. */
  writeAtOnce(text: string): void {
    this.#controller.enqueue(encoder.encode(text));
  }

  write(text: string): void {
    if (this.#isClosed) return;
    const bytes = encoder.encode(text);
    this.#texts.push(bytes);
    this.#bytes += bytes.length;
    this.#give(this.#isAsked);
  }

  /** Nothing more is written. */
  end(): void {
    this.#isEnded = true;
    this.#closeIfTaken();
  }

  #give(isAsked: boolean): void {
    const [text] = this.#texts;
    this.#isAsked = isAsked && text === undefined;
    if (!isAsked || text === undefined) return;
    const end = this.#given + PART_BYTES;
    // A copy: a view would keep all bytes while the adapter holds one part.
    const part = text.length <= PART_BYTES ? text : text.slice(this.#given, end);
    if (end < text.length) {
      this.#given = end;
    } else {
      this.#texts.shift();
      this.#bytes -= text.length;
      this.#given = 0;
    }
    this.#controller.enqueue(part);
    this.#closeIfTaken();
  }

  #closeIfTaken(): void {
    if (!this.#isEnded || this.#isClosed || this.#texts.length > 0) return;
    this.close();
    this.onTaken();
  }

  /** The client gets no more, and sees a complete body. */
  close(): void {
    if (!this.drop()) this.#controller.close();
  }

  /** Breaks the body off, and its connection where that is known. */
  cut(request: Request, why: string): void {
    if (!this.drop()) cutBody(request, this.#controller, why);
  }

  /** Lets go of what was not taken. Returns whether the body was closed before. */
  drop(): boolean {
    const wasClosed = this.#isClosed;
    this.#isClosed = true;
    this.#texts = [];
    this.#bytes = this.#given = 0;
    return wasClosed;
  }
}

/** A complete answer that its client has not taken yet. Its bytes are charged until the client has or leaves it. */
export class UnreadAnswer implements SlowReader {
  readonly share: string;
  readonly #body: PartedBody;
  readonly #readers: SlowReaders;
  readonly #request: Request;
  #unlisten: (() => void) | undefined;
  #isOver = false;

  constructor(body: PartedBody, request: Request, share: string, readers: SlowReaders) {
    this.#body = body;
    this.#request = request;
    this.share = share;
    this.#readers = readers;
    body.onCancel = body.onTaken = () => this.#over();
    body.end();
    readers.note(this);
    // There may have been no room. An answer behind another one of its connection is never read nor cancelled once the
    // connection has closed.
    if (!this.#isOver) this.#unlisten = onConnectionEnd(request, () => this.#left());
  }

  get pendingBytes(): number {
    return this.#body.pendingBytes;
  }

  #over(): void {
    this.#isOver = true;
    this.#readers.forget(this);
    this.#unlisten?.();
  }

  #left(): void {
    this.#over();
    this.#body.close();
  }

  cut(): void {
    this.#over();
    this.#body.cut(this.#request, 'The connection was cut: its client does not read its answer');
  }
}
