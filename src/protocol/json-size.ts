/**
 * How much memory the values of a JSON text take, how deep they are nested, and how many keys and objects there are.
 * One loop without recursion looks at the text before anything parses it.
 */

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

export const TOO_DEEP = -1;
export const TOO_MANY_KEYS = -2;

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

/** The same for a value that other code has parsed. */
export function bytesOfValue(value: unknown, mostKeys: number): number {
  const sum = new ValueSum(mostKeys);
  if (sum.add(value, MAX_DEPTH)) return sum.bytes;
  return sum.keys > mostKeys ? TOO_MANY_KEYS : TOO_DEEP;
}
