/** Texts in the store: a line of JSON, and after it perhaps a long JSON text, which not every reader parses. */
import { orUndefined } from '../../base/or-undefined.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';

const VERSION = 1;

export function storedText(line: object, rest?: string): string {
  const text = JSON.stringify({ v: VERSION, ...line });
  return rest === undefined ? text : `${text}\n${rest}`;
}

/** `undefined`: another build has written it. */
export function readText(
  text: string,
): { readonly line: object; readonly rest?: string } | undefined {
  const [end, length] = [text.indexOf('\n'), text.length];
  const line = orUndefined<unknown>(() => JSON.parse(text.slice(0, end === -1 ? length : end)));
  if (!isObject(line) || line['v'] !== VERSION) return undefined;
  return { line, ...(end !== -1 && { rest: text.slice(end + 1) }) };
}
