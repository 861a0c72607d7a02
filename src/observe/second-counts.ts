/**
 * Counts things of one kind within a second. Each of the first has a line of the log. If there were more, the end of
 * the second says how many there were.
 *
 *     quiet ──one past the first of a kind──▶ counting ──the second is over──▶ quiet, and the number has a line
 */
import type { TimeProvider } from '../types.ts';

const WINDOW_MS = 1_000;

interface Count<Kind> {
  readonly kind: Kind;
  all: number;
}

/** Writes how many there were. */
export interface CountWriter<Kind> {
  /** `kind`: what came with the first of them. `all`: more than have a line each. */
  write(kind: Kind, all: number): void;
}

export class SecondCounts<Kind> {
  readonly #time: Required<TimeProvider>;
  readonly #first: number;
  readonly #writer: CountWriter<Kind>;
  readonly #counts = new Map<string, Count<Kind>>();
  #since = -Infinity;
  #timer: unknown;

  /** `first`: how many of a kind have a line each. */
  constructor(time: Required<TimeProvider>, first: number, writer: CountWriter<Kind>) {
    this.#time = time;
    this.#first = first;
    this.#writer = writer;
  }

  /** Another second may begin: call it before `has` and `size` are asked. */
  roll(): void {
    const now = this.#time.monotonic();
    if (now - this.#since < WINDOW_MS) return;
    this.#over();
    this.#since = now;
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }

  get size(): number {
    return this.#counts.size;
  }

  /** Whether this one has a line. */
  note(key: string, kind: Kind): boolean {
    let count = this.#counts.get(key);
    if (count === undefined) this.#counts.set(key, (count = { kind, all: 0 }));
    count.all += 1;
    if (count.all <= this.#first) return true;
    this.#timer ??= this.#time.setTimeout(() => this.#over(), WINDOW_MS);
    return false;
  }

  #over(): void {
    if (this.#timer !== undefined) this.#time.clearTimeout(this.#timer);
    this.#timer = undefined;
    const counts = [...this.#counts.values()];
    this.#counts.clear();
    for (const { kind, all } of counts) if (all > this.#first) this.#writer.write(kind, all);
  }
}
