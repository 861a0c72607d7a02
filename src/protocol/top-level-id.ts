/**
 * The id of a request whose body is refused unread: found in its bytes as they arrive, wherever in the object it is
 * (official clients write it last), and without keeping the body. It is the id that `JSON.parse` and `echoId` would
 * find: of equal keys the last one counts, keys may be written with escapes, and only a body with a `method` is a
 * request.
 *
 * The top level of the body is kept and parsed at the end. What is nested there becomes `null`, and a long text becomes
 * another text, which is too long for an id. What is wrong further down does not change which id belongs to the body.
 */
import { isUtf8 } from 'node:buffer';
import type { RequestId } from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import { isObject } from './jsonrpc.ts';

/** Longer ids are not found. */
const MOST_BYTES = 256;
/** Several times what a request with the longest id has at its top level. */
const KEPT_BYTES = 2_048;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const BLANK = 0x20;
const NULL = Buffer.from('null');
const LONG = Buffer.alloc(MOST_BYTES + 1, 'x');

export class TopLevelId {
  /** Bytes that may still come. */
  #left: number;
  #depth = 0;
  #inText = false;
  /** The byte before was the backslash of an escape. */
  #escaped = false;
  #failed = false;
  readonly #kept = Buffer.allocUnsafe(KEPT_BYTES);
  #length = 0;
  /** Where the content of the last text begins. */
  #textAt = 0;

  /** `most`: the bytes that are looked at; a longer body has no id. */
  constructor(most: number) {
    this.#left = most;
  }

  /** The id, when the whole body has been taken and is a request. */
  get id(): RequestId | null {
    const kept = this.#kept.subarray(0, this.#length);
    if (this.#failed || !isUtf8(kept)) return null;
    const parsed: unknown = orUndefined(() => JSON.parse(kept.toString()) as unknown);
    if (!isObject(parsed) || typeof parsed['method'] !== 'string') return null;
    const { id } = parsed;
    if (typeof id === 'string') return Buffer.byteLength(id) > MOST_BYTES ? null : id;
    return Number.isSafeInteger(id) ? (id as number) : null;
  }

  /** The next bytes of the body; `false`: there is no id to be found any more. */
  take(bytes: Uint8Array): boolean {
    this.#left -= bytes.length;
    this.#failed ||= this.#left < 0;
    for (const byte of bytes) {
      if (this.#failed) return false;
      if (this.#inText) this.#text(byte);
      else this.#structure(byte);
    }
    return !this.#failed;
  }

  #text(byte: number): void {
    const isLong = this.#length - this.#textAt > MOST_BYTES;
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) {
      this.#inText = false;
      if (isLong) LONG.copy(this.#kept, this.#textAt);
      if (this.#depth === 1) this.#keep(byte);
      return;
    }
    if (this.#depth === 1 && !isLong) this.#keep(byte);
  }

  #structure(byte: number): void {
    const isSpace = byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
    if (this.#depth === 0) {
      if (isSpace) return;
      // The body begins with an object, and ends with it.
      this.#failed = byte !== OPEN_BRACE || this.#length > 0;
    }
    const before = this.#depth;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth -= 1;
    else if (byte === QUOTE) this.#inText = true;
    if (before === 1 && this.#depth === 2) for (const one of NULL) this.#keep(one);
    else if (before <= 1 && this.#depth <= 1) {
      // One blank is enough between two tokens.
      if (!isSpace || this.#kept[this.#length - 1] !== BLANK) this.#keep(isSpace ? BLANK : byte);
    }
    this.#textAt = this.#length;
  }

  #keep(byte: number): void {
    this.#failed ||= this.#length === KEPT_BYTES;
    this.#kept[this.#length++] = byte;
  }
}
