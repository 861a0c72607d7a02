/** The handshakes of clients. Clients of one kind send the same, and all their sessions share one copy. */
import type { ClientCapabilities, Implementation, InitializeRequestParams } from '@modelcontextprotocol/server';
import { BoundedMap } from '../../base/bounded-map.ts';
import { bytesOfText } from '../../protocol/json-size.ts';

/** The `initialize` parameters as the client sent them, kept for a rebuild of the session. */
export interface Handshake {
  readonly protocolVersion: string;
  readonly capabilities: ClientCapabilities;
  readonly clientInfo: Implementation;
  readonly [key: string]: unknown;
}

/** How many handshakes the table holds. Sessions keep the handshakes that they hold. */
const KEPT = 256;
/** Longer handshakes are rarely equal, so they are not kept. */
const LONGEST = 8_192;

/** The key is the JSON text. */
const known = new BoundedMap<string, Handshake>(KEPT);
/** The text that each handshake was read from, which the records of all its sessions share, and its `memoryOf`. */
const sources = new WeakMap<Handshake, { readonly text: string; readonly bytes: number }>();

/** Copies of the text and its strings, and of the values that the SDK keeps, as `test/limits/rows.test.ts` measures. */
const TEXT_COPIES = 4;
const VALUE_COPIES = 2;
/** The handshake of an `initialize` whose shape the caller has checked. */
export const handshakeOf = (params: InitializeRequestParams): Handshake => handshakeIn(JSON.stringify(params));

/** A handshake that was read before. */
export const knownHandshake = (text: string): Handshake | undefined => known.get(text);

/** The handshake in the body of a record. */
export function handshakeIn(text: string): Handshake {
  const found = knownHandshake(text);
  if (found !== undefined) return found;
  // Parsed again, because the application may write into the message that the text was made from.
  const handshake = freeze(JSON.parse(text) as Handshake);
  sources.set(handshake, { text, bytes: bytesHeldFor(text) });
  if (text.length <= LONGEST) known.set(text, handshake);
  return handshake;
}

export const handshakeText = (handshake: Handshake): string =>
  sources.get(handshake)?.text ?? JSON.stringify(handshake);

/** What the handshake of one live session takes in memory, with the copies of its server. */
export const memoryOf = (handshake: Handshake): number =>
  sources.get(handshake)?.bytes ?? bytesHeldFor(JSON.stringify(handshake));

function bytesHeldFor(text: string): number {
  // One character that is not Latin makes all of a text twice as long.
  const width = Buffer.byteLength(text) > text.length ? 2 : 1;
  return Math.ceil(TEXT_COPIES * width * text.length + VALUE_COPIES * Math.max(0, bytesOfText(text, Infinity)));
}

/** A copy that a server may write into. */
export const handshakeCopy = (handshake: Handshake): Handshake => JSON.parse(handshakeText(handshake)) as Handshake;

/** Sessions share the value, so it must not change. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}
