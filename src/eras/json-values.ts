/**
 * Looks at the values of a body before anything parses them, and charges them to their request. Validators,
 * `JSON.stringify` and handlers recurse, and a few thousand levels overflow their stack. A key takes 25 times its
 * bytes, and microseconds in each copy.
 */
import { invalidRequest, overMemory, parseError, type SojournError, tooManyKeys } from '../errors.ts';
import type { Holder, RefusedBody } from '../http/body.ts';
import type { Exchange } from '../http/exchange.ts';
import { echoId } from '../protocol/jsonrpc.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { bytesOfText, MAX_DEPTH, TOO_DEEP, TOO_MANY_KEYS } from '../protocol/json-size.ts';
import { topLevelId } from '../protocol/top-level-id.ts';

/** It drops a byte-order mark, which writers of text in .NET put first. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

interface BodyValues {
  readonly body: unknown;
  /** `undefined`: the caller of the endpoint had parsed it. */
  readonly text: string | undefined;
}

/** The values of a body, charged to its request. */
export function readValues(exchange: Exchange, bytes: Uint8Array, mostKeys: number): BodyValues | RefusedBody {
  const { parsedBody } = exchange;
  if (parsedBody !== undefined)
    return holdValue(exchange, parsedBody, mostKeys) ?? { body: parsedBody, text: undefined };
  const text = orUndefined(() => utf8.decode(bytes));
  if (text === undefined) return { error: parseError('the body is not UTF-8'), id: null };
  // One character that is not Latin makes all of a text twice as long.
  const wide = text.length < bytes.length ? text.length : 0;
  const refused = holdText(exchange, text, mostKeys, wide);
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

/** Charges a body that other code has parsed. What cannot be written as JSON contains itself, or is too deep. */
export function holdValue(holder: Holder, body: unknown, mostKeys: number): RefusedBody | undefined {
  const text = orUndefined(() => JSON.stringify(body) ?? '');
  const bytes = text === undefined ? TOO_DEEP : bytesOfText(text, mostKeys);
  if (bytes >= 0 && holder.holds(bytes + 2 * (text?.length ?? 0))) return undefined;
  return { error: refusalOf(bytes, mostKeys), id: echoId(body) };
}

function refusalOf(bytes: number, mostKeys: number): SojournError {
  if (bytes === TOO_DEEP) return invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`);
  return bytes === TOO_MANY_KEYS ? tooManyKeys(mostKeys) : overMemory();
}
