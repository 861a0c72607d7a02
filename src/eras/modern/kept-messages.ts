/**
 * The messages of a resumable call, kept for its next client within `streamBufferBytes`. The newest message is kept
 * whatever its size, because it may be the answer. Without room in the memory budget none is kept.
 */
import type { MemoryUse } from '../../http/slow-readers.ts';

export interface KeptMessagesHost {
  /** The limit of what one call may keep, in bytes. */
  readonly bufferBytes: number;
  readonly memory: Pick<MemoryUse, 'take' | 'give'>;
}

const DATA = /^data: (.*)$/m;

export class KeptMessages {
  readonly #host: KeptMessagesHost;
  /** The newest messages as frames, without ids. */
  #kept: string[] = [];
  #newest = '';
  #length = 0;
  /** Bytes charged to the memory budget. */
  #held = 0;

  constructor(host: KeptMessagesHost) {
    this.#host = host;
  }

  /** How many messages there were, which is the offset of the newest. */
  get length(): number {
    return this.#length;
  }

  get keepsNewest(): boolean {
    return this.#kept.length > 0;
  }

  /** Returns the offset of the message. */
  add(frame: string): number {
    this.#length += 1;
    this.#newest = frame;
    this.#keep(frame);
    return this.#length;
  }

  /** The kept messages after an offset, each with its own. */
  *after(offset: number): Generator<readonly [offset: number, frame: string]> {
    const before = this.#length - this.#kept.length;
    for (const [n, frame] of this.#kept.entries()) {
      const own = before + n + 1;
      if (own > offset) yield [own, frame];
    }
  }

  /** The JSON of the newest message, which is given away once. */
  takeNewestJson(): string {
    const json = DATA.exec(this.#newest)?.[1] ?? '';
    this.#newest = '';
    return json;
  }

  forget(): void {
    this.#kept = [];
    this.#host.memory.give(this.#held);
    this.#held = 0;
  }

  #keep(frame: string): void {
    const { memory, bufferBytes } = this.#host;
    this.#kept.push(frame);
    let bytes = frame.length;
    while (this.#kept.length > 1 && this.#held + bytes > bufferBytes) bytes -= this.#kept.shift()?.length ?? 0;
    if (bytes <= 0) memory.give(-bytes);
    else if (!memory.take(bytes, this.#held)) return this.forget();
    this.#held += bytes;
  }
}
