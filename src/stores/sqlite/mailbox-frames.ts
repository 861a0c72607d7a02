/**
 * The format of a mailbox socket. A connection begins with `SJ1\n`. Then come frames: four bytes of length (big-endian)
 * and that many bytes of JSON text, `[from, message]`. A message is never split.
 */
import type { InstanceMessage } from '../store.ts';

/** The first bytes of a connection. Another version of the format begins with other bytes. */
export const PREAMBLE = Buffer.from('SJ1\n');

/** Larger than any message: a frame that claims more is invalid. */
const FRAME_BYTES = 268_435_456;
const HEAD_BYTES = 4;

export function encodeFrame(from: string, message: InstanceMessage): Buffer {
  const text = JSON.stringify([from, message]);
  const bytes = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(HEAD_BYTES + bytes);
  frame.writeUInt32BE(bytes);
  frame.write(text, HEAD_BYTES);
  return frame;
}

export type OnFrame = (from: string, message: InstanceMessage) => void;

/**
 * Joins the chunks of one connection into frames. It throws at invalid bytes, and the connection cannot be used after
 * that.
 */
export class FrameReader {
  readonly #onFrame: OnFrame;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #hasPreamble = false;
  /** The length of the current frame; undefined until its head is read. */
  #length: number | undefined;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (!this.#hasPreamble) {
      if (this.#bytes < PREAMBLE.length) return;
      if (!this.#take(PREAMBLE.length).equals(PREAMBLE)) throw new Error('the connection does not begin with SJ1');
      this.#hasPreamble = true;
    }
    for (;;) {
      if (this.#length === undefined) {
        if (this.#bytes < HEAD_BYTES) return;
        this.#length = this.#take(HEAD_BYTES).readUInt32BE();
        if (this.#length > FRAME_BYTES) throw new Error(`a frame of ${this.#length} bytes is too large`);
      }
      if (this.#bytes < this.#length) return;
      const text = this.#take(this.#length).toString();
      this.#length = undefined;
      const [from, message] = JSON.parse(text) as [unknown, InstanceMessage | null];
      if (typeof from !== 'string' || typeof message?.kind !== 'string') throw new Error('a frame without a message');
      this.#onFrame(from, message);
    }
  }

  /** Joins chunks only when a whole part is there, so that a large message is copied once. */
  #take(count: number): Buffer {
    const first = this.#chunks[0];
    const all = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#bytes -= count;
    this.#chunks = this.#bytes === 0 ? [] : [all.subarray(count)];
    return all.subarray(0, count);
  }
}
