/**
 * The body of one request: collected on both faces, up to a limit and to what the memory budget has, and charged to
 * that budget.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import { bodyTooLarge, overMemory, type SojournError, tooDeep } from '../errors.ts';
import { echoId } from '../protocol/jsonrpc.ts';
import { endsOf, mayHaveId, topLevelId } from '../protocol/top-level-id.ts';
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

export type BodyRead = (read: Uint8Array | RefusedBody) => void;

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

export class Body {
  readonly #exchange: Holder;
  readonly #limit: number;
  readonly #idWithin: number;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #refusal: SojournError | undefined;

  constructor(exchange: Holder, limit: number, idWithin: number) {
    this.#exchange = exchange;
    this.#limit = limit;
    this.#idWithin = idWithin;
  }

  /** `false`: the body is refused, and its rest need not be read. */
  take(chunk: Uint8Array): boolean {
    this.#size += chunk.byteLength;
    // Most bodies are one chunk, whose object is a part of what each request takes.
    const bytes = chunk.byteLength * BODY_WEIGHT + (this.#chunks.length === 0 ? 0 : CHUNK_BYTES);
    if (this.#refusal === undefined && this.#size > this.#limit) this.#refusal = bodyTooLarge(this.#limit);
    else if (this.#refusal === undefined && !this.#exchange.holds(bytes)) this.#refusal = overMemory();
    this.#chunks.push(chunk);
    if (this.#refusal === undefined) return true;
    const ends = endsOf(this.#chunks);
    this.#chunks = [ends];
    return this.#size <= this.#idWithin && mayHaveId(ends);
  }

  /** The whole body, once it has ended, or why it is refused. Node keeps the last request of an idle connection. */
  read(): Uint8Array | RefusedBody {
    const [first = Buffer.alloc(0), second] = this.#chunks;
    const bytes = second === undefined ? first : Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [];
    if (this.#refusal === undefined) return bytes;
    const id = this.#size <= this.#idWithin ? topLevelId(Buffer.from(bytes).toString()) : null;
    return { error: this.#refusal, id };
  }

  readParsed(value: unknown): Uint8Array | RefusedBody {
    const json = orUndefined(() => JSON.stringify(value));
    // It contains itself, or has more levels than the stack.
    if (json === undefined) return { error: tooDeep(), id: echoId(value) };
    this.take(Buffer.from(json));
    return this.read();
  }
}

/** A handler that runs, with its call, its stream and what the SDK makes for it. Measured: 11 KB with a small body. */
const HANDLER_BYTES = 12 * 1024;

/** The server that a factory made for one message. Measured: 45 KB with nine tools. */
export const SERVER_BYTES = 44 * 1024;
/** A running call with its own server, besides its body. */
export const CALL_BYTES = HANDLER_BYTES + SERVER_BYTES;

/** The fields of a user's requests are counted from here on: looking at them all is not free. */
const FIELDS_COUNT_FROM = 1_048_576;
/** What a header field takes besides its characters, in the `Headers` of the fetch face: two texts, and two entries. */
const FIELD_BYTES = 260;

/**
 * The bytes of one request in the memory budget, and of its handlers. They are given back when its answer is complete
 * or its client has disconnected, and each handler that got the request has settled: until then the handler holds the
 * body.
 */
export class RequestBytes {
  readonly #memory: MemoryUse;
  readonly #client: { readonly share: string };
  /** Whose share they count in, from the first charge on. */
  #share: string | undefined = undefined;
  #bytes = 0;
  /** The exchange and the handlers. */
  #holders = 1;

  constructor(memory: MemoryUse, client: { readonly share: string }) {
    this.#memory = memory;
    this.#client = client;
  }

  get #user(): string {
    return (this.#share ??= this.#client.share);
  }

  /** `false`: there is no room, and nothing was charged. */
  take(bytes: number): boolean {
    if (!this.#memory.take(bytes, this.#bytes, this.#user)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** The same for header fields, where the user holds much already. */
  takeFields(fields: Readonly<Record<string, string | readonly string[] | undefined>>): boolean {
    if (this.#memory.budget.heldBy(this.#user) < FIELDS_COUNT_FROM) return true;
    let bytes = 0;
    for (const name in fields) bytes += FIELD_BYTES + name.length + (fields[name]?.length ?? 0);
    return this.take(bytes);
  }

  /**
   * The bytes stay charged until this handler has settled. Its client may have disconnected before it began. `own`:
   * bytes that it takes besides.
   */
  heldBy(work: RunningWork, own = 0): void {
    if (this.#bytes === 0) return;
    const bytes = HANDLER_BYTES + own;
    this.#memory.charge(bytes + (this.#holders === 0 ? this.#bytes : 0), this.#user);
    this.#bytes += bytes;
    this.#holders += 1;
    work.holds(this);
  }

  /** The exchange is over, or a handler has settled. */
  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0 && this.#bytes > 0) this.#memory.give(this.#bytes, this.#user);
  }
}
