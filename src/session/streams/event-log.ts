/**
 * One session's part of the store's event log: fenced appends under its owner's epoch, and the ids that clients see.
 */
import type {
  AppendRequest,
  MaybePromise,
  ReplayOutcome,
  WriteOutcome,
} from '../../stores/store.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { lostCallJson } from '../../http/answer.ts';
import { hasEventIds, hasPriming } from '../../base/protocol/versions.ts';
import { endError } from '../inbound/retries.ts';
import { eventPrefix, formatEventId, GET_STREAM, sessionTag } from './event-id.ts';
import type { SessionIdentity } from '../record/session-record.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import type { SessionHost } from '../record/session-host.ts';

/** How often a read of a stream starts again because retention has dropped events that it asked for. */
const READS = 3;
/** Characters of an event that may wait on a GET stream in a full memory, and how many may. */
const [SHORT_EVENT, SHORT_EVENTS] = [1_024, 8];

/** Whether one more event may wait beside `waiting`: `list_changed` of each kind says what the stream has dropped. */
export const mayWait = (json: string | undefined, waiting: number): boolean =>
  waiting < SHORT_EVENTS && (json?.length ?? 0) <= SHORT_EVENT;

/** A request that a stream answers. Its `params` are absent also where the store did not keep them. */
export type AwaitedRequest = Pick<RpcRequest, 'id' | 'method' | 'params'>;

/** The requests that a POST's stream answers. `undefined`: the store kept nothing of one. */
export type AwaitedRequests = ReadonlyArray<AwaitedRequest | undefined>;

/** What an append may carry besides events. */
export type AppendExtra = Pick<AppendRequest, 'mark' | 'unmark'> & {
  /** Called only when the append does not complete the stream. */
  readonly note?: () => string;
};

/** `'failed'`: the store was not reached. */
export type WriteResult = WriteOutcome | 'failed';

/** The session of a log. */
interface LoggedSession extends Pick<SessionIdentity, 'version' | 'share'> {
  /** Its client can resume nothing, whatever its version. */
  readonly unlogged: boolean;
  /** Messages of its GET stream were dropped. */
  skipped(): void;
}

export class SessionEventLog {
  readonly #host: SessionHost;
  readonly ownership: SessionOwnership;
  readonly #session: LoggedSession;
  /** Streams are logged, so that clients can resume them; `false`: streams have no event ids. */
  readonly logsStreams: boolean;
  /** The client comes back after an end of its response, and takes events with an empty data field. */
  readonly clientResumes: boolean;
  #prefix = '';
  #prefixEpoch = -1;

  /** Made once the version of the session is known. */
  constructor(host: SessionHost, ownership: SessionOwnership, session: LoggedSession) {
    this.#host = host;
    this.ownership = ownership;
    this.#session = session;
    const { eventRetention, responseMode } = host.options;
    const isKept = eventRetention !== false && responseMode !== 'json' && !session.unlogged;
    this.logsStreams = isKept && hasEventIds(session.version);
    this.clientResumes = hasPriming(session.version);
  }

  /** Tells its event ids from those of other sessions. */
  get tag(): string {
    return sessionTag(this.ownership.sessionId);
  }

  get options(): SessionHost['options'] {
    return this.#host.options;
  }

  /** `suffix` names the request that the stream answers, and a resume (`event-id.ts`). */
  eventId(stream: string, offset: number, suffix: string): string {
    const { epoch } = this.ownership;
    if (this.#prefixEpoch !== epoch) {
      this.#prefix = eventPrefix(this.tag, epoch);
      this.#prefixEpoch = epoch;
    }
    return formatEventId(this.#prefix, stream, offset, suffix);
  }

  /**
   * `first`, `last`: what the writes carry with which the append begins and ends. A stream's marker comes with its first
   * write and goes with its last, so no write between them carries any. Never throws: an append that fails rejects.
   */
  append(
    stream: string,
    from: number,
    events: readonly string[],
    complete: boolean,
    first?: AppendExtra,
    last?: AppendExtra,
  ): MaybePromise<WriteOutcome> {
    const { sessionId: id, fence } = this.ownership;
    const note = complete ? undefined : first?.note?.();
    const mark = first?.mark;
    const unmark = last?.unmark;
    try {
      // Member by member: a spread costs 2 µs.
      return this.#host.store.sessions.append({
        id,
        fence,
        stream,
        from,
        events,
        complete,
        note,
        mark,
        unmark,
      });
    } catch (cause) {
      return Promise.reject(cause);
    }
  }

  replay(stream: string, after: number): MaybePromise<ReplayOutcome> {
    return this.#host.store.sessions.replay(this.ownership.sessionId, stream, after);
  }

  /** The client has the whole stream. */
  forget(stream: string): void {
    this.#host.store.sessions.forget?.(this.ownership.sessionId, stream);
  }

  /**
   * For a sink. Where retention has dropped the next events of a POST's stream, it reads the kept events after them,
   * the answer included.
   */
  async read(stream: string, after: number): Promise<ReplayOutcome> {
    let outcome = await this.replay(stream, after);
    // The answer of a call is worth more than the events before it. A GET stream has no answer, and its sink must
    // learn what it missed.
    for (let n = 0; n < READS && stream !== GET_STREAM; n++) {
      if (outcome.found || outcome.why !== 'gap' || outcome.first === undefined) break;
      this.#host.logger.warn(
        { sessionId: this.ownership.sessionId, stream, after, first: outcome.first },
        'A client resumes a call after events that are no longer kept: it gets what came after them',
      );
      // Retention may drop more of a stream that is still being written.
      outcome = await this.replay(stream, outcome.first - 1);
    }
    // A fail-over may lose the newest entries of a log, and the owner writes on behind the hole.
    const hasHole =
      outcome.found && outcome.events.some(({ offset }, n) => offset !== after + 1 + n);
    return hasHole && stream === GET_STREAM ? { found: false, why: 'gap' } : outcome;
  }

  /**
   * The error that a client gets instead of an answer that the store refused; `undefined` where the client resumes
   * after a stream that ended, and then learns the outcome.
   */
  lostAnswer(call: AwaitedRequest): string | undefined {
    if (this.clientResumes) return undefined;
    // A session that has no leave reason yet is about to end: its end is being written.
    return lostCallJson(
      this.#host.options,
      call,
      endError(this.ownership.leaveReason ?? 'deleted', true),
    );
  }

  /**
   * Charges an event that waits for the store to the memory budget. `false`: there is no room, so the stream is not
   * stored any further.
   */
  hold(bytes: number): boolean {
    // A store in this process answers at once, and no event waits.
    const { held, durable } = this.#host;
    const { share } = this.#session;
    if (!durable || held.answers.take(bytes, 0, share)) return true;
    held.answers.budget.refused(bytes, share);
    this.#host.logger.warn(
      { sessionId: this.ownership.sessionId },
      'Events that wait for the store fill the memory of this instance (limits.memoryBytes): the events of a stream are dropped',
    );
    return false;
  }

  skipped(): void {
    this.#session.skipped();
  }

  /** Such an event does not wait any more. */
  release(bytes: number): void {
    if (this.#host.durable) this.#host.held.answers.give(bytes, this.#session.share);
  }

  /** The store was not reached. */
  failed(err: unknown): void {
    this.#host.logger.error(
      { err, sessionId: this.ownership.sessionId },
      'An event of a stream could not be stored',
    );
  }
}
