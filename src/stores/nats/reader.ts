/** Reading what stands of a session: its value, and the end of its log. Always asked of the leader of the stream. */
import { contended } from './failures.ts';
import type { JetStream, Stored } from './jetstream.ts';
import { decodeLog, PREVIOUS, type LogMessage } from './log-message.ts';
import { LogState } from './log-state.ts';
import type { Names } from './names.ts';
import type { Parts } from './parts.ts';
import { decodeValue, type Found, type LivingValue } from './record-value.ts';

const TRIES = 5;

/** Where the log of a session ends, and what it says there. */
export interface LogTail {
  /** The sequence of its newest message; 0: there is none. */
  last: number;
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
  last: 0,
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

export interface ReaderOptions {
  readonly jetstream: JetStream;
  readonly names: Names;
  readonly parts: Parts;
}

export class Reader {
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  get where(): string {
    return this.#options.jetstream.link.where;
  }

  /** `rev` 0 and no value: nothing stands there; with `rev`: somebody deleted the key. */
  async value(id: string, deadline: number): Promise<ReadValue | { readonly rev: number }> {
    const { jetstream, names, parts } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const stored = await jetstream.last('sessions', names.session(id), deadline);
      if (stored === undefined) return { rev: 0 };
      if (stored.deleted) return { rev: stored.seq };
      const body = await parts.whole('sessions', stored, deadline);
      // It was written anew meanwhile, and its parts are gone.
      if (body === undefined) continue;
      const value = decodeValue(this.where, id, body);
      const found = { rev: stored.seq, value } as Found;
      return { found, parts: parts.named(stored) };
    }
    throw contended(this.where, `session ${id}`);
  }

  async lastMessage(id: string, deadline: number): Promise<LogMessage | undefined> {
    const { jetstream, names } = this.#options;
    const stored = await jetstream.last('log', names.log(id), deadline);
    return stored && this.#message(id, stored, deadline);
  }

  async message(id: string, seq: number, deadline: number): Promise<LogMessage | undefined> {
    const stored = await this.#options.jetstream.at('log', seq, deadline);
    return stored && this.#message(id, stored, deadline);
  }

  async #message(id: string, stored: Stored, deadline: number): Promise<LogMessage | undefined> {
    const body = await this.#options.parts.whole('log', stored, deadline);
    return body && decodeLog(this.where, id, stored.seq, stored.at, body);
  }

  /** What the newest message of a log says; `undefined`: the log has none. */
  async tail(id: string, value: LivingValue, message: LogMessage | undefined, deadline: number): Promise<LogTail> {
    const checkpoint = value.log;
    if (message === undefined || message.birth !== value.birth) {
      // Of an earlier session of that id nothing counts but that it must be continued.
      return { ...emptyTail(), last: message?.seq ?? 0, state: new LogState(checkpoint?.state) };
    }
    const { seq, epoch, owner, previous } = message;
    const recent = [seq, ...previous].slice(0, PREVIOUS);
    const place = { last: seq, epoch, owner, recent };
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
