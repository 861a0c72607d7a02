/**
 * Questions of a server that cannot go out yet: its client has not sent `notifications/initialized`, or has no GET
 * stream open. Official clients open that stream after their handshake, and again `retryMs` after they lost it.
 *
 *     waiting ──the client opens its GET stream, or has initialized──▶ sent, in order
 *        ├──nothing comes for `retryMs` and a second──▶ refused; so are later ones at once, until something comes
 *        ├──its server cancels it──▶ never sent
 *        └──the session leaves──▶ refused
 *
 * Nothing of this is stored. After a crash the next owner's server asks again, as it did at the start of the session.
 */
import { noStream, notInitialized, sessionGone, type SojournError } from '../../errors.ts';
import { afterTurn } from '../../base/system.ts';
import type { RpcNotification, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { LeaveReason } from '../../types.ts';
import type { SessionParts } from '../parts.ts';
import type { Stream } from '../streams/stream.ts';

/** How long a client may take to open a stream, beyond the `retryMs` after which it reconnects. */
const OPENING_MS = 1_000;
/** Servers ask one or two questions at once. */
const MOST_WAITING = 16;
/** What a question takes besides its text: its promise, its timer and the SDK's entry. */
const QUESTION_BYTES = 4_096;
/** How often the text counts: the server's objects, and what is sent. */
const TEXT_WEIGHT = 4;

interface UnsentQuestion {
  readonly question: RpcRequest;
  /** A text, because the server may cancel `1` as `"1"`. */
  readonly id: string;
  /** The stream of its request. `undefined`: the GET stream. */
  readonly stream: Stream | undefined;
  readonly bytes: number;
  /** When it is refused, a time of the monotonic clock. */
  readonly dueAt: number;
  readonly done: () => void;
  readonly failed: (cause: unknown) => void;
}

export class UnsentQuestions {
  readonly #session: SessionParts;
  /** Oldest first. All wait equally long, so the first is due first. */
  #waiting: UnsentQuestion[] = [];
  #bytes = 0;
  #timer: unknown = undefined;
  /** A question waited in vain, and nothing has come of the client since. */
  #inVain = false;

  constructor(session: SessionParts) {
    this.#session = session;
  }

  get any(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether the client may get this question now, by the state of its handshake. */
  static may(question: RpcRequest, { record }: SessionParts): boolean {
    return record.initialized || question.method === 'ping';
  }

  /** The error of a question that cannot go out. */
  refusal(question: RpcRequest): SojournError {
    const { method } = question;
    return UnsentQuestions.may(question, this.#session) ? noStream(method) : notInitialized(method);
  }

  /** Resolves when the question is sent or cancelled. Rejects, or throws, when it is refused. */
  wait(question: RpcRequest, stream: Stream | undefined): Promise<void> {
    const { id: sessionId, share, logger, host, ownership } = this.#session;
    if (ownership.leaveReason !== undefined) throw sessionGone(sessionId, ownership.leaveReason);
    if (this.#inVain || this.#waiting.length >= MOST_WAITING) throw this.refusal(question);
    const bytes = QUESTION_BYTES + JSON.stringify(question).length * TEXT_WEIGHT;
    if (!host.held.answers.take(bytes, this.#bytes, share)) throw this.refusal(question);
    this.#bytes += bytes;
    const { method } = question;
    logger.debug({ sessionId, method }, 'A question of the server waits for a stream to its client');
    const { timeProvider, retryMs } = host.options;
    const dueAt = timeProvider.monotonic() + retryMs + OPENING_MS;
    return new Promise((done, failed) => {
      this.#waiting.push({ question, id: String(question.id), stream, bytes, dueAt, done, failed });
      this.#arm();
    });
  }

  /** The client has opened its GET stream, or has sent `notifications/initialized`: sends what can go out now. */
  send(): void {
    const session = this.#session;
    this.#inVain = false;
    for (const unsent of this.#waiting.slice()) {
      const { question, stream, done, failed } = unsent;
      const own = stream?.isComplete === true ? undefined : carrying(stream);
      if (!UnsentQuestions.may(question, session) || (own === undefined && !session.hasGetSink)) continue;
      this.#remove(unsent);
      try {
        session.questions.ask(question, own ?? session.getStream);
        done();
      } catch (cause) {
        failed(cause);
      }
    }
  }

  /** The server's `notifications/cancelled`. `false`: no question with this id waits. */
  cancel({ params }: RpcNotification): boolean {
    const id = String(params?.['requestId']);
    const cancelled = this.#waiting.find((unsent) => unsent.id === id);
    if (cancelled === undefined) return false;
    this.#remove(cancelled);
    cancelled.done();
    return true;
  }

  /**
   * The session leaves. Resolves when the server has seen the errors of its questions; `undefined`: there are none.
   * They say more than the error of a closed connection.
   */
  leave(reason: LeaveReason): Promise<void> | undefined {
    if (!this.any) return undefined;
    for (const unsent of this.#waiting.slice()) {
      this.#remove(unsent);
      unsent.failed(sessionGone(this.#session.id, reason));
    }
    return new Promise((resolve) => afterTurn(resolve));
  }

  /** Refuses the questions that have waited long enough. */
  #expire(): void {
    this.#timer = undefined;
    const now = this.#session.host.options.timeProvider.monotonic();
    for (const unsent of this.#waiting.filter(({ dueAt }) => dueAt <= now)) {
      this.#remove(unsent);
      this.#inVain = true;
      unsent.failed(this.refusal(unsent.question));
    }
    this.#arm();
  }

  #remove(unsent: UnsentQuestion): void {
    const { host, share } = this.#session;
    this.#waiting = this.#waiting.filter((other) => other !== unsent);
    this.#bytes -= unsent.bytes;
    host.held.answers.give(unsent.bytes, share);
    if (this.any || this.#timer === undefined) return;
    host.options.timeProvider.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    const [first] = this.#waiting;
    if (first === undefined || this.#timer !== undefined) return;
    const { timeProvider } = this.#session.host.options;
    const ms = Math.max(0, first.dueAt - timeProvider.monotonic());
    this.#timer = timeProvider.setTimeout(() => this.#expire(), ms);
  }
}

/** The stream, if it can still carry a message that is no answer. */
export function carrying(stream: Stream | undefined): Stream | undefined {
  return stream !== undefined && !stream.answersOnly && (stream.logged || stream.hasOpenSink) ? stream : undefined;
}
