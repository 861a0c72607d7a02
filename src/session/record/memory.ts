/** What the parts of a session's record take in memory, as `test/http/limits/rows.test.ts` measures it. */
import type { HeaderFields } from '../../http/caller-request.ts';
import type { SessionRecord } from './session-record.ts';

/** The part of a key in the map of a live session, and in its record. */
const STATE_ENTRY_BYTES = 192;
/** What a URI takes besides its characters, which are there twice: in a set, and as a part of the record. */
const URI_BYTES = 896;
const URI_COPIES = 2;
/** An entry of the table, and the head of a text. */
const FIELD_BYTES = 96;

/**
 * `bytes`: of all keys and values in UTF-8. `isWide`: some text has a character that is not Latin, which makes all of
 * it twice as long in memory.
 */
export const memoryOfState = (bytes: number, keys: number, isWide: boolean): number =>
  bytes * (isWide ? 2 : 1) + keys * STATE_ENTRY_BYTES;

export const memoryOfUri = (uri: string): number => URI_COPIES * uri.length + URI_BYTES;

/** What the header fields of a request take that is kept with its session. */
export function memoryOfFields(fields: HeaderFields): number {
  let bytes = 0;
  for (const name in fields) bytes += FIELD_BYTES + name.length + (fields[name]?.length ?? 0);
  return bytes;
}

/** What the session takes that is made from this record. */
export function memoryOfRecord({ handshake, state, subscriptions }: SessionRecord): number {
  const texts = Object.entries(state).flat();
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const uris = subscriptions.reduce((sum, uri) => sum + memoryOfUri(uri), 0);
  return handshake.bytes + memoryOfState(bytes, texts.length / 2, bytes > characters) + uris;
}
