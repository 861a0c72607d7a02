/**
 * Looks at the values of a body before anything parses them, and charges them to their request. Validators,
 * `JSON.stringify` and handlers recurse, and a few thousand levels overflow their stack. A key takes 25 times its
 * bytes, and microseconds in each copy.
 */
import { overMemory, parseError, type SojournError, tooDeep, tooManyKeys } from '../errors.ts';
import type { Holder, RefusedBody } from '../http/body.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { bytesOfText, TOO_DEEP, TOO_MANY_KEYS } from '../protocol/json-size.ts';
import { topLevelId } from '../protocol/top-level-id.ts';

/** It drops a byte-order mark, which writers of text in .NET put first. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

interface BodyValues {
  readonly body: unknown;
  readonly text: string;
}

/** The values of a body, charged to its request. */
export function readValues(holder: Holder, bytes: Uint8Array, mostKeys: number): BodyValues | RefusedBody {
  const text = orUndefined(() => utf8.decode(bytes));
  if (text === undefined) return { error: parseError('the body is not UTF-8'), id: null };
  // One character that is not Latin makes all of a text twice as long.
  const wide = text.length < bytes.length ? text.length : 0;
  const refused = holdText(holder, text, mostKeys, wide);
  if (refused !== undefined) return refused;
  try {
    return { body: JSON.parse(text), text };
  } catch {
    return { error: parseError('the body is not JSON'), id: null };
  }
}

/** Charges the values of a text, which may be invalid JSON, and `more` bytes. */
export function holdText(holder: Holder, text: string, mostKeys: number, more = 0): RefusedBody | undefined {
  const bytes = bytesOfText(text, mostKeys);
  if (bytes >= 0 && holder.holds(bytes + more)) return undefined;
  return { error: refusalOf(bytes, mostKeys), id: topLevelId(text) };
}

function refusalOf(bytes: number, mostKeys: number): SojournError {
  if (bytes === TOO_DEEP) return tooDeep();
  return bytes === TOO_MANY_KEYS ? tooManyKeys(mostKeys) : overMemory();
}
