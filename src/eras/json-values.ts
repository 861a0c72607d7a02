/**
 * Looks at the values of a body before anything parses them, and charges them to their request. Validators,
 * `JSON.stringify` and handlers recurse, and a few thousand levels overflow their stack. A key takes 25 times its
 * bytes, and microseconds in each copy.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { invalidRequest, overMemory, type SojournError, tooManyKeys } from '../errors.ts';
import { echoId } from '../protocol/jsonrpc.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { bytesOfText, MAX_DEPTH, TOO_DEEP, TOO_MANY_KEYS } from '../protocol/json-size.ts';
import { topLevelId } from '../protocol/top-level-id.ts';

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
  return { error: refusalOf(bytes, mostKeys), id: topLevelId(text) };
}

/** Charges a body that other code has parsed. What cannot be written as JSON contains itself, or is too deep. */
export function holdValue(holder: Holder, body: unknown, mostKeys: number): RefusedValues | undefined {
  const text = orUndefined(() => JSON.stringify(body) ?? '');
  const bytes = text === undefined ? TOO_DEEP : bytesOfText(text, mostKeys);
  if (bytes >= 0 && holder.holds(bytes + 2 * (text?.length ?? 0))) return undefined;
  return { error: refusalOf(bytes, mostKeys), id: echoId(body) };
}

function refusalOf(bytes: number, mostKeys: number): SojournError {
  if (bytes === TOO_DEEP) return invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`);
  return bytes === TOO_MANY_KEYS ? tooManyKeys(mostKeys) : overMemory();
}
