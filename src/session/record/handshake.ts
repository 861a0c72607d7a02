/** The handshakes of clients. Clients of one kind send the same, and all their sessions share one copy. */
import {
  type ClientCapabilities,
  type Implementation,
  type InitializeRequestParams,
  isInitializeRequest,
} from '@modelcontextprotocol/server';
import { BoundedMap } from '../../bounded-map.ts';
import { handshakeHasTooManyKeys, handshakeTooLarge, invalidParams, type SojournError } from '../../errors.ts';
import { bytesOfText } from '../../protocol/json-size.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';

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

/** Copies of the text and its strings, and of the values that the SDK keeps, as `test/limits/held.test.ts` measures. */
const TEXT_COPIES = 4;
const VALUE_COPIES = 1.5;
/** A handshake may have one key or object for so many of `limits.handshakeBytes`, and in any case `LEAST_KEYS`. */
const BYTES_PER_KEY = 32;
const LEAST_KEYS = 64;

/** The handshake of an `initialize` whose shape the caller has checked. */
export const handshakeOf = (params: InitializeRequestParams): Handshake => handshakeIn(JSON.stringify(params));

/** The handshake in the body of a record. */
export function handshakeIn(text: string): Handshake {
  const found = known.get(text);
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

/** The handshake of an `initialize`, or what is wrong with it. A known handshake is not checked again. */
export function checkedHandshake(message: RpcRequest, mostBytes: number): Handshake | SojournError {
  const text = JSON.stringify(message.params) ?? '';
  if (Buffer.byteLength(text) > mostBytes) return handshakeTooLarge(mostBytes);
  const found = known.get(text);
  if (found !== undefined) return found;
  const mostKeys = Math.max(LEAST_KEYS, Math.floor(mostBytes / BYTES_PER_KEY));
  if (bytesOfText(text, mostKeys) < 0) return handshakeHasTooManyKeys(mostKeys);
  if (isInitializeRequest(message)) return handshakeIn(text);
  return invalidParams('initialize needs protocolVersion, capabilities and clientInfo (name, version)');
}

/** Sessions share the value, so it must not change. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}
