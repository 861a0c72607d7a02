/**
 * Queues the work of each record while a task of several steps runs, so that the writes of a view take effect in the
 * order in which they were requested. A task of one step needs no queue where the connection keeps the order.
 */
export class RecordQueues {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Resolves when the last task of several steps has ended, however it ends; `undefined`: none runs or waits. */
  last(id: string): Promise<unknown> | undefined {
    return this.#last.get(id);
  }

  /** Resolves when no task runs or waits. */
  async settled(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }

  /** One step: starts at once, unless a task of several steps is running for this record. */
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
