/**
 * A POST of a session that is live here, its user and version right: id in flight → running requests → what must be stored
 * first → dispatch. Until that is stored nothing was sent, so another owner can still take it.
 *
 *     all of it may run twice ─▶ dispatched at once; what it says waits for the store
 *     else                    ─▶ stored, then dispatched
 *     it came before          ─▶ what became of the first try (`second-try.ts`)
 */
import type { RequestId } from '@modelcontextprotocol/server';
import {
  alreadyInitialized,
  batchNotAllowed,
  ownerLost,
  requestIdInFlight,
  rpcError,
  type SojournError,
  storeAway,
  tooManyRequests,
} from '../../errors.ts';
import { JSON_HEADERS, refuse } from '../../http/answer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { JsonSink } from '../../http/json-sink.ts';
import type { SseSink } from '../../http/sse-sink.ts';
import type { Checked, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../options/options.ts';
import type { MessageContext } from '../../session/context.ts';
import type { Registry } from '../../session/registry.ts';
import { rejoin, runsOrphaned, started, wasMet } from '../../session/retry.ts';
import type { LiveSession } from '../../session/session.ts';
import type { Stream } from '../../session/stream.ts';
import type { AppendExtra, WriteResult } from '../../session/stream-writer.ts';
import type { Sink } from '../../http/sink.ts';
import { allowsBatches } from '../../protocol/versions.ts';
import { ContinuedExchange } from '../../relay/continued-exchange.ts';
import type { InboundPost } from '../../relay/call.ts';
import type { SessionRouter } from './router.ts';

/** A POST whose request ids are taken. */
interface AdmittedPost {
  readonly post: InboundPost;
  readonly stream: Stream;
  readonly admitted: readonly MessageContext[];
  /** An earlier try of it may have run elsewhere. */
  readonly again: boolean;
  readonly echoed: RequestId | null;
}

export interface LegacyPostsOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  /** For what turns out to be another instance's. */
  readonly router: SessionRouter;
  sse(exchange: Exchange): SseSink;
}

export class LegacyPosts {
  readonly #options: ResolvedOptions;
  readonly #registry: Registry;
  readonly #router: SessionRouter;
  readonly #sse: LegacyPostsOptions['sse'];

  constructor({ options, registry, router, sse }: LegacyPostsOptions) {
    this.#options = options;
    this.#registry = registry;
    this.#router = router;
    this.#sse = sse;
  }

  serve(session: LiveSession, post: InboundPost, again: boolean, echoed: RequestId | null): void {
    const { exchange, messages } = post;
    if (post.batch && !allowsBatches(session.version)) {
      const error = batchNotAllowed(`batches are not part of protocol revision ${session.version}`);
      return refuse(exchange, error, null);
    }
    const requests = requestsOf(messages);
    if ((again && wasMet(session, requests)) || runsOrphaned(session, requests)) {
      void this.#router.during(exchange, () => this.#goOn(session, post, requests, again, echoed));
      return;
    }
    const refusal = this.#checkRequests(session, messages);
    if (refusal !== undefined) return refuse(exchange, refusal, echoed);
    if (requests.length === 0) {
      this.#registry.touch(session);
      this.#dispatchSilent(session, exchange, messages);
      // What it changed about the session outlives this instance once it is accepted.
      if (session.record.saving) void this.#router.during(exchange, () => this.#respondSaved(session, exchange));
      else exchange.respond(202, []);
      return;
    }
    const stream = session.openPost(requests.length, this.#options.responseMode === 'json');
    const admitted = requests.map((request) => session.admit(request, exchange, stream));
    const admittedPost: AdmittedPost = { post, stream, admitted, again, echoed };
    const early = session.mayRunUnprimed(stream, requests);
    if (early !== undefined) return this.#startEarly(session, admittedPost, early);
    const primed = session.prime(stream, requests, admitted);
    if (!(primed instanceof Promise)) return this.#start(session, admittedPost, primed);
    const starting = primed.then(
      (result) => this.#start(session, admittedPost, result),
      (cause: unknown) => this.#router.fail(exchange, cause, echoed),
    );
    for (const context of admitted) context.starting = starting;
  }

  /**
   * What may run twice need not wait for the store: what it says does. So the priming event and an answer that comes at once
   * are stored together (docs/adr/0009).
   */
  #startEarly(session: LiveSession, admittedPost: AdmittedPost, extra: AppendExtra): void {
    const { post, stream, admitted, again, echoed } = admittedPost;
    const { exchange } = post;
    const sink = this.#sse(exchange);
    const primed = (result: WriteResult): void => {
      // It was stored all the same: the next owner finds it, and runs it again.
      const late = result === 'written' && admitted.some(({ passedOn }) => passedOn);
      if (result === 'written' && !late) return session.primed(admitted);
      session.takeBack(admitted);
      const unsent = sink.abandon();
      const to = unsent ? exchange : new ContinuedExchange(exchange, undefined, false);
      if (result === 'failed') return refuse(to, storeAway('writing before an answer'), echoed);
      const call = { kind: 'post', exchange: to, post: { ...post, exchange: to }, again: again || late } as const;
      void this.#router.find(session.id, call, echoed);
    };
    session.beginUnprimed(stream, sink, admitted, extra, primed);
    this.#dispatchAll(session, post, admitted);
  }

