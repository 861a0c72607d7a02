/** Reading what stands of a session: its value, and the end of its log. Always asked of the leader of the stream. */
import { contended, unreadable } from './failures.ts';
import type { Stored } from './jetstream.ts';
import { decodeLog, PREVIOUS, type LogMessage } from './log-message.ts';
import { LogState } from './log-state.ts';
import type { Names } from './names.ts';
import type { Parts } from './parts.ts';
import { decodeValue, type Found, type LivingValue } from './record-value.ts';
import { NOWHERE, type Registers, type Spot } from './registers.ts';

/** Looks at one and the same message that names parts which are not there: they are lost. */
const LOOKS = 5;

/** Where the log of a session ends, and what it says there. */
export interface LogTail {
  /** Its newest message. */
  last: Spot;
  epoch: number;
  owner: string | null;
  readonly state: LogState;
  /** Sequences of the newest messages, the last one first. */
  recent: readonly number[];
  /** The newest message that has the whole state, and how many came after it; 0: none. */
  base: number;
  since: number;
}

export const emptyTail = (): LogTail => ({
  last: NOWHERE,
  epoch: 0,
  owner: null,
  state: new LogState(),
  recent: [],
  base: 0,
  since: 0,
});

export interface ReadValue {
  readonly found: Found;
  /** Messages that hold parts of it. */
  readonly parts: readonly number[];
}

/** The newest message of a log. */
export interface LogEnd {
  readonly message: LogMessage;
  readonly spot: Spot;
}

export interface ReaderOptions {
  readonly registers: Registers;
  readonly names: Names;
  readonly parts: Parts;
}

export class Reader {
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  get where(): string {
    return this.#options.registers.jetstream.link.where;
  }

  /**
   * Without a value: nothing stands there, or what says that somebody deleted the key. What is written anew while it is read is
   * read again, as long as the deadline lets it: whoever writes gets on.
   */
  async value(id: string, deadline: number): Promise<ReadValue | { readonly spot: Spot }> {
    const { registers, names, parts } = this.#options;
    let looks = 0;
    for (let last = -1; looks < LOOKS;) {
      const read = await registers.read('sessions', names.session(id), deadline);
      if (read === undefined) return { spot: NOWHERE };
      const { stored, spot } = read;
      if (stored.deleted) return { spot };
      const body = await parts.whole('sessions', stored, deadline);
      // It was written anew meanwhile, and its parts are gone.
      if (body === undefined) {
        looks = spot.seq === last ? looks + 1 : 1;
        last = spot.seq;
        if (registers.jetstream.link.now() >= deadline) throw contended(this.where, `session ${id}`);
        continue;
      }
      const found = { spot, value: decodeValue(this.where, id, body) } as Found;
      return { found, parts: parts.named(stored) };
    }
    throw unreadable(this.where, `session ${id}, whose parts are missing,`);
  }

  async end(id: string, deadline: number): Promise<LogEnd | undefined> {
    const { registers, names } = this.#options;
    const read = await registers.read('log', names.log(id), deadline);
    const message = read && (await this.#message(id, read.stored, deadline));
    return read && message && { message, spot: read.spot };
  }

  async message(id: string, seq: number, deadline: number): Promise<LogMessage | undefined> {
    const stored = await this.#options.registers.jetstream.at('log', seq, deadline);
    return stored && this.#message(id, stored, deadline);
  }

  async #message(id: string, stored: Stored, deadline: number): Promise<LogMessage | undefined> {
    const body = await this.#options.parts.whole('log', stored, deadline);
    return body && decodeLog(this.where, id, stored.seq, stored.at, body);
  }

  /** What the newest message of a log says; `undefined`: the log has none. */
  async tail(id: string, value: LivingValue, end: LogEnd | undefined, deadline: number): Promise<LogTail> {
    const checkpoint = value.log;
    const last = end?.spot ?? NOWHERE;
    // Of an earlier session of that id nothing counts but that it must be continued.
    if (end === undefined || end.message.birth !== value.birth)
      return { ...emptyTail(), last, state: new LogState(checkpoint?.state) };
    const { message } = end;
    const { seq, epoch, owner, previous } = message;
    const recent = [seq, ...previous].slice(0, PREVIOUS);
    const place = { last, epoch, owner, recent };
    // The server lost the end of the log; the record knows better.
    if (checkpoint !== undefined && checkpoint.last > seq) {
      return { ...place, state: new LogState(checkpoint.state), base: 0, since: 0 };
    }
    if (message.summary !== undefined) return { ...place, state: new LogState(message.summary), base: seq, since: 0 };
    const since = recent.filter((one) => one > (message.base ?? 0));
    const state = await this.#fold(id, value, message, since, deadline);
    return { ...place, state, base: message.base ?? 0, since: since.length };
  }

  /** The state of the last message that has it, and what the messages since then have added. */
  async #fold(
    id: string,
    value: LivingValue,
    newest: LogMessage,
    since: readonly number[],
    deadline: number,
  ): Promise<LogState> {
    const rising = [newest.base ?? 0, ...[...since].reverse()];
    const messages = await Promise.all(
      rising.map(async (seq) => (seq === newest.seq ? newest : this.message(id, seq, deadline))),
    );
    const state = new LogState(messages[0]?.summary ?? value.log?.state);
    for (const message of messages.slice(1)) {
      for (const op of message?.ops ?? []) state.apply(op);
    }
    return state;
  }
}
