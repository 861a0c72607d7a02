/** The requests that a session runs: which ids are taken, where each answer goes, how many count against the limit. */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Admission } from '../http/request-gate.ts';
import { SmallMap } from '../small-map.ts';
import type { MessageContext } from './context.ts';

export class RunningRequests {
  readonly #contexts = new SmallMap<RequestId, MessageContext>();
  #counted = 0;
  /** Only where `limits.perUser` or `limits.perTool` bound the requests of sessions. */
  #admissions: Map<RequestId, Admission> | undefined = undefined;
  #freed: Array<(ended: true) => void> | undefined = undefined;

  get size(): number {
    return this.#contexts.size;
  }

  /** Without pings, which never count against the limit. */
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

  /** The admission ends with the request. */
  admitted(id: RequestId, admission: Admission): void {
    (this.#admissions ??= new Map()).set(id, admission);
  }

  /** The answer of a request is here, or will never come. */
  settle(context: MessageContext): void {
    if (context.id === undefined || context.answered) return;
    context.phase = 'answered';
    this.#contexts.delete(context.id);
    this.#admissions?.get(context.id)?.leave();
    this.#admissions?.delete(context.id);
    if (context.method !== 'ping') this.#counted -= 1;
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
    this.#counted = 0;
    for (const admission of this.#admissions?.values() ?? []) admission.leave();
    this.#admissions = undefined;
    this.#resolveFreed();
    return all;
  }
}
