/** One session's part of the store's event log: fenced appends under its owner's epoch, and the ids that clients see. */
import type { MaybePromise, ReplayOutcome, WriteOutcome } from '../stores/store.ts';
import { hasPriming } from '../protocol/versions.ts';
import { endError } from './end-answers.ts';
import { eventPrefix, formatEventId, GET_STREAM, sessionTag } from './event-id.ts';
import { pause } from './pause.ts';
import type { SessionHost } from './session-host.ts';
import type { LiveSession } from './session.ts';
import type { AnsweredCall, CarriedExtra, StreamLog } from './stream-writer.ts';

/** How often the log of a stream may be overtaken by what drops its events. */
const READS = 3;

export class SessionEventLog implements StreamLog {
  readonly #host: SessionHost;
  readonly #session: LiveSession;
  /** Tells its event ids from those of other sessions. */
  readonly tag: string;
  #prefix: string | undefined = undefined;
  #prefixEpoch = 0;

  constructor(host: SessionHost, session: LiveSession) {
    this.#host = host;
    this.#session = session;
    this.tag = sessionTag(session.id);
  }

  get retryMs(): number {
    return this.#host.options.retryMs;
  }

  get emptyData(): boolean {
    return hasPriming(this.#session.version);
  }

  get epoch(): number {
    return this.#session.epoch;
  }

  claimedSince(epoch: number): MaybePromise<boolean> {
    return this.#session.claimedSince(epoch);
  }

  eventId(stream: string, offset: number, suffix: string): string {
    const { epoch } = this.#session;
    if (this.#prefix === undefined || this.#prefixEpoch !== epoch) {
      this.#prefix = eventPrefix(this.tag, epoch);
      this.#prefixEpoch = epoch;
    }
    return formatEventId(this.#prefix, stream, offset, this.#host.idSuffixes ? suffix : '');
  }

  append(
    stream: string,
    from: number,
    events: readonly string[],
    complete: boolean,
    extra: CarriedExtra | undefined,
  ): MaybePromise<WriteOutcome> {
    const { id, record } = this.#session;
    const append = { sessionId: id, fence: record.fence, stream, from, events, complete };
    return this.#host.store.events.append(extra === undefined ? append : { ...append, ...extra });
  }

  replay(stream: string, after: number): MaybePromise<ReplayOutcome> {
    return this.#host.store.events.replay(this.#session.id, stream, after);
  }

  async read(stream: string, after: number): Promise<ReplayOutcome> {
    let outcome = await this.replay(stream, after);
    // A call's answer is worth more than what was said before it. A GET stream has no answer: its reader must know what it missed.
    for (let n = 0; n < READS && stream !== GET_STREAM; n++) {
      if (outcome.found || outcome.why !== 'gap' || outcome.first === undefined) break;
      this.#host.logger.warn(
        { sessionId: this.#session.id, stream, after, first: outcome.first },
        'A client resumes a call after events that are no longer kept: it gets what came after them',
      );
      // Of a stream that is being written, more may be dropped meanwhile.
      outcome = await this.replay(stream, outcome.first - 1);
    }
    return outcome;
  }

  fenced(): void {
    this.#host.fenced(this.#session);
  }

  lostAnswer(call: AnsweredCall): string | undefined {
    if (hasPriming(this.#session.version)) return undefined;
    // It has not left yet: its end is being written.
    return this.#session.lostJson(call, endError(this.#session.left ?? 'deleted', true));
  }

  failed(err: unknown): void {
    this.#host.logger.error({ err, sessionId: this.#session.id }, 'An event could not be stored');
  }

  now(): number {
    return this.#host.options.timeProvider.monotonic();
  }

  get waitMs(): number {
    return this.#host.options.waitMs;
  }

  async again(tries: number): Promise<boolean> {
    const { timeProvider } = this.#host.options;
    await pause(timeProvider, tries);
    return this.#session.left === undefined;
  }
}
