/**
 * Server→client requests (questions) of one session. A server numbers them from 0 on every instance, so on the wire an id
 * carries the epoch: the answer to a question of an earlier owner matches no question of the present owner. The SDK uses
 * the number as progress token too, and the token is rewritten in the same way.
 *
 * A question cannot go out while its client has not sent `notifications/initialized`, or has no GET stream open.
 * Official clients open that stream after their handshake, and again `retryMs` after they lost it. What a restored
 * server asks first may take the stream of a request (`first-answers.ts`):
 *
 *     unsent ──the client opens its GET stream, or has initialized──▶ sent, in order
 *        ├──nothing comes for `retryMs` and a second──▶ refused; so are later ones at once, until something comes
 *        ├──its server cancels it──▶ never sent
 *        └──the session leaves──▶ refused
 *
 * Nothing of this is stored. After a crash the next owner's server asks again, as it did at the start of the session.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { afterTurn } from '../../base/system.ts';
import { noStream, notInitialized, sessionGone, type SojournError } from '../../base/errors.ts';
import {
  isObject,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import type { LeaveReason } from '../../base/types.ts';
import type { SessionParts } from '../session-parts.ts';
import type { Call } from './call.ts';
import type { FarServer, ForServer } from './home.ts';
import { FirstAnswers } from './first-answers.ts';
import type { Stream } from '../streams/stream.ts';

/** How long a client may take to open a stream, beyond the `retryMs` after which it reconnects. */
const OPENING_MS = 1_000;
/** Servers ask one or two questions at once. */
const MOST_UNSENT = 16;
/** What a question takes besides its text: its promise, its timer and the SDK's entry. */
const QUESTION_BYTES = 4_096;
/** How often the text counts: the server's objects, and what is sent. */
const TEXT_WEIGHT = 4;

interface AskedQuestion {
  /** The server's. */
  readonly id: RequestId;
  readonly stream: Stream;
  /** The server at another instance, where the call runs there. */
  readonly far: FarServer | undefined;
  /** For a sink that comes later. `undefined`: the log keeps the question. */
  readonly unlogged: string | undefined;
}

interface UnsentQuestion {
  readonly question: RpcRequest;
  /** The stream of its request. `undefined`: the GET stream. */
  readonly stream: Stream | undefined;
  readonly far: FarServer | undefined;
  readonly bytes: number;
  readonly timer: unknown;
  readonly done: () => void;
  readonly failed: (cause: unknown) => void;
}

export class Questions {
  readonly #session: SessionParts;
  /** Questions that keep their ids when the epoch changes. */
  readonly #asked = new Map<unknown, AskedQuestion>();
  /** Oldest first. */
  readonly #unsent = new Set<UnsentQuestion>();
  /** A question waited in vain, and nothing has come of the client since. */
  #inVain = false;
  /** `undefined`: no restore, or what its server asked has ended. */
  #first: FirstAnswers | undefined = undefined;

  constructor(session: SessionParts) {
    this.#session = session;
  }

  // ——— questions that wait for their answer ———

  /** Whether a client reads the stream of a question that it has not answered. */
  get anyReadable(): boolean {
    for (const { stream } of this.#asked.values()) if (stream.hasOpenSink) return true;
    return false;
  }

  /** Whether a question has no answer yet, sent or not. */
  get any(): boolean {
    return this.#asked.size > 0 || this.anyUnsent;
  }

  #wireId(id: RequestId, far: FarServer | undefined): string {
    const name = far === undefined ? String(id) : `${far.name}.${String(id)}`;
    return `s${this.#session.ownership.epoch.toString(36)}.${name}`;
  }

