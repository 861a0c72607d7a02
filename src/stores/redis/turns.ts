/**
 * What takes more than one step, session by session: whatever is asked of that session meanwhile waits, so that the writes of a
 * view take effect in the order in which they were asked for. All else is one step, and the connection keeps its order.
 */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** One step: at once, unless something of several is under way. */
  step<T>(id: string, work: () => Promise<T>): Promise<T> {
    if (this.#last.size === 0) return work();
    const last = this.#last.get(id);
    return last === undefined ? work() : last.then(work);
  }

  steps<T>(id: string, work: () => Promise<T>): Promise<T> {
    const done = this.step(id, work);
    const last = done.then(ignore, ignore).finally(() => {
      if (this.#last.get(id) === last) this.#last.delete(id);
    });
    this.#last.set(id, last);
    return done;
  }
}

const ignore = (): void => undefined;
