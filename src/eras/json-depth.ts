/**
 * Measures how deep a body is nested, without recursion and before anything else reads it. Validators, `JSON.stringify`
 * and handlers recurse, and a few thousand levels overflow their stack.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { invalidRequest, type SojournError } from '../errors.ts';
import { echoId } from '../protocol/jsonrpc.ts';
import { memberText } from './modern/json-number.ts';

/** Far above what a protocol message or a tool's arguments need, and far below what a stack holds. */
export const MAX_DEPTH = 128;

/** The shortest JSON text that is nested too deep has this many brackets, half of them opening. */
const SHORTEST = 2 * (MAX_DEPTH + 1);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** `[` and `{` differ in one bit, and so do `]` and `}`. */
const BRACKET_BIT = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;

export interface TooDeep {
  readonly error: SojournError;
  /** The id of the request, where it can be read. */
  readonly id: RequestId | null;
}

/** Checks the text of a body, which may be invalid JSON. */
export function checkTextDepth(text: string): TooDeep | undefined {
  if (text.length < SHORTEST || !hasManyBrackets(text) || !isTextDeep(text)) return undefined;
  return { error: tooDeep(), id: idOf(text) };
}

/** Checks a body that other code has parsed. */
export function checkValueDepth(body: unknown): TooDeep | undefined {
  return isValueDeep(body, MAX_DEPTH) ? { error: tooDeep(), id: echoId(body) } : undefined;
}

const tooDeep = (): SojournError => invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`);

/** Counts opening brackets everywhere, strings included. Almost every body has few and needs no closer check. */
function hasManyBrackets(text: string): boolean {
  let count = 0;
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      count += 1;
      if (count > MAX_DEPTH) return true;
    }
  }
  return false;
}

/** One loop without function calls: one call per string costs four times as much. */
function isTextDeep(text: string): boolean {
  const { length } = text;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at += 1;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) {
      inString = true;
    } else if ((code | BRACKET_BIT) === OPENING) {
      depth += 1;
      if (depth > MAX_DEPTH) return true;
    } else if ((code | BRACKET_BIT) === CLOSING) {
      depth -= 1;
    }
  }
  return false;
}

/** Recursion that ends at `left`: a value that contains itself is too deep. */
function isValueDeep(value: unknown, left: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (left === 0) return true;
  if (Array.isArray(value)) {
    for (const element of value) if (isValueDeep(element, left - 1)) return true;
    return false;
  }
  for (const key in value) if (isValueDeep((value as Record<string, unknown>)[key], left - 1)) return true;
  return false;
}

/** The id as `echoId` finds it, without parsing the rest. */
function idOf(text: string): RequestId | null {
  const [id, method] = [memberText(text, 'id'), memberText(text, 'method')].map(scalar);
  return echoId({ id, method });
}

function scalar(json: string | undefined): unknown {
  if (json === undefined || /^[[{]/.test(json)) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
