/**
 * The body of a complete answer on the fetch face, given to the adapter part by part as the client reads. An adapter
 * that has a whole text holds it until the client has read all of it, and nothing would count those bytes.
 */
import type { SlowReader, SlowReaders } from './slow-readers.ts';

/** What an answer may have pending before it is charged. A connection that pipelines has some 200 answers at once. */
export const UNCHARGED_BYTES = 4_096;
/** What an adapter takes and may hold: as much as `node:http` takes before it asks to wait. */
const PART_BYTES = 16_384;

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();

export class LongBody implements SlowReader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly share: string;
  #bytes: Uint8Array;
  readonly #readers: SlowReaders;
  #given = 0;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined = undefined;

  constructor(text: string, share: string, readers: SlowReaders) {
    this.#bytes = encoder.encode(text);
    this.share = share;
    this.#readers = readers;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: (controller) => this.#give(controller),
        cancel: () => this.#drop(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
    );
    readers.note(this);
  }

  #give(controller: ReadableStreamDefaultController<Uint8Array>): void {
    // A copy: a view would keep all bytes while the adapter holds one part.
    const part = this.#bytes.slice(this.#given, this.#given + PART_BYTES);
    this.#given += part.length;
    controller.enqueue(part);
    if (this.pendingBytes > 0) return;
    controller.close();
    this.#drop();
  }

  /** The adapter may keep the stream as long as its connection. */
  #drop(): void {
    this.#readers.forget(this);
    this.#bytes = NO_BYTES;
    this.#given = 0;
  }

  get pendingBytes(): number {
    return this.#bytes.length - this.#given;
  }

  cut(): void {
    this.#drop();
    this.#controller?.error(new Error('The connection was cut: its client does not read its answer'));
  }
}
