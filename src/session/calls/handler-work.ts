/**
 * Whether the handler of one request runs. The request may end before its handler does: its client cancelled it or
 * disconnected, its session left, or its time was over. Its places in the limits are held until the handler has
 * settled (docs/adr/0028-places-last-as-long-as-handlers.md).
 *
 *     idle ──its handler begins──▶ running ──it settles──▶ idle
 *       └──the request ends──▶ done    └──the request ends──▶ ending ──it settles──▶ done
 *
 * A handler that has not begun when its request ends never begins.
 */
export class HandlerWork {
  #handlers = 0;
  #ended = false;
  #check: (() => void) | undefined = undefined;
  #held: Array<{ release(): void }> | undefined = undefined;

  get running(): boolean {
    return this.#handlers > 0;
  }

  /** The request is answered, or never will be. */
  get ended(): boolean {
    return this.#ended;
  }

  get done(): boolean {
    return this.#ended && this.#handlers === 0;
  }

  begin(): void {
    if (this.#ended) throw new Error('The request ended before its handler began');
    this.#check?.();
    this.#check = undefined;
    this.#handlers += 1;
  }

  /** Calls `check` once, when the handler is about to begin. If `check` throws, the handler does not begin. */
  beforeHandler(check: () => void): void {
    this.#check = check;
  }

  settle(): void {
    this.#handlers -= 1;
    this.#report();
  }

  end(): void {
    this.#ended = true;
    this.#report();
  }

  /** Releases `held` once: when the request has ended and its handler does not run. */
  holds(held: { release(): void }): void {
    if (this.done) held.release();
    else (this.#held ??= []).push(held);
  }

  #report(): void {
    if (!this.done || this.#held === undefined) return;
    const all = this.#held;
    this.#held = undefined;
    for (const held of all) held.release();
  }
}
