/** The requests a session is running: which id is taken, where each answer goes, how many count against the limit. */
import type { RequestId } from '@modelcontextprotocol/server';
import type { MessageContext } from './context.ts';

export class RunningRequests {
  readonly #contexts = new Map<RequestId, MessageContext>();
  #counted = 0;
  #freed: Array<(ended: true) => void> | undefined = undefined;

  get size(): number {
    return this.#contexts.size;
  }

  /** Without pings: those never count. */
  get counted(): number {
    return this.#counted;
  }

  /** Resolves when a request has ended. */
  freed(): Promise<true> {
    return new Promise((resolve) => (this.#freed ??= []).push(resolve));
  }

  values(): IterableIterator<MessageContext> {
    return this.#contexts.values();
  }

  get(id: RequestId): MessageContext | undefined {
    return this.#contexts.get(id);
  }

  add(id: RequestId, context: MessageContext): void {
    this.#contexts.set(id, context);
    if (context.method !== 'ping') this.#counted += 1;
  }

  /** Its answer is here, or none will come. */
  settle(context: MessageContext): void {
    if (context.id === undefined || context.answered) return;
    context.answered = true;
    this.#contexts.delete(context.id);
    if (context.method !== 'ping') this.#counted -= 1;
    if (this.#freed !== undefined) this.#tellFreed();
  }

  #tellFreed(): void {
    const freed = this.#freed;
    this.#freed = undefined;
    for (const resolve of freed ?? []) resolve(true);
  }

  /** All of them, each settled. */
  *takeAll(): Generator<MessageContext> {
    for (const context of this.#contexts.values()) {
      context.answered = true;
      yield context;
    }
    this.#contexts.clear();
    this.#counted = 0;
    this.#tellFreed();
  }
}
