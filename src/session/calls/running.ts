/**
 * The requests that a session runs: which ids are taken, where each answer goes, how many count against the limit. A
 * request that was cancelled gives its id back at once, and its places when its handler has settled.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { SmallMap } from '../../small-map.ts';
import type { MessageContext } from './context.ts';

export class RunningRequests {
  readonly #contexts = new SmallMap<RequestId, MessageContext>();
  #counted = 0;
  #freed: Array<(ended: true) => void> | undefined = undefined;

  get size(): number {
    return this.#contexts.size;
  }

  /** Pings do not count against the limit. Cancelled requests whose handlers run do. */
  get counted(): number {
    return this.#counted;
  }

  /** Resolves when a request has ended. */
  freed(): Promise<true> {
    return new Promise((resolve) => (this.#freed ??= []).push(resolve));
  }

  values(): MessageContext[] {
    return this.#contexts.values();
  }

  get(id: RequestId): MessageContext | undefined {
    return this.#contexts.get(id);
  }

  add(id: RequestId, context: MessageContext): void {
    this.#contexts.set(id, context);
    if (context.method !== 'ping') this.#counted += 1;
  }

  /** The answer of a request is here, or will never come. */
  settle(context: MessageContext): void {
    if (context.id === undefined || context.answered) return;
    context.phase = 'answered';
    this.#contexts.delete(context.id);
    this.#end(context);
  }

  #end({ work, method }: MessageContext): void {
    work.end();
    if (work.done) this.#free(method);
    else work.onDone(() => this.#free(method));
  }

  #free(method: string | undefined): void {
    if (method !== 'ping') this.#counted -= 1;
    if (this.#freed !== undefined) this.#resolveFreed();
  }

  #resolveFreed(): void {
    const freed = this.#freed;
    this.#freed = undefined;
    for (const resolve of freed ?? []) resolve(true);
  }

  /** Removes and returns all of them. The caller settles each. */
  takeAll(): MessageContext[] {
    const all = this.#contexts.values();
    this.#contexts.clear();
    for (const context of all) this.#end(context);
    this.#resolveFreed();
    return all;
  }
}
