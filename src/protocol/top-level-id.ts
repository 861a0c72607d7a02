/**
 * The id of a request whose body is refused unread: found in its bytes as they arrive, wherever in the object it is
 * (official clients write it last), and without keeping the body. It is the id that `JSON.parse` and `echoId` would
 * find: of equal keys the last one counts, keys may be written with escapes, and only a body with a `method` is a
 * request.
 *
 *     start ─{─▶ first key ─▶ in key ─▶ colon ─▶ value ─▶ string | scalar | nested ─▶ after value ─}─▶ done
 *                                ▲                                                        │
 *                                ╰───────────────────────── key ◀────────────,────────────╯
 *
 * Only the structure of the top level is checked. What is wrong further down does not change which id belongs to the
 * body.
 */
import { isUtf8 } from 'node:buffer';
import type { RequestId } from '@modelcontextprotocol/server';

/** Longer ids are not found: nothing but them and the keys is kept. */
const MOST_BYTES = 256;

const START = 0;
const FIRST_KEY = 1;
const KEY = 2;
const IN_KEY = 3;
const COLON = 4;
const VALUE = 5;
const STRING = 6;
const SCALAR = 7;
const NESTED = 8;
const NESTED_STRING = 9;
const AFTER_VALUE = 10;
const DONE = 11;
const FAILED = 12;
type State = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

export class TopLevelId {
  /** Bytes that may still come. */
  #left: number;
  #state: State = START;
  /** The byte before was the backslash of an escape. */
  #escaped = false;
  #depth = 0;
  /** The bytes of a key, or of the value of `id`, as the client wrote them. */
  readonly #kept = new Uint8Array(MOST_BYTES);
  /** More than `MOST_BYTES`: it did not fit. */
  #length = 0;
  #key: 'id' | 'method' | undefined;
  #id: unknown;
  #hasMethod = false;

  /** `most`: the bytes that are looked at; a longer body has no id. */
  constructor(most: number) {
    this.#left = most;
  }

  /** The id, when the whole body has been taken and is a request. */
  get id(): RequestId | null {
    const id = this.#id;
    if (this.#state !== DONE || !this.#hasMethod) return null;
    return typeof id === 'string' || Number.isSafeInteger(id) ? (id as RequestId) : null;
  }

  /** The next bytes of the body; `false`: there is no id to be found any more. */
  take(bytes: Uint8Array): boolean {
    this.#left -= bytes.length;
    if (this.#left < 0) this.#state = FAILED;
    for (const byte of bytes) {
      if (this.#state === FAILED) break;
      this.#state = this.#next(byte);
    }
    return this.#state !== FAILED;
  }

  #next(byte: number): State {
    switch (this.#state) {
      case IN_KEY:
        return this.#inString(byte, IN_KEY, true);
      case STRING:
        return this.#inString(byte, STRING, this.#key === 'id');
      case NESTED_STRING:
        return this.#inString(byte, NESTED_STRING, false);
      case NESTED:
        return this.#inNested(byte);
      case SCALAR:
        return this.#inScalar(byte);
      default:
        return isSpace(byte) ? this.#state : this.#between(byte);
    }
  }

  /** The first byte of what comes next. */
  #between(byte: number): State {
    switch (this.#state) {
      case START:
        return byte === OPEN_BRACE ? FIRST_KEY : FAILED;
      case FIRST_KEY:
        if (byte === CLOSE_BRACE) return DONE;
        return this.#startKey(byte);
      case KEY:
        return this.#startKey(byte);
      case COLON:
        return byte === 0x3a ? VALUE : FAILED;
      case VALUE:
        return this.#startValue(byte);
      case AFTER_VALUE:
        if (byte === COMMA) return KEY;
        return byte === CLOSE_BRACE ? DONE : FAILED;
      default:
        return FAILED;
    }
  }

  #startKey(byte: number): State {
    this.#length = 0;
    return byte === QUOTE ? IN_KEY : FAILED;
  }

  #startValue(byte: number): State {
    this.#length = 0;
    if (this.#key === 'id') this.#id = undefined;
    if (this.#key === 'method') this.#hasMethod = byte === QUOTE;
    if (byte === QUOTE) return STRING;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.#depth = 1;
      return NESTED;
    }
    if (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET) return FAILED;
    this.#keep(byte);
    return SCALAR;
  }

  #inString(byte: number, state: 3 | 6 | 9, kept: boolean): State {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) return this.#endString(state);
    if (kept) this.#keep(byte);
    return state;
  }

  #endString(state: 3 | 6 | 9): State {
    if (state === NESTED_STRING) return NESTED;
    if (state === STRING) {
      if (this.#key === 'id') this.#id = this.#parse('"');
      return AFTER_VALUE;
    }
    const key = this.#parse('"');
    this.#key = key === 'id' || key === 'method' ? key : undefined;
    return COLON;
  }

  #inNested(byte: number): State {
    if (byte === QUOTE) return NESTED_STRING;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth -= 1;
    return this.#depth === 0 ? AFTER_VALUE : NESTED;
  }

  #inScalar(byte: number): State {
    const ends = byte === COMMA || byte === CLOSE_BRACE || isSpace(byte);
    if (!ends) {
      this.#keep(byte);
      return SCALAR;
    }
    if (this.#key === 'id') this.#id = this.#parse('');
    return isSpace(byte) ? AFTER_VALUE : byte === COMMA ? KEY : DONE;
  }

  #keep(byte: number): void {
    if (this.#length < MOST_BYTES) this.#kept[this.#length] = byte;
    this.#length += 1;
  }

  /** What was kept, as JSON; `undefined`: it is none, or too long. */
  #parse(quote: '"' | ''): unknown {
    if (this.#length > MOST_BYTES) return undefined;
    const kept = this.#kept.subarray(0, this.#length);
    if (!isUtf8(kept)) return undefined;
    try {
      return JSON.parse(`${quote}${Buffer.from(kept).toString()}${quote}`);
    } catch {
      return undefined;
    }
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
