/**
 * How many tasks of a user have not ended. The number is read from the store once a second, and before each creation
 * once the user has half of what it may have. Creations of this instance that are under way count.
 */
import { tooManyTasks } from '../errors.ts';
import type { TimeProvider } from '../types.ts';

const COUNTED_MS = 1_000;
const COUNTED_GROUPS = 1_000;

interface Known {
  at: number;
  count: number;
  counting: Promise<void> | undefined;
  readonly making: Set<Promise<unknown>>;
}

export class OpenTasks {
  readonly #time: Required<TimeProvider>;
  readonly #countOf: (group: string) => Promise<number>;
  readonly #groups = new Map<string, Known>();

  constructor(time: Required<TimeProvider>, countOf: (group: string) => Promise<number>) {
    this.#time = time;
    this.#countOf = countOf;
  }

  /** Settles as `make` does, which stores a task. Throws `TOO_MANY_TASKS` if the group has `most`. */
  async make<T>(group: string, most: number, make: () => Promise<T>): Promise<T> {
    const known = this.#known(group);
    const isOld = this.#time.monotonic() - known.at >= COUNTED_MS;
    if (isOld || known.count * 2 >= most) known.counting ??= this.#count(group, known, most);
    while (known.counting !== undefined) await known.counting;
    if (known.count >= most) throw tooManyTasks('This user', most);
    known.count += 1;
    const made = make();
    known.making.add(made);
    try {
      return await made;
    } finally {
      known.making.delete(made);
    }
  }

  #known(group: string): Known {
    const found = this.#groups.get(group);
    if (found !== undefined) return found;
    if (this.#groups.size >= COUNTED_GROUPS)
      for (const [name, { making, counting }] of this.#groups)
        if (making.size === 0 && counting === undefined) this.#groups.delete(name);
    const known: Known = { at: -COUNTED_MS, count: 0, counting: undefined, making: new Set() };
    this.#groups.set(group, known);
    return known;
  }

  /** No creation begins during the count. One that is under way may be in the store already: then it counts twice. */
  async #count(group: string, known: Known, most: number): Promise<void> {
    try {
      for (;;) {
        const making = [...known.making];
        const at = this.#time.monotonic();
        const count = making.length + (await this.#countOf(group));
        Object.assign(known, { at, count });
        if (known.count < most || making.length === 0) return;
        await Promise.allSettled(making);
      }
    } finally {
      known.counting = undefined;
    }
  }
}
