/** Reads the value of a record and the end of its log. The leader of the stream answers all these reads. */
import { contended, unreadable } from './failures.ts';
import type { Stored } from './jetstream.ts';
import type { NatsKind } from './kind.ts';
import { decodeLog, PREVIOUS, type StoredLogMessage } from './log-message.ts';
import { LogState } from './log-state.ts';
import {
  decodeValue,
  type EndedValue,
  type LivingValue,
  type StoredValue,
  type Value,
  wholeValue,
} from './record-value.ts';
import { NO_VALUE, type ValuePosition } from './keyed-values.ts';
import { shownRecord } from '../shared/failures.ts';

/** After so many looks at the same message, its missing parts count as lost. */
const LOOKS = 5;

/** The end of a record's log and the state there. */
export interface LogTail {
  /** The newest message. */
  last: ValuePosition;
  epoch: number;
  owner: string | null;
  readonly state: LogState;
  /** Sequences of the newest messages, newest first. */
  recent: readonly number[];
  /** The newest message with the whole state, and the number of messages after it; 0: none. */
  base: number;
  since: number;
}

export const emptyTail = (): LogTail => ({
  last: NO_VALUE,
  epoch: 0,
  owner: null,
  state: new LogState(),
  recent: [],
  base: 0,
  since: 0,
});

export interface ReadValue {
  readonly position: ValuePosition;
  /** `undefined`: the subject has no value, or another program deleted the key. */
  readonly value: Value | undefined;
  /** Messages that hold parts of the value. */
  readonly parts: readonly number[];
}

/** The newest message of a log. */
export interface LogEnd {
  readonly message: StoredLogMessage;
  readonly position: ValuePosition;
}

export class NatsReader {
  readonly #kind: NatsKind;

  constructor(kind: NatsKind) {
    this.#kind = kind;
  }

  /** A value that is replaced during the read is read again until the limit, because its writer makes progress. */
  async value(id: string): Promise<ReadValue> {
    const { values, names, parts, where, deadlines } = this.#kind;
    const deadline = deadlines.deadline();
    let looks = 0;
    for (let last = -1; looks < LOOKS;) {
      const read = await values.read('records', names.record(id));
      if (read === undefined) return { position: NO_VALUE, value: undefined, parts: [] };
      const { stored, position } = read;
      if (stored.deleted) return { position, value: undefined, parts: [] };
      const body = await parts.whole('records', stored);
      const value = body && decodeValue(where, id, body);
      const whole = value && (await this.#whole(id, value));
      // The value was replaced during the read, and its parts were removed.
      if (whole === undefined) {
        looks = position.seq === last ? looks + 1 : 1;
        last = position.seq;
        if (deadlines.now() >= deadline) throw contended(where, shownRecord(id));
        continue;
      }
      return { position, value: whole.value, parts: [...parts.named(stored), ...whole.pieces] };
    }
    throw unreadable(where, `${shownRecord(id)}, whose parts are missing,`);
  }

  /** With the fields of its pieces; `undefined`: a piece is missing. */
  async #whole(
    id: string,
    value: StoredValue | EndedValue,
  ): Promise<{ readonly value: Value; readonly pieces: readonly number[] } | undefined> {
    if (!('record' in value)) return { value, pieces: [] };
    const { pieces = [] } = value;
    const bodies = await this.#kind.parts.bodies('records', pieces);
    if (bodies === undefined) return undefined;
    try {
      return { value: wholeValue(value, bodies), pieces };
    } catch (cause) {
      throw unreadable(this.#kind.where, shownRecord(id), cause);
    }
  }

  async end(id: string): Promise<LogEnd | undefined> {
    const { values, names } = this.#kind;
    const read = await values.read('log', names.log(id));
    const message = read && (await this.#message(id, read.stored));
    return read && message && { message, position: read.position };
  }

  async message(id: string, seq: number): Promise<StoredLogMessage | undefined> {
    const stored = await this.#kind.jetstream.at('log', seq);
    return stored && this.#message(id, stored);
  }

  async #message(id: string, stored: Stored): Promise<StoredLogMessage | undefined> {
    const body = await this.#kind.parts.whole('log', stored);
    return body && decodeLog(this.#kind.where, id, stored.seq, stored.at, body);
  }

  /** The state at the newest message of a log; empty if the log has no message. */
  async tail(id: string, value: LivingValue, end: LogEnd | undefined): Promise<LogTail> {
    const checkpoint = value.log;
    const last = end?.position ?? NO_VALUE;
    // An earlier record with the same id wrote this message. It only matters as the message to continue.
    if (end === undefined || end.message.birth !== value.birth)
      return { ...emptyTail(), last, state: new LogState(checkpoint?.state) };
    const { message } = end;
    const { seq, epoch, owner, previous } = message;
    const recent = [seq, ...previous].slice(0, PREVIOUS);
    const place = { last, epoch, owner, recent };
    // The server lost the end of the log; the record has a newer state.
    if (checkpoint !== undefined && checkpoint.last > seq) {
      return { ...place, state: new LogState(checkpoint.state), base: 0, since: 0 };
    }
    if (message.summary !== undefined) return { ...place, state: new LogState(message.summary), base: seq, since: 0 };
    const since = recent.filter((one) => one > (message.base ?? 0));
    const state = await this.#fold(id, value, message, since);
    return { ...place, state, base: message.base ?? 0, since: since.length };
  }

  /** The last whole state plus the operations of the messages since then. */
  async #fold(id: string, value: LivingValue, newest: StoredLogMessage, since: readonly number[]): Promise<LogState> {
    const rising = [newest.base ?? 0, ...[...since].reverse()];
    const messages = await Promise.all(
      rising.map(async (seq) => (seq === newest.seq ? newest : this.message(id, seq))),
    );
    const state = new LogState(messages[0]?.summary ?? value.log?.state);
    for (const message of messages.slice(1)) {
      for (const op of message?.ops ?? []) state.apply(op);
    }
    return state;
  }
}
