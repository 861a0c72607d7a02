/** How deep the values of a JSON text are nested, how many keys it has, and what it takes in memory: one loop. */

/** Far above what a protocol message or a tool's arguments need, and far below what a stack holds. */
export const MAX_DEPTH = 128;

/**
 * What a value takes in the heap besides its text, in bytes, as `test/eras/json-prices.test.ts` measures it. A key that
 * no other object has costs most, and validation copies objects, so a key has the price of three tables.
 */
const BRACKET = 48;
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

export const TOO_DEEP = -1;
export const TOO_MANY_KEYS = -2;

/** The bytes that the values take once they are parsed, `TOO_DEEP` or `TOO_MANY_KEYS` (keys and objects). */
export function bytesOfText(text: string, mostKeys: number, mostDepth = MAX_DEPTH): number {
  let depth = 0;
  let keys = 0;
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      bytes += STRING;
      at = stringEnd(text, at + 1);
    } else if (code === COMMA) {
      bytes += ELEMENT;
    } else if (code === COLON) {
      bytes += KEY;
      keys += 1;
    } else if ((code | BRACKET_BIT) === OPENING) {
      depth += 1;
      if (depth > mostDepth) return TOO_DEEP;
      if (code === OPENING) keys += 1;
      bytes += BRACKET;
    } else if ((code | BRACKET_BIT) === CLOSING) {
      depth -= 1;
    }
  }
  return keys > mostKeys ? TOO_MANY_KEYS : bytes;
}

/** Where the string ends whose content begins at `from`. */
function stringEnd(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 1)) {
    let before = at;
    while (text.charCodeAt(before - 1) === BACKSLASH) before -= 1;
    if ((at - before) % 2 === 0) return at;
  }
  return text.length;
}
