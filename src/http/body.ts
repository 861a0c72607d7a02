/**
 * The body of one request: collected on both faces, up to a limit and to what the memory budget has, and charged to
 * that budget. A body in one piece is charged once, with the values of its text.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import {
  bodyTooLarge,
  overMemory,
  parseError,
  type SojournError,
  tooDeep,
  tooManyKeys,
} from '../base/errors.ts';
import { echoId } from '../base/protocol/jsonrpc.ts';
import { bytesOfText, TOO_DEEP, TOO_MANY_KEYS } from '../base/protocol/json-size.ts';
import { endsOf, mayHaveId, topLevelId } from '../base/protocol/top-level-id.ts';
import type { MemoryUse } from '../base/budget.ts';

/** What a request holds: a place in a limit, bytes of the memory budget, a timer. */
export interface Held {
  release(): void;
}

/** A handler that runs, or is about to. */
export interface RunningWork {
  /** Releases `held` once, when the request has ended and its handler does not run. */
  holds(held: Held): void;
}

/** A request that is refused for its body. */
export interface RefusedBody {
  readonly error: SojournError;
  /** The id of the request, where it can be read. */
  readonly id: RequestId | null;
}

/** Gets the text of a body. */
export type BodyRead = (read: string | RefusedBody) => void;

/** Times `limits.bodyBytes`: how long a body that is refused unread may be, and its id is looked for. */
export const ID_SOUGHT = 4;

/** A body that exceeds them is refused. */
export interface BodyLimits {
  readonly bytes: number;
  /** Keys and objects in its text. */
  readonly keys: number;
  /** A refused body is read up to this many bytes: its id is looked for, and its client may not read before it has sent all. */
  readonly idWithin: number;
}

/**
 * A body counts this many times in the memory budget: its bytes, its text, and the value that is parsed from it.
 */
export const BODY_WEIGHT = 4;

/** What the object of a chunk takes besides its bytes: a body in chunks of one byte costs what it takes. */
const CHUNK_BYTES = 300;

/** What the memory of a request is charged to. */
export interface Holder {
  holds(bytes: number): boolean;
}

