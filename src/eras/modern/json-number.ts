/**
 * Reads numbers of a JSON text as they were written. `JSON.parse` rounds: 42.000000000000000001 becomes 42, and 2^53 +
 * 1 becomes 2^53. Where a header must equal a number of the body (SEP-2243), the digits decide.
 */
import { withoutTrailing } from '../../http/text-ends.ts';

/** The text of the number at `path` in a valid JSON text; `undefined` when there is none or it is not a number. */
export function numberTextAt(json: string, path: readonly string[]): string | undefined {
  let at = skipSpace(json, 0);
  for (const key of path) {
    const found = memberStart(json, at, key);
    if (found === undefined) return undefined;
    at = found;
  }
  return /^-?\d[\d.eE+-]*/.exec(json.slice(at, valueEnd(json, at)))?.[0];
}

/** A safe integer in its shortest form, from any JSON spelling (42, 42.0, 4.2e1, 420e-1); otherwise `undefined`. */
export function canonicalInteger(text: string): string | undefined {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,6}))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  if (digits === '') return '0';
  const significant = withoutTrailing(digits, '0');
  const scale = Number(exponent) - fraction.length + (digits.length - significant.length);
  if (scale < 0 || significant.length + scale > 16) return undefined;
  const value = Number(significant + '0'.repeat(scale));
  return Number.isSafeInteger(value) ? sign + String(value) : undefined;
}

function skipSpace(json: string, from: number): number {
  let at = from;
  while (' \t\n\r'.includes(json[at] ?? 'x')) at += 1;
  return at;
}

/** Where the value of `key` begins in the object at `at`. As in `JSON.parse`, the last member of that name counts. */
function memberStart(json: string, at: number, key: string): number | undefined {
  if (json[at] !== '{') return undefined;
  let found: number | undefined;
  let next = skipSpace(json, at + 1);
  while (json[next] === '"') {
    const nameEnd = stringEnd(json, next);
    const name: unknown = JSON.parse(json.slice(next, nameEnd));
    const value = skipSpace(json, skipSpace(json, nameEnd) + 1);
    if (name === key) found = value;
    next = skipSpace(json, valueEnd(json, value));
    if (json[next] === ',') next = skipSpace(json, next + 1);
  }
  return found;
}

function stringEnd(json: string, at: number): number {
  let end = at + 1;
  while (end < json.length && json[end] !== '"') end += json[end] === '\\' ? 2 : 1;
  return end + 1;
}

function valueEnd(json: string, at: number): number {
  let depth = 0;
  let end = at;
  while (end < json.length) {
    const char = json[end] ?? '';
    if (char === '"') {
      end = stringEnd(json, end);
      if (depth === 0) return end;
      continue;
    }
    if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') {
      if (depth === 0) return end;
      depth -= 1;
      if (depth === 0) return end + 1;
    } else if (depth === 0 && ', \t\n\r'.includes(char)) return end;
    end += 1;
  }
  return end;
}
