/** A run of a handler that runs once, and the ownership of its entry. */
import type { Fence, Seen } from '../stores/store.ts';
import type { LocalRun } from './local-entry.ts';
import type { CallEnd, OnceCall } from '../session/calls/once-calls.ts';

export class OnceRun implements LocalRun {
  readonly id: string;
  readonly tool: string;
  readonly args: string;
  readonly keepMs: number;
  /** The stamp of the creation of its entry: no later entry with this id has it. */
  readonly stamp: number;
  readonly #endsWithClient: boolean;
  readonly #abort = new AbortController();
  /** Every id of this instance under which the entry may be owned. */
  readonly #owners = new Set<string>();
  #fence: Fence;
  /** Claims for a new id of this instance. */
  claiming: Promise<unknown> | undefined = undefined;

  constructor({ id, tool, args, keepMs, endsWithClient }: OnceCall, fence: Fence, stamp: number) {
    this.id = id;
    this.tool = tool;
    this.args = args;
    this.keepMs = keepMs;
    this.stamp = stamp;
    this.#endsWithClient = endsWithClient;
    this.#fence = fence;
    this.#owners.add(fence.owner);
  }

  get fence(): Fence {
    return this.#fence;
  }

  set fence(fence: Fence) {
    this.#fence = fence;
    this.#owners.add(fence.owner);
  }

  /** What its writes name. */
  get seen(): Seen {
    return { ...this.#fence, atStamp: this.stamp };
  }

  /** A claim for this id was sent, and its outcome may never be known. */
  claimsFor(owner: string): void {
    this.#owners.add(owner);
  }

  isOwnedBy(owner: string | null): boolean {
    return owner !== null && this.#owners.has(owner);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A run that its caller timed out ends, also where others wait. */
  left(end: CallEnd, last: boolean): void {
    if (end === 'timedOut' || (last && (end === 'cancelled' || this.#endsWithClient))) this.abort(end);
  }

  abort(reason: string): void {
    this.#abort.abort(new DOMException(`The run of once() was aborted: ${reason}`, 'AbortError'));
  }
}
