/**
 * POSTs of sessions that wait for their turn: on a connection (`http/pipelined.ts`), or of the event loop
 * (`http/turn.ts`). They have not reached their session, so the session cannot cancel them.
 */
import { type ReceivedPost, requestIdOf } from '../inbound/inbound.ts';

export class PostsBehind {
  /** The key is the session. */
  readonly #waiting = new Map<string, Set<ReceivedPost>>();

  /** `begin` is called in the turn of the POST. A cancelled one is answered without a message then. */
  wait(post: ReceivedPost, begin: () => void): void {
    const { exchange } = post;
    const session = exchange.header('mcp-session-id');
    if (session === undefined) return exchange.whenItsTurn?.(begin);
    const posts = this.#waiting.get(session) ?? new Set();
    this.#waiting.set(session, posts.add(post));
    const leave = (): boolean => {
      const waited = posts.delete(post);
      if (posts.size === 0 && this.#waiting.get(session) === posts) this.#waiting.delete(session);
      return waited;
    };
    exchange.onClose(leave);
    exchange.whenItsTurn?.(() => (leave() ? begin() : exchange.respond(202, [])));
  }

  /** Drops the request that this POST cancels, if its user sent both. */
  cancel({ exchange, messages: [first] }: ReceivedPost): void {
    if (this.#waiting.size === 0 || first?.kind !== 'notification') return;
    const { method, params } = first.message;
    if (method !== 'notifications/cancelled') return;
    const posts = this.#waiting.get(exchange.header('mcp-session-id') ?? '');
    for (const post of posts ?? []) {
      const isMeant = !post.batch && requestIdOf(post) === params?.['requestId'];
      if (isMeant && post.exchange.user === exchange.user) posts?.delete(post);
    }
  }
}
