/**
 * How many tasks of a user have not ended. Each creation reads the number from the store. Creations of this instance
 * that are under way during the reading may be in the number or not, so they count besides it.
 */
import { tooManyTasks } from '../errors.ts';

/** The creations of one group. */
interface Making {
  calls: number;
  begun: number;
  readonly underWay: Set<Promise<unknown>>;
}

export class OpenTasks {
  readonly #countOf: (group: string) => Promise<number>;
  readonly #groups = new Map<string, Making>();

  constructor(countOf: (group: string) => Promise<number>) {
    this.#countOf = countOf;
  }

  /** Settles as `make` does, which stores a task. Throws `TOO_MANY_TASKS` if the group has `most`. */
  async make<T>(group: string, most: number, make: () => Promise<T>): Promise<T> {
    const making = this.#groups.get(group) ?? { calls: 0, begun: 0, underWay: new Set() };
    this.#groups.set(group, making);
    making.calls += 1;
    try {
      await this.#untilRoom(group, most, making);
      making.begun += 1;
      const made = make();
      making.underWay.add(made);
      return await made.finally(() => making.underWay.delete(made));
    } finally {
      making.calls -= 1;
      if (making.calls === 0) this.#groups.delete(group);
    }
  }

  async #untilRoom(group: string, most: number, making: Making): Promise<void> {
    for (;;) {
      const before = making.begun - making.underWay.size;
      const count = await this.#countOf(group);
      if (count >= most) throw tooManyTasks('This user', most);
      if (count + making.begun - before < most) return;
      await Promise.allSettled(making.underWay);
    }
  }
}
