/**
 * The id of a request whose body is refused unparsed, or unread. It is looked for in the first and the last 512 bytes:
 * official clients write it before or after `params`. Members that follow the first `{`, or precede the last `}`, are
 * at the top level of any JSON. Only a body with a `method` is a request.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { orUndefined } from '../or-undefined.ts';
import { echoId } from './jsonrpc.ts';

const END = 512;

/** Replaces the text between the ends. No text has it, and no id reaches over it. */
const CUT = Buffer.of(0xff);

/** The members that precede another one. */
const FIRST =
  /^\s*\{\s*((?:"(?:jsonrpc|method|id)"\s*:\s*(?:"(?:[^"\\\ufffd]|\\.)*"|-?\d+)\s*,\s*)*)/u;
/** The members that follow another one. */
const LAST = /((?:,\s*"(?:jsonrpc|method|id)"\s*:\s*(?:"(?:[^"\\\ufffd]|\\.)*"|-?\d+)\s*)+)\}\s*$/u;

export function topLevelId(text: string): RequestId | null {
  const before = FIRST.exec(text.slice(0, END))?.[1]?.trimEnd();
  if (before === undefined) return null;
  // Each has a comma beside its members.
  const members = [before.slice(0, -1), LAST.exec(text.slice(-END))?.[1]?.slice(1)]
    .filter(Boolean)
    .join();
  return echoId(orUndefined(() => JSON.parse(`{${members}}`) as unknown));
}

/** What is kept of a body whose id is all that is still looked for. */
export function endsOf(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat(chunks);
  return bytes.length <= 2 * END
    ? bytes
    : Buffer.concat([bytes.subarray(0, END), CUT, bytes.subarray(-END)]);
}

/** Whether a body that begins so may have an id: it may still become an object. */
export const mayHaveId = (bytes: Uint8Array): boolean =>
  /^\s*(?:\{|$)/.test(Buffer.from(bytes.subarray(0, END)).toString('latin1'));
