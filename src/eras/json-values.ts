/**
 * Looks at the values of a body before anything parses them, in one loop without recursion: how deep they are nested,
 * how many keys and objects they have, and how much memory they take. Validators, `JSON.stringify` and handlers
 * recurse, and a few thousand levels overflow their stack. A key takes 25 times its bytes, and microseconds in each
 * copy.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { invalidRequest, overMemory, type SojournError, tooManyKeys } from '../errors.ts';
import { echoId } from '../protocol/jsonrpc.ts';
import { TopLevelId } from '../protocol/top-level-id.ts';

/** Far above what a protocol message or a tool's arguments need, and far below what a stack holds. */
export const MAX_DEPTH = 128;

/**
 * What a value takes in the heap besides its text, in bytes, as `test/eras/json-prices.test.ts` measures it. A key that
 * no other object has costs most, and validation copies objects, so a key has the price of three tables.
 */
const OBJECT = 48;
const ARRAY = 48;
const KEY = 160;
/** An element or a member: its slot, and a number that needs a separate object. */
const ELEMENT = 24;
const STRING = 16;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
/** `[` and `{` differ in one bit, and so do `]` and `}`. */
const BRACKET_BIT = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;

/** So many characters of a string are looked at one by one: a call for each short string costs four times as much. */
const NEAR = 32;

const TOO_DEEP = -1;
const TOO_MANY_KEYS = -2;

export interface RefusedValues {
  readonly error: SojournError;
  /** The id of the request, where it can be read. */
  readonly id: RequestId | null;
}

/** What the memory of a request is charged to. */
interface Holder {
  holds(bytes: number): boolean;
}

/** Charges the values of a text, which may be invalid JSON, and `more` bytes. */
export function holdText(holder: Holder, text: string, mostKeys: number, more = 0): RefusedValues | undefined {
  const bytes = bytesOfText(text, mostKeys);
  if (bytes >= 0 && holder.holds(bytes + more)) return undefined;
  return { error: refusalOf(bytes, mostKeys), id: idIn(text) };
}

/** Charges a body that other code has parsed. */
export function holdValue(holder: Holder, body: unknown, mostKeys: number): RefusedValues | undefined {
  const sum = new ValueSum(mostKeys);
  const bytes = sum.add(body, MAX_DEPTH) ? sum.bytes : sum.keys > mostKeys ? TOO_MANY_KEYS : TOO_DEEP;
  if (bytes >= 0 && holder.holds(bytes)) return undefined;
  return { error: refusalOf(bytes, mostKeys), id: echoId(body) };
}

function refusalOf(bytes: number, mostKeys: number): SojournError {
  if (bytes === TOO_DEEP) return invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`);
  return bytes === TOO_MANY_KEYS ? tooManyKeys(mostKeys) : overMemory();
}

/** The bytes that the values take once they are parsed, `TOO_DEEP` or `TOO_MANY_KEYS`. */
export function bytesOfText(text: string, mostKeys: number): number {
  const { length } = text;
  let depth = 0;
  let keys = 0;
  let bytes = 0;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      bytes += STRING;
      const near = Math.min(length, at + NEAR);
      let inside = 0;
      for (at += 1; at < near; at++) {
        inside = text.charCodeAt(at);
        if (inside === BACKSLASH) at += 1;
        else if (inside === QUOTE) break;
      }
      if (inside !== QUOTE) at = stringEnd(text, at);
    } else if (code === COMMA) {
      bytes += ELEMENT;
    } else if (code === COLON) {
      bytes += KEY;
      keys += 1;
    } else if ((code | BRACKET_BIT) === OPENING) {
      depth += 1;
      if (depth > MAX_DEPTH) return TOO_DEEP;
      if (code === OPENING) keys += 1;
      bytes += code === OPENING ? OBJECT : ARRAY;
    } else if ((code | BRACKET_BIT) === CLOSING) {
      depth -= 1;
    }
  }
  return keys > mostKeys ? TOO_MANY_KEYS : bytes;
}

/** Where the string ends that has begun before `from`. */
function stringEnd(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 1)) {
    let before = at;
    while (before > from && text.charCodeAt(before - 1) === BACKSLASH) before -= 1;
    if ((at - before) % 2 === 0) return at;
  }
  return text.length;
}

/** What a parsed value takes. A value that contains itself is too deep. */
class ValueSum {
  readonly #mostKeys: number;
  keys = 0;
  bytes = 0;

  constructor(mostKeys: number) {
    this.#mostKeys = mostKeys;
  }

  /** Recursion that ends at `left`. `false`: the value is too deep or has too many keys. */
  add(value: unknown, left: number): boolean {
    this.bytes += ELEMENT;
    if (typeof value === 'string') this.bytes += STRING + 2 * value.length;
    if (typeof value !== 'object' || value === null) return true;
    if (left === 0) return false;
    if (Array.isArray(value)) {
      this.bytes += ARRAY;
      for (const element of value) if (!this.add(element, left - 1)) return false;
      return true;
    }
    this.bytes += OBJECT;
    if (!this.#key()) return false;
    for (const key in value) {
      this.bytes += KEY + STRING + 2 * key.length;
      if (!this.#key() || !this.add((value as Record<string, unknown>)[key], left - 1)) return false;
    }
    return true;
  }

  #key(): boolean {
    this.keys += 1;
    return this.keys <= this.#mostKeys;
  }
}

function idIn(text: string): RequestId | null {
  const found = new TopLevelId(Infinity);
  found.take(Buffer.from(text));
  return found.id;
}
