/**
 * Looks at the values of a body before anything parses them, and charges them to their request. Validators,
 * `JSON.stringify` and handlers recurse, and a few thousand levels overflow their stack. A key takes 25 times its
 * bytes, and microseconds in each copy.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { invalidRequest, overMemory, type SojournError, tooManyKeys } from '../errors.ts';
import { echoId } from '../protocol/jsonrpc.ts';
import { bytesOfText, bytesOfValue, MAX_DEPTH, TOO_DEEP, TOO_MANY_KEYS } from '../protocol/json-size.ts';
import { TopLevelId } from '../protocol/top-level-id.ts';

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
  const bytes = bytesOfValue(body, mostKeys);
  if (bytes >= 0 && holder.holds(bytes)) return undefined;
  return { error: refusalOf(bytes, mostKeys), id: echoId(body) };
}

function refusalOf(bytes: number, mostKeys: number): SojournError {
  if (bytes === TOO_DEEP) return invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`);
  return bytes === TOO_MANY_KEYS ? tooManyKeys(mostKeys) : overMemory();
}

function idIn(text: string): RequestId | null {
  const found = new TopLevelId(Infinity);
  found.take(Buffer.from(text));
  return found.id;
}
