/** The event ids that a session's client got, stream by stream, in the order of their coming. */
import { parseEventId, sessionTag } from '../../src/session/streams/event-id.ts';
import type { Violation } from './history.ts';
import { isRefusal } from './messages.ts';

interface Position {
  readonly epoch: number;
  readonly offset: number;
}

export class SessionStreams {
  readonly #session: string;
  readonly #tag: string;
  readonly #wrong: (violation: Violation, what: string) => void;
  readonly #last = new Map<string, Position>();
  /** Of its GET stream, or any other: for the client that tries it on another session. */
  lastId: string | undefined;

  constructor(session: string, wrong: (violation: Violation, what: string) => void) {
    this.#session = session;
    this.#tag = sessionTag(session);
    this.#wrong = wrong;
  }

  /** An event, or a priming event (`data` is `''`), which repeats its reader's position. */
  take(id: string, data: string): void {
    const position = parseEventId(id);
    const where = `session ${this.#session}: event ${id}`;
    if (position === undefined) return this.#wrong('foreign', `${where} is no event id`);
    const { tag, epoch, stream, offset, call } = position;
    if (tag !== this.#tag) return this.#wrong('foreign', `${where} is another session's`);
    // The client's own position, with the error that ends its call.
    if (position.ended && isRefusal(data, call)) return;
    this.lastId = id;
    const last = this.#last.get(stream);
    if (last !== undefined) {
      const behind = data === '' ? offset < last.offset : offset <= last.offset;
      if (behind) this.#wrong('twice', `${where} came after offset ${last.offset}: ${data.slice(0, 200)}`);
      // A frozen owner that wakes must not add to what the next one continues.
      if (epoch < last.epoch) this.#wrong('staleWrite', `${where} came after one of epoch ${last.epoch}`);
    }
    if (last === undefined || offset >= last.offset) this.#last.set(stream, { epoch, offset });
  }
}
