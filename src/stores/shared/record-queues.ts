/** Runs the steps of each record one after the other, in the order in which they were requested. */
export class RecordQueues {
  readonly #last = new Map<string, Promise<unknown>>();
  /** The last step of each record of which one runs or waits: it resolves however the step ends. */
  readonly last: ReadonlyMap<string, Promise<unknown>> = this.#last;

  /** Resolves when no step runs or waits. */
  async settled(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }

  steps<T>(id: string, work: () => Promise<T>): Promise<T> {
    const done = this.#last.get(id)?.then(work) ?? work();
    const last = done.then(ignore, ignore).finally(() => {
      if (this.#last.get(id) === last) this.#last.delete(id);
    });
    this.#last.set(id, last);
    return done;
  }
}

const ignore = (): void => undefined;
