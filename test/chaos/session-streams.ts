/** The event ids that a session's client got, stream by stream, in the order of their coming. */
import { GET_STREAM, parseEventId, sessionTag } from '../../src/session/streams/event-id.ts';
import type { Violation } from './history.ts';
import { isResumeRefusal } from './resume-refusal.ts';

interface Position {
  readonly epoch: number;
  readonly offset: number;
}

export class SessionStreams {
  readonly #session: string;
  readonly #tag: string;
  readonly #wrong: (violation: Violation, what: string) => void;
  readonly #last = new Map<string, Position>();
  /** The position on its GET stream that its client comes back with. */
  #own: Position | undefined;
  /** GET streams that its client reads at once; past one, what one has had comes on the other too. */
  readers = 1;
  /** Of its GET stream, or any other: for the client that tries it on another session. */
  lastId: string | undefined;

  constructor(session: string, wrong: (violation: Violation, what: string) => void) {
    this.#session = session;
    this.#tag = sessionTag(session);
    this.#wrong = wrong;
  }

  /**
   * An event, or a priming event (`data` is `''`), which repeats its reader's position. `seen`: the client looks at its
   * id. Official clients do not if there is no data field.
   */
  take(id: string, data: string, seen = true): void {
    const position = parseEventId(id);
    const where = `session ${this.#session}: event ${id}`;
    if (position === undefined) return this.#wrong('foreign', `${where} is no event id`);
    const { tag, epoch, stream, offset } = position;
    if (tag !== this.#tag) return this.#wrong('foreign', `${where} is another session's`);
    // The client's own position, with the error that ends its call.
    const refuses = (['notKept', 'sessionNotFound'] as const).some((why) => isResumeRefusal({ id, data }, id, why));
    if (position.ended && refuses) return;
    this.lastId = id;
    const last = this.#last.get(stream);
    if (last !== undefined) {
      const behind = data === '' ? offset < last.offset : offset <= last.offset;
      if (behind && !(stream === GET_STREAM && this.readers > 1))
        this.#wrong('twice', `${where} came after offset ${last.offset}: ${data.slice(0, 200)}`);
      // A frozen owner that wakes must not add to what the next one continues. The position that a client came back
      // with is its own: of two readers one may be behind, and a client goes back to the last event that it saw.
      const own = this.readers > 1 || (this.#own?.epoch === epoch && this.#own.offset === offset);
      const repeated = data === '' && position.resumes > 0 && stream === GET_STREAM && own;
      if (epoch < last.epoch && !repeated) this.#wrong('staleWrite', `${where} came after one of epoch ${last.epoch}`);
    }
    if (last === undefined || offset >= last.offset) this.#last.set(stream, { epoch, offset });
    if (seen && stream === GET_STREAM) this.#own = { epoch, offset };
  }
}

/** The stream that an event id belongs to; its GET stream is `g`. */
export function streamOf(id: string): string | undefined {
  return parseEventId(id)?.stream;
}
