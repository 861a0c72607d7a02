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
  const counts = new Map<string, Count>();
  let since = -Infinity;
  let timer: unknown;
  const over = (): void => {
    if (timer !== undefined) time.clearTimeout(timer);
    timer = undefined;
    const counted = [...counts.values()];
    counts.clear();
    for (const { level, text, leftOut } of counted) {
      if (leftOut > 0) target[level]({ lines: leftOut }, `${text} (${leftOut} more such lines were left out)`);
    }
  };
  const limited =
    (level: Level) =>
    (fields: object, text: string): void => {
      const now = time.monotonic();
      if (now - since >= WINDOW_MS) {
        over();
        since = now;
      }
      const count = countOf(counts, level, text);
      if (count.written < lines) {
        count.written += 1;
        return target[level](fields, text);
      }
      count.leftOut += 1;
      timer ??= time.setTimeout(over, WINDOW_MS);
    };
  return Object.freeze({ ...target, info: limited('info'), warn: limited('warn'), error: limited('error') });
}

function countOf(counts: Map<string, Count>, level: Level, text: string): Count {
  const known = counts.get(level + text);
  if (known !== undefined) return known;
  const told = counts.size < TEXTS ? text : OTHER_TEXTS;
  const key = level + told;
  let count = counts.get(key);
  if (count === undefined) counts.set(key, (count = { level, text: told, written: 0, leftOut: 0 }));
  return count;
}
