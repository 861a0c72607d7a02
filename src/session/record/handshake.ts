/** The handshakes of clients. Clients of one kind send the same, and all their sessions share one copy. */
import type { InitializeRequestParams } from '@modelcontextprotocol/server';
import { BoundedMap } from '../../base/bounded-map.ts';
import { bytesOfText } from '../../base/protocol/json-size.ts';

/** How many handshakes the table holds. Sessions keep the handshakes that they hold. */
const KEPT = 256;
/** Longer handshakes are rarely equal, so they are not kept. */
const LONGEST = 8_192;

/** Copies of the text and its strings, and of the values that the SDK keeps, as `test/http/limits/rows.test.ts` measures. */
const TEXT_COPIES = 4;
const VALUE_COPIES = 2;

/** The `initialize` of a client, kept for a rebuild of the session. */
export class Handshake {
  /** JSON text of its parameters, as the records of its sessions have it. */
  readonly text: string;
  /** The parameters as the client sent them. Sessions share them, so they are frozen. */
  readonly params: InitializeRequestParams;
  /** What it takes in memory for one live session, with the copies of its server. */
  readonly bytes: number;

  constructor(text: string) {
    this.text = text;
    // Parsed again, because the application may write into the message that the text was made from.
    this.params = freeze(this.copy());
    // One character that is not Latin makes all of a text twice as long.
    const width = Buffer.byteLength(text) > text.length ? 2 : 1;
    this.bytes = Math.ceil(
      TEXT_COPIES * width * text.length + VALUE_COPIES * Math.max(0, bytesOfText(text, Infinity)),
    );
  }

  /** Parameters that a server may write into. */
  copy(): InitializeRequestParams {
    return JSON.parse(this.text) as InitializeRequestParams;
  }
}

/** The key is the JSON text. */
const known = new BoundedMap<string, Handshake>(KEPT);

/** A handshake that was read before. */
export const knownHandshake = (text: string): Handshake | undefined => known.get(text);

/** The handshake in the body of a record, or of an `initialize` whose shape the caller has checked. */
export function handshakeIn(text: string): Handshake {
  const found = knownHandshake(text);
  if (found !== undefined) return found;
  const handshake = new Handshake(text);
  if (text.length <= LONGEST) known.set(text, handshake);
  return handshake;
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null)
    Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}