/** It drops a byte-order mark, which writers of text in .NET put first. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

export class Body {
  readonly #held: Holder;
  readonly #limits: BodyLimits;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #refusal: SojournError | undefined;

  constructor(held: Holder, limits: BodyLimits) {
    this.#held = held;
    this.#limits = limits;
  }

  /** `false`: the body is refused, and its rest need not be read. */
  take(chunk: Uint8Array): boolean {
    // Most bodies are one chunk, whose object is a part of what each request takes.
    const bytes = chunk.byteLength * BODY_WEIGHT + (this.#chunks.length === 0 ? 0 : CHUNK_BYTES);
    const isTaken = this.#add(chunk) && this.#held.holds(bytes);
    if (isTaken) return true;
    this.#refusal ??= overMemory();
    const ends = endsOf(this.#chunks);
    this.#chunks = [ends];
    return this.#size <= this.#limits.idWithin && mayHaveId(ends);
  }

  /** `false`: the body is refused. */
  #add(chunk: Uint8Array): boolean {
    this.#size += chunk.byteLength;
    this.#chunks.push(chunk);
    if (this.#size > this.#limits.bytes) this.#refusal ??= bodyTooLarge(this.#limits.bytes);
    return this.#refusal === undefined;
  }

  /** The text of the whole body, once it has ended, or why it is refused. */
  read(): string | RefusedBody {
    const [first = EMPTY, second] = this.#chunks;
    const bytes = second === undefined ? first : Buffer.concat(this.#chunks, this.#size);
    // Node keeps the last request of an idle connection.
    this.#chunks = [];
    if (this.#refusal === undefined) return this.#text(bytes, 0);
    const id =
      this.#size <= this.#limits.idWithin ? topLevelId(Buffer.from(bytes).toString()) : null;
    return { error: this.#refusal, id };
  }

  /** The same for a body that came in one piece: all that it takes is charged at once. */
  readWhole(bytes: Uint8Array): string | RefusedBody {
    return this.#add(bytes) ? this.#text(bytes, bytes.byteLength * BODY_WEIGHT) : this.read();
  }

  /** `value`: what a parser made of the body, or its text or bytes. */
  readParsed(value: unknown): string | RefusedBody {
    if (typeof value === 'string' || value instanceof Uint8Array)
      return this.readWhole(Buffer.from(value as string));
    const json = orUndefined(() => JSON.stringify(value));
    // It contains itself, or has more levels than the stack.
    return json === undefined
      ? { error: tooDeep(), id: echoId(value) }
      : this.readWhole(Buffer.from(json));
  }

  /** `due`: bytes that are not charged yet. */
  #text(bytes: Uint8Array, due: number): string | RefusedBody {
    const text = orUndefined(() => utf8.decode(bytes));
    if (text === undefined) return { error: parseError('the body is not UTF-8'), id: null };
    // One character that is not Latin makes all of a text twice as long.
    const wide = text.length < bytes.length ? text.length : 0;
    return holdText(this.#held, text, this.#limits.keys, due + wide) ?? text;
  }
}

const EMPTY = Buffer.alloc(0);

/**
 * Charges the values of a text, which may be invalid JSON, and `more` bytes, before anything parses it. Validators,
 * `JSON.stringify` and handlers recurse, and a few thousand levels overflow their stack. A key takes 25 times its bytes,
 * and microseconds in each copy.
 */
export function holdText(
  held: Holder,
  text: string,
  mostKeys: number,
  more = 0,
): RefusedBody | undefined {
  const bytes = bytesOfText(text, mostKeys);
  if (bytes >= 0 && held.holds(bytes + more)) return undefined;
  return { error: refusalOf(bytes, mostKeys), id: topLevelId(text) };
}

function refusalOf(bytes: number, mostKeys: number): SojournError {
  if (bytes === TOO_DEEP) return tooDeep();
  return bytes === TOO_MANY_KEYS ? tooManyKeys(mostKeys) : overMemory();
}

/** A handler that runs, with its call, its stream and what the SDK makes for it. Measured: 11 KB with a small body. */
const HANDLER_BYTES = 12 * 1024;

/** The server that a factory made for one message. Measured: 45 KB with nine tools. */
export const SERVER_BYTES = 44 * 1024;
/** A running call with its own server, besides its body. */
export const CALL_BYTES = HANDLER_BYTES + SERVER_BYTES;

/** The fields of a user's requests are counted from here on: looking at them all is not free. */
const FIELDS_COUNT_FROM = 1_048_576;
/** Header fields, as a request has them. */
type FieldValues = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What a header field takes besides its characters, in the `Headers` of the fetch face: two texts, and two entries. */
const FIELD_BYTES = 260;

/**
 * The bytes of one request in the memory budget, and of its handlers. They are given back when its answer is complete
 * or its client has disconnected, and each handler that got the request has settled: until then the handler holds the
 * body.
 */
export class RequestBytes implements Holder {
  readonly #memory: MemoryUse;
  /** Whose share they count in, a key of `shareKey`. */
  readonly #share: string;
  readonly #fields: FieldValues;
  #bytes = 0;
  /** The exchange and the handlers. */
  #holders = 1;

  constructor(memory: MemoryUse, share: string, fields: FieldValues = {}) {
    this.#memory = memory;
    this.#share = share;
    this.#fields = fields;
  }

  /** The first charge takes the header fields along. `false`: there is no room, or the request is over. */
  holds(bytes: number): boolean {
    const charged = this.#bytes === 0 ? bytes + this.#fieldBytes() : bytes;
    if (this.#holders === 0 || !this.#memory.take(charged, this.#bytes, this.#share)) return false;
    this.#bytes += charged;
    return true;
  }

  /** Charges the header fields of a request that has no body, or whose body may come late. */
  holdsFields(): boolean {
    return this.#fieldBytes() === 0 || this.holds(0);
  }

  /** Only of a user that holds much already. */
  #fieldBytes(): number {
    if (this.#memory.budget.heldBy(this.#share) < FIELDS_COUNT_FROM) return 0;
    let bytes = 0;
    for (const name in this.#fields)
      bytes += FIELD_BYTES + name.length + (this.#fields[name]?.length ?? 0);
    return bytes;
  }

  /**
   * The bytes stay charged until this handler has settled. Its client may have disconnected before it began. `own`:
   * bytes that it takes besides.
   */
  heldBy(work: RunningWork, own = 0): void {
    if (this.#bytes === 0) return;
    const bytes = HANDLER_BYTES + own;
    this.#memory.charge(bytes + (this.#holders === 0 ? this.#bytes : 0), this.#share);
    this.#bytes += bytes;
    this.#holders += 1;
    work.holds(this);
  }

  /** The exchange is over, or a handler has settled. */
  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0 && this.#bytes > 0) this.#memory.charge(-this.#bytes, this.#share);
  }
}
