/**
 * Limits how many equal lines the log takes. A client can repeat a request that causes a line as fast as the network
 * allows. Of `info`, `warn` and `error` lines with the same text, 20 are written within a second. One more line then
 * states how many were dropped.
 *
 *     quiet ──the 21st line of a text──▶ counting ──the second is over──▶ quiet, and the number is written
 */
import type { Logger, TimeProvider } from '../types.ts';

const WINDOW_MS = 1_000;
const LINES = 20;
/** Texts that are counted separately within a second. Further texts share one count. */
const TEXTS = 256;
const OTHER_TEXTS = 'Log lines of other texts';

type Level = 'info' | 'warn' | 'error';

interface Count {
  readonly level: Level;
  readonly text: string;
  written: number;
  leftOut: number;
}

/** `lines`: how many equal lines are written in a second. */
export function limitedLogger(target: Logger, time: Required<TimeProvider>, lines = LINES): Logger {
  const limit = new LogLimit(target, time, lines);
  return Object.freeze({
    ...target,
    info: (obj: object, msg: string) => limit.log('info', obj, msg),
    warn: (obj: object, msg: string) => limit.log('warn', obj, msg),
    error: (obj: object, msg: string) => limit.log('error', obj, msg),
  });
}

class LogLimit {
  readonly #target: Logger;
  readonly #lines: number;
  readonly #time: Required<TimeProvider>;
  readonly #counts = new Map<string, Count>();
  #since = -Infinity;
  #timer: unknown;

  constructor(target: Logger, time: Required<TimeProvider>, lines: number) {
    this.#target = target;
    this.#lines = lines;
    this.#time = time;
  }

  log(level: Level, fields: object, text: string): void {
    const now = this.#time.monotonic();
    if (now - this.#since >= WINDOW_MS) {
      this.#over();
      this.#since = now;
    }
    const count = this.#countOf(level, text);
    if (count.written < this.#lines) {
      count.written += 1;
      return this.#target[level](fields, text);
    }
    count.leftOut += 1;
    this.#timer ??= this.#time.setTimeout(() => this.#over(), WINDOW_MS);
  }

  #countOf(level: Level, text: string): Count {
    const known = this.#counts.get(level + text);
    if (known !== undefined) return known;
    const told = this.#counts.size < TEXTS ? text : OTHER_TEXTS;
    const key = level + told;
    let count = this.#counts.get(key);
    if (count === undefined) this.#counts.set(key, (count = { level, text: told, written: 0, leftOut: 0 }));
    return count;
  }

  #over(): void {
    if (this.#timer !== undefined) this.#time.clearTimeout(this.#timer);
    this.#timer = undefined;
    const counts = [...this.#counts.values()];
    this.#counts.clear();
    for (const { level, text, leftOut } of counts) {
      if (leftOut > 0) this.#target[level]({ lines: leftOut }, `${text} (${leftOut} more such lines were left out)`);
    }
  }
}
