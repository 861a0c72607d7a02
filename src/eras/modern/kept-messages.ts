/**
 * The messages of a resumable call, kept for its next client within `streamBufferBytes`. The newest message is kept
 * whatever its size, because it may be the answer. Without room in the memory budget none is kept.
 */
import type { ResolvedOptions } from '../../options/endpoint-options.ts';

export interface KeptMessagesHost {
  readonly options: Pick<ResolvedOptions, 'limits'>;
  /** `false`: there is no room in the memory budget. `held`: what the call holds already. */
  takeKept(bytes: number, held: number, share: string): boolean;
  giveKept(bytes: number, share: string): void;
}

/** What a message takes besides its text. */
const MESSAGE_BYTES = 160;

/** One character that is not Latin makes all of a text twice as long. */
const bytesOf = (json: string): number => json.length * (Buffer.byteLength(json) > json.length ? 2 : 1) + MESSAGE_BYTES;

export class KeptMessages {
  readonly #host: KeptMessagesHost;
  /** Whose share they count in. */
  readonly #share: string;
  /** The newest messages, as JSON texts. */
  #kept: string[] = [];
  #length = 0;
  /** Bytes charged to the memory budget. */
  #held = 0;

  constructor(host: KeptMessagesHost, share: string) {
    this.#host = host;
    this.#share = share;
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
    const { streamBufferBytes: most } = this.#host.options.limits;
    this.#kept.push(json);
    this.#length += 1;
    let bytes = bytesOf(json);
    while (this.#kept.length > 1 && this.#held + bytes > most) bytes -= bytesOf(this.#kept.shift() ?? '');
    if (bytes > 0 && !this.#host.takeKept(bytes, this.#held, this.#share)) this.forget();
    else {
      if (bytes < 0) this.#host.giveKept(-bytes, this.#share);
      this.#held += bytes;
    }
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

  forget(): void {
    this.#kept = [];
    this.#host.giveKept(this.#held, this.#share);
    this.#held = 0;
  }
}