  /** `call`: of the request whose handler asks. Returns a promise where the question must wait. */
  ask(question: RpcRequest, call: Call | undefined): Promise<void> | undefined {
    const own = carrying(call?.stream);
    const stream = this.#streamFor(question, own);
    if (stream === undefined) {
      // A handler that this library asks: its session opens or is restored, and no client can come before it returns.
      if (call !== undefined && call.stream === undefined) throw this.#refusal(question);
      const sent = this.#wait(question, own, call?.far);
      if (call === undefined) this.#first?.asked(question.id);
      return sent;
    }
    const { id: sessionId, logger } = this.#session;
    const { method } = question;
    if (call === undefined) this.#first?.asked(question.id);
    if (own === undefined && stream === this.#session.usedGetStream)
      logger.warn(
        { sessionId, method },
        `${method} goes out on the GET stream; send it from its handler's context, so that it takes the stream of its request`,
      );
    this.#send(question, stream, call?.far);
    return undefined;
  }

  /** `own`: the stream of its request. `undefined`: the question cannot go out now. */
  #streamFor(question: RpcRequest, own: Stream | undefined): Stream | undefined {
    if (!this.#isAllowed(question)) return undefined;
    return own ?? (this.#session.hasGetSink ? this.#session.getStream : this.#first?.carrier);
  }

  /** Whether the client may get this question now, by the state of its handshake. */
  #isAllowed({ method }: RpcRequest): boolean {
    return this.#session.record.head.initialized || roleOf(method) === 'ping';
  }

  #refusal(question: RpcRequest): SojournError {
    const { method } = question;
    return this.#isAllowed(question) ? noStream(method) : notInitialized(method);
  }

