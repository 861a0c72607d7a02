/**
 * Limits how many equal lines the log takes. A client can repeat a request that causes a line as fast as the network
 * allows, and sessions move by the thousand after a crash. Of `info`, `warn` and `error` lines with the same text, 20
 * are written within a second. One more line then states how many were dropped.
 *
 *     quiet ──one past the first of a text──▶ counting ──the second is over──▶ quiet, and the number has a line
 */
import type { Logger, TimeProvider } from '../types.ts';

const LINES = 20;
const WINDOW_MS = 1_000;
/** The window of lines about something that lasts until an operator mends it. */
export const LASTING_MS = 10_000;
/** Texts that are counted separately within a second. Further texts share one count. */
const TEXTS = 256;
const OTHER_TEXTS = 'Log lines of other texts';

type LimitedLevel = 'info' | 'warn' | 'error';

interface LineCount {
  readonly level: LimitedLevel;
  readonly text: string;
  all: number;
}

/** `lines`: how many equal lines are written in `windowMs`. */
export function limitedLogger(
  target: Logger,
  time: Required<TimeProvider>,
  lines = LINES,
  windowMs = WINDOW_MS,
): Logger {
  const counts = new Map<string, LineCount>();
  let since = -Infinity;
  let timer: unknown;

  const over = (): void => {
    if (timer !== undefined) time.clearTimeout(timer);
    timer = undefined;
    const ended = [...counts.values()];
    counts.clear();
    for (const { level, text, all } of ended) {
      const leftOut = all - lines;
      if (leftOut > 0)
        target[level]({ lines: leftOut }, `${text} (${leftOut} more such lines were left out)`);
    }
  };

  const counted = (level: LimitedLevel, text: string): LineCount => {
    const told = counts.has(level + text) || counts.size < TEXTS ? text : OTHER_TEXTS;
    let count = counts.get(level + told);
    if (count === undefined) counts.set(level + told, (count = { level, text: told, all: 0 }));
    return count;
  };

  const limited =
    (level: LimitedLevel) =>
    (fields: object, text: string): void => {
      const now = time.monotonic();
      if (now - since >= windowMs) {
        over();
        since = now;
      }
      const count = counted(level, text);
      count.all += 1;
      if (count.all <= lines) target[level](fields, text);
      else timer ??= time.setTimeout(over, windowMs);
    };
  return Object.freeze({
    ...target,
    info: limited('info'),
    warn: limited('warn'),
    error: limited('error'),
  });
}
