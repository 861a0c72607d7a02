/**
 * What goes over a mailbox socket: `SJ1\n` once, then frames of four bytes of length (big-endian) and so much JSON text,
 * `[from, message]`. A message may be as large as a frame.
 */
import type { InstanceMessage } from '../store.ts';

/** The first bytes of a connection; another version of the format has others. */
export const GREETING = Buffer.from('SJ1\n');

/** Past every message that there is; what claims more is no frame. */
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

/** Puts the chunks of one connection together. Throws at what is no frame; the connection is then of no more use. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #greeted = false;
  /** Of the frame that is being read; undefined: its head is. */
  #length: number | undefined;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (!this.#greeted) {
      if (this.#bytes < GREETING.length) return;
      if (!this.#take(GREETING.length).equals(GREETING)) throw new Error('it speaks another language');
      this.#greeted = true;
    }
    for (;;) {
      if (this.#length === undefined) {
        if (this.#bytes < HEAD_BYTES) return;
        this.#length = this.#take(HEAD_BYTES).readUInt32BE();
        if (this.#length > FRAME_BYTES) throw new Error(`a frame of ${this.#length} bytes`);
      }
      if (this.#bytes < this.#length) return;
      const text = this.#take(this.#length).toString();
      this.#length = undefined;
      const [from, message] = JSON.parse(text) as [unknown, InstanceMessage | null];
      if (typeof from !== 'string' || typeof message?.kind !== 'string') throw new Error('a frame without a message');
      this.#onFrame(from, message);
    }
  }

  /** Only what is complete is put together: a large message is copied once. */
  #take(count: number): Buffer {
    const first = this.#chunks[0];
    const all = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    this.#bytes -= count;
    this.#chunks = this.#bytes === 0 ? [] : [all.subarray(count)];
    return all.subarray(0, count);
  }
}
