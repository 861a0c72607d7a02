/** Collects the bytes of one request body on both faces, up to a limit and to what the memory budget has. */
import { bodyTooLarge, overMemory, type SojournError } from '../errors.ts';
import { BODY_WEIGHT, type BodyOverflow, type Exchange } from './exchange.ts';

export const NO_BYTES: Uint8Array = new Uint8Array(0);

export class Body {
  readonly #exchange: Pick<Exchange, 'holds'>;
  readonly #limit: number;
  readonly #overflow: BodyOverflow | undefined;
  /** Most bodies are one chunk. */
  #first: Uint8Array | undefined;
  #chunks: Uint8Array[] | undefined;
  #size = 0;
  #refusal: SojournError | undefined;

  /** `overflow` gets every chunk of a body that is refused, and returns whether it wants the next. */
  constructor(exchange: Pick<Exchange, 'holds'>, limit: number, overflow: BodyOverflow | undefined) {
    this.#exchange = exchange;
    this.#limit = limit;
    this.#overflow = overflow;
  }

  /** Why the body is refused: it is longer than the limit, or there is no room for it. */
  get refusal(): SojournError | undefined {
    return this.#refusal;
  }

  /** `false`: the body is refused, and its rest need not be read. */
  take(chunk: Uint8Array): boolean {
    this.#size += chunk.byteLength;
    if (this.#refusal === undefined && this.#size > this.#limit) this.#refusal = bodyTooLarge(this.#limit);
    else if (this.#refusal === undefined && !this.#exchange.holds(chunk.byteLength * BODY_WEIGHT))
      this.#refusal = overMemory();
    if (this.#refusal !== undefined) return this.#refuse(chunk);
    if (this.#first === undefined) this.#first = chunk;
    else (this.#chunks ??= [this.#first]).push(chunk);
    return true;
  }

  #refuse(chunk: Uint8Array): boolean {
    const earlier = this.#chunks ?? (this.#first === undefined ? [] : [this.#first]);
    this.#first = this.#chunks = undefined;
    const overflow = this.#overflow;
    return overflow !== undefined && earlier.every(overflow) && overflow(chunk);
  }

  /** The whole body, once it has ended without a refusal. */
  bytes(): Uint8Array {
    return this.#chunks === undefined ? (this.#first ?? NO_BYTES) : Buffer.concat(this.#chunks, this.#size);
  }
}
