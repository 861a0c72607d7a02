import type { ServerResponse } from 'node:http';
import type { SlowReader, SlowReaders } from './slow-readers.ts';

/** A response whose client does not take its bytes at once. */
export class SlowResponse implements SlowReader {
  readonly #res: ServerResponse;
  readonly #readers: SlowReaders;

  constructor(res: ServerResponse, readers: SlowReaders) {
    this.#res = res;
    this.#readers = readers;
    const over = (): void => {
      readers.over(this);
      // Streams are silent for any time.
      res.setTimeout(0);
    };
    res.on('drain', over).on('finish', over).on('close', over);
    res.on('timeout', () => readers.stalled(this));
  }

  note(): void {
    // Node restarts this timeout whenever the client takes some bytes.
    if (this.#readers.note(this)) this.#res.setTimeout(this.#readers.writeTimeoutMs);
  }

  get pendingBytes(): number {
    return this.#res.writableLength;
  }

  cut(): void {
    this.#res.destroy();
  }
}