  /** The question is kept until its answer. */
  #send(question: RpcRequest, stream: Stream, far: FarServer | undefined): void {
    const wireId = this.#wireId(question.id, far);
    const meta = question.params?.['_meta'];
    const out =
      isObject(meta) && meta['progressToken'] === question.id
        ? {
            ...question,
            id: wireId,
            params: { ...question.params, _meta: { ...meta, progressToken: wireId } },
          }
        : { ...question, id: wireId };
    const json = JSON.stringify(out);
    this.#asked.set(wireId, {
      id: question.id,
      stream,
      far,
      unlogged: stream.logged ? undefined : json,
    });
    stream.send(json);
  }

  /** For a new sink of a stream without a log: it is unknown which questions the sink before it received. */
  askAgain(stream: Stream): void {
    for (const { stream: own, unlogged } of this.#asked.values()) {
      if (own === stream && unlogged !== undefined) stream.send(unlogged);
    }
  }

  /** The answer under the server's id of the question; `undefined`: no question waits for it. */
  answer(response: RpcResponse): ForServer<RpcResponse> | undefined {
    const question = this.#forget(response.id);
    return question && { message: { ...response, id: question.id }, far: question.far };
  }

  #forget(wireId: unknown): AskedQuestion | undefined {
    const question = this.#asked.get(wireId);
    this.#asked.delete(wireId);
    if (question !== undefined) this.#first?.ended(question.id);
    return question;
  }

  /**
   * The server's `notifications/cancelled` about its own question, as the client gets it. Forgets the question.
   * `undefined`: it was not sent yet.
   */
  cancel(notification: RpcNotification, far: FarServer | undefined): RpcNotification | undefined {
    const id = notification.params?.['requestId'];
    for (const unsent of this.#unsent) {
      // The server may cancel `1` as `"1"`.
      if (unsent.far !== far || String(unsent.question.id) !== String(id)) continue;
      this.#remove(unsent);
      this.#first?.ended(unsent.question.id);
      unsent.done();
      return undefined;
    }
    if (typeof id !== 'string' && typeof id !== 'number') return notification;
    const wireId = this.#wireId(id, far);
    this.#forget(wireId);
    return { ...notification, params: { ...notification.params, requestId: wireId } };
  }

  /** The client's `notifications/progress` about a question, under the server's token. */
  progress(notification: RpcNotification): ForServer<RpcNotification> {
    const question = this.#asked.get(notification.params?.['progressToken']);
    if (question === undefined) return { message: notification };
    const params = { ...notification.params, progressToken: question.id };
    return { message: { ...notification, params }, far: question.far };
  }

  // ——— what a restored server asks first ———

  /** The server has got what a restore repeats. `returned`: when its handler of `notifications/initialized` has. */
  restored(returned: Promise<void>): void {
    const asked = [...this.#unsent]
      .filter(({ stream }) => stream === undefined)
      .map(({ question }) => question.id);
    if (asked.length > 0)
      this.#first = new FirstAnswers(this.#session.host.options, asked, () => returned);
  }

  /**
   * In a restored session: resolves when its server has the answers to what it asked first.
   * `stream`: that of a request, which carries the questions while the client has no GET stream.
   * `undefined`: the request need not wait, or no stream can carry them.
   */
  firstAnswers(stream: Stream): Promise<void> | undefined {
    this.carryFirst(stream);
    const isCarried = stream.carriesAll || this.#session.hasGetSink;
    return isCarried && this.#first?.isOver === false ? this.#first.wait() : undefined;
  }

  /** `stream`: of a request, whose client reads it now. */
  carryFirst(stream: Stream): void {
    if (this.#first?.isOver === true) this.#first = undefined;
    if (this.#first === undefined) return;
    this.#first.take(stream);
    this.#sendUnsent();
  }

  // ——— questions that cannot go out yet ———

  get anyUnsent(): boolean {
    return this.#unsent.size > 0;
  }

  /** Resolves when the question is sent or cancelled. Rejects, or throws, when it is refused. */
  #wait(
    question: RpcRequest,
    stream: Stream | undefined,
    far: FarServer | undefined,
  ): Promise<void> {
    const { id: sessionId, share, logger, host, ownership } = this.#session;
    if (ownership.leaveReason !== undefined) throw sessionGone(sessionId, ownership.leaveReason);
    if (this.#inVain || this.#unsent.size >= MOST_UNSENT) throw this.#refusal(question);
    const bytes = QUESTION_BYTES + JSON.stringify(question).length * TEXT_WEIGHT;
    let held = 0;
    for (const unsent of this.#unsent) held += unsent.bytes;
    if (!host.held.answers.take(bytes, held, share)) throw this.#refusal(question);
    const { method } = question;
    logger.debug(
      { sessionId, method },
      'A question of the server waits for a stream to its client',
    );
    const { timeProvider, retryMs } = host.options;
    return new Promise((done, failed) => {
      const unsent: UnsentQuestion = {
        question,
        stream,
        far,
        bytes,
        timer: timeProvider.setTimeout(() => {
          this.#inVain = true;
          this.#remove(unsent);
          unsent.failed(this.#refusal(question));
        }, retryMs + OPENING_MS),
        done,
        failed: (cause) => {
          this.#first?.ended(question.id);
          failed(cause);
        },
      };
      this.#unsent.add(unsent);
    });
  }

  /** The client has opened its GET stream, or has sent `notifications/initialized`: sends what can go out now. */
  send(): void {
    this.#inVain = false;
    this.#sendUnsent();
  }

  #sendUnsent(): void {
    for (const unsent of this.#unsent) {
      const { question, stream: own, far, done, failed } = unsent;
      const stream = this.#streamFor(
        question,
        own?.isComplete === true ? undefined : carrying(own),
      );
      if (stream === undefined) continue;
      this.#remove(unsent);
      try {
        this.#send(question, stream, far);
        done();
      } catch (cause) {
        failed(cause);
      }
    }
  }

  /**
   * The session leaves. Resolves when the server has seen the errors of its questions; `undefined`: there are none.
   * They say more than the error of a closed connection.
   */
  leave(reason: LeaveReason): Promise<void> | undefined {
    this.#first?.end();
    if (!this.anyUnsent) return undefined;
    for (const unsent of this.#unsent) {
      this.#remove(unsent);
      unsent.failed(sessionGone(this.#session.id, reason));
    }
    return new Promise((resolve) => afterTurn(resolve));
  }

  #remove(unsent: UnsentQuestion): void {
    const { host, share } = this.#session;
    this.#unsent.delete(unsent);
    host.held.answers.give(unsent.bytes, share);
    host.options.timeProvider.clearTimeout(unsent.timer);
  }
}

/** The stream, if it can still carry a message that is no answer. */
export function carrying(stream: Stream | undefined): Stream | undefined {
  return stream?.carriesAll === true ? stream : undefined;
}
