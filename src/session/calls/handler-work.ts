/**
 * Whether the handler of one request runs. The request may end before its handler does: its client cancelled it or
 * disconnected, its session left, or its time was over. Its places in the limits are held until the handler has
 * settled (docs/adr/limits.md).
 *
 * A handler that has not begun when its request ends never begins. Handlers within handlers count as one.
 */
interface HeldByWork {
  release(): void;
  /** Gives back the place of the called tool. */
  leaveTool?(): void;
  /** The time of the handler is over, and its request ended before that. */
  expire?(): void;
}

export class HandlerWork {
  #handlers = 0;
  #ended = false;
  #held: HeldByWork[] | undefined = undefined;

  /** The request is answered, or never will be. */
  get ended(): boolean {
    return this.#ended;
  }

  get done(): boolean {
    return this.#ended && this.#handlers === 0;
  }

  begin(): void {
    if (this.#ended) throw new Error('The request ended before its handler began');
    this.#handlers += 1;
  }

  settle(): void {
    // After `abandon` it is too late.
    if (this.#handlers > 0) this.#handlers -= 1;
    this.#report();
  }

  end(): void {
    this.#ended = true;
    this.#report();
  }

  /** Its handler never settles, or may: its request has ended, and nothing is held for it any more. */
  abandon(): void {
    this.#handlers = 0;
    this.end();
  }

  /** Releases `held` once: when the request has ended and its handler does not run. */
  holds(held: HeldByWork): void {
    if (this.done) held.release();
    else (this.#held ??= []).push(held);
  }

  /** Another request calls the tool, and this one waits for that. */
  leaveTool(): void {
    for (const held of this.#held ?? []) held.leaveTool?.();
  }

  /** Ends what runs on after its request. */
  expire(): void {
    for (const held of this.#held ?? []) held.expire?.();
  }

  #report(): void {
    if (!this.done || this.#held === undefined) return;
    const all = this.#held;
    this.#held = undefined;
    for (const held of all) held.release();
  }
}
