/**
 * The id of a request whose body is refused unparsed, or unread. It is looked for in the first and the last 512 bytes:
 * official clients write it before or after `params`. Members that follow the first `{`, or precede the last `}`, are at
 * the top level of any JSON. Only a body with a `method` is a request.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import { echoId } from './jsonrpc.ts';

const END = 512;

/** What may still become an object. */
const OBJECT = /^\s*(?:\{|$)/;
/** The members that precede another one. */
const FIRST = /^\s*\{\s*((?:"(?:jsonrpc|method|id)"\s*:\s*(?:"(?:[^"\\\ufffd]|\\.)*"|-?\d+)\s*,\s*)*)/u;
/** The members that follow another one. */
const LAST = /((?:,\s*"(?:jsonrpc|method|id)"\s*:\s*(?:"(?:[^"\\\ufffd]|\\.)*"|-?\d+)\s*)+)\}\s*$/u;

/** `last`: how the body ends, which may be what `first` is. */
export function topLevelId(first: string, last = first): RequestId | null {
  const before = FIRST.exec(first.slice(0, END))?.[1]?.trimEnd();
  if (before === undefined) return null;
  // Each has a comma beside its members.
  const members = [before.slice(0, -1), LAST.exec(last.slice(-END))?.[1]?.slice(1)].filter(Boolean).join();
  return echoId(orUndefined(() => JSON.parse(`{${members}}`) as unknown));
}

/** The first and the last bytes of a body that arrives in pieces, and is not kept. */
export class BodyEnds {
  /** Bytes that may still come; below 0, there is no id. */
  #left: number;
  #first = Buffer.alloc(0);
  #last = Buffer.alloc(0);

  /** `most`: a longer body has no id. */
  constructor(most: number) {
    this.#left = most;
  }

  /** `false`: the body is too long, or no object. */
  take(bytes: Uint8Array): boolean {
    this.#left -= bytes.length;
    if (this.#first.length < END) {
      this.#first = Buffer.concat([this.#first, bytes.subarray(0, END)]).subarray(0, END);
      if (!OBJECT.test(this.#first.toString('latin1'))) this.#left = -1;
    }
    // A copy: a view would keep all bytes of a long piece.
    this.#last = Buffer.from(Buffer.concat([this.#last, bytes.subarray(-END)]).subarray(-END));
    return this.#left >= 0;
  }

  get id(): RequestId | null {
    return this.#left < 0 ? null : topLevelId(this.#first.toString(), this.#last.toString());
  }
}
