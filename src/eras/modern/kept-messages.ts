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

export class KeptMessages {
  readonly #host: KeptMessagesHost;
  /** The newest messages, as JSON texts. */
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
  add(json: string): number {
    this.#length += 1;
    this.#newest = json;
    this.#keep(json);
    return this.#length;
  }

  /** The kept messages after an offset, each with its own. */
  *after(offset: number): Generator<readonly [offset: number, json: string]> {
    const before = this.#length - this.#kept.length;
    for (const [n, json] of this.#kept.entries()) {
      const own = before + n + 1;
      if (own > offset) yield [own, json];
    }
  }

  /** The newest message, which is given away once. */
  takeNewest(): string {
    const json = this.#newest;
    this.#newest = '';
    return json;
  }

  forget(): void {
    this.#kept = [];
    this.#host.memory.give(this.#held);
    this.#held = 0;
  }

  #keep(json: string): void {
    const { memory, bufferBytes } = this.#host;
    this.#kept.push(json);
    let bytes = json.length;
    while (this.#kept.length > 1 && this.#held + bytes > bufferBytes) bytes -= this.#kept.shift()?.length ?? 0;
    if (bytes <= 0) memory.give(-bytes);
    else if (!memory.take(bytes, this.#held)) return this.forget();
    this.#held += bytes;
  }
}