  async #respondSaved(session: LiveSession, exchange: Exchange): Promise<void> {
    if (await session.record.saved()) exchange.respond(202, []);
    else refuse(exchange, storeAway('saving what a notification changed'), null);
  }

  /** A call that an earlier try of it began: its answer, or that it is lost, without running it again. */
  async #goOn(
    session: LiveSession,
    post: InboundPost,
    requests: readonly RpcRequest[],
    again: boolean,
    echoed: RequestId | null,
  ): Promise<void> {
    const { exchange, batch } = post;
    const json = this.#options.responseMode === 'json';
    const open = (): Sink => (json ? new JsonSink(exchange, JSON_HEADERS, batch) : this.#sse(exchange));
    try {
      await started(session, requests);
      if (session.left !== undefined) {
        return await this.#router.find(session.id, { kind: 'post', exchange, post, again: true }, echoed);
      }
      // It was refused before it ran.
      if (!wasMet(session, requests)) return this.serve(session, post, again, echoed);
      if (await rejoin(session, requests, open)) return;
    } catch (err) {
      this.#options.logger.error({ err, sessionId: session.id }, 'What became of a call could not be read');
    }
    const sink = open();
    for (const { id } of requests) {
      sink.message(JSON.stringify({ jsonrpc: '2.0', id, error: rpcError(ownerLost(true)) }), undefined);
    }
    sink.end();
  }

  /** Everything that must be stored first is stored, or was refused: until here nothing has run, and nothing was sent. */
  #start(session: LiveSession, { post, stream, admitted, again, echoed }: AdmittedPost, primed: WriteResult): void {
    const { exchange, batch } = post;
    if (primed === 'failed') {
      session.withdraw(admitted);
      return refuse(exchange, storeAway('writing before a call'), echoed);
    }
    if (primed === 'fenced' || session.left !== undefined) {
      // It is somebody else's now, or it has ended: whoever is found next says so.
      if (primed === 'fenced') this.#registry.fenced(session);
      session.withdraw(admitted);
      void this.#router.find(session.id, { kind: 'post', exchange, post, again }, echoed);
      return;
    }
    session.guard?.keep(admitted, exchange);
    // Somebody may have come for it again while it was being stored, and reads it now: this exchange is an old one.
    if (stream.read) exchange.destroy();
    else session.begin(stream, stream.answersOnly ? new JsonSink(exchange, JSON_HEADERS, batch) : this.#sse(exchange));
    this.#dispatchAll(session, post, admitted);
  }

  #dispatchAll(session: LiveSession, { exchange, messages }: InboundPost, admitted: readonly MessageContext[]): void {
    let next = 0;
    for (const checked of messages) {
      if (checked.kind !== 'request') {
        this.#dispatchSilent(session, exchange, [checked]);
        continue;
      }
      const context = admitted[next++];
      if (context !== undefined) session.dispatch(checked.message, context);
    }
  }

  #dispatchSilent(session: LiveSession, exchange: Exchange, messages: readonly Checked[]): void {
    for (const checked of messages) {
      if (checked.kind === 'notification') session.notification(checked.message, exchange);
      else if (checked.kind === 'response') session.response(checked.message, exchange);
    }
  }

  #checkRequests(session: LiveSession, messages: readonly Checked[]): SojournError | undefined {
    let counted = 0;
    for (const checked of messages) {
      if (checked.kind !== 'request') continue;
      const { id, method } = checked.message;
      if (method === 'initialize') return alreadyInitialized();
      if (session.running.get(id) !== undefined) return requestIdInFlight(id);
      if (method !== 'ping') counted += 1;
    }
    const limit = this.#options.limits.requestsPerSession;
    return counted > 0 && session.running.counted + counted > limit ? tooManyRequests(limit) : undefined;
  }
}

function requestsOf(messages: readonly Checked[]): RpcRequest[] {
  const requests: RpcRequest[] = [];
  for (const checked of messages) if (checked.kind === 'request') requests.push(checked.message);
  return requests;
}
