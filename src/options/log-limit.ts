/**
 * Limits how many equal lines the log takes. A client can repeat a request that causes a line as fast as the network
 * allows. Of `info`, `warn` and `error` lines with the same text, 20 are written within a second. One more line then
 * states how many were dropped.
 */
import { SecondCounts } from '../observe/second-counts.ts';
import type { Logger, TimeProvider } from '../types.ts';

const LINES = 20;
/** Texts that are counted separately within a second. Further texts share one count. */
const TEXTS = 256;
const OTHER_TEXTS = 'Log lines of other texts';

type Level = 'info' | 'warn' | 'error';

interface Line {
  readonly level: Level;
  readonly text: string;
}

/** `lines`: how many equal lines are written in a second. */
export function limitedLogger(target: Logger, time: Required<TimeProvider>, lines = LINES): Logger {
  const counts = new SecondCounts<Line>(time, lines, {
    write({ level, text }, all) {
      const leftOut = all - lines;
      target[level]({ lines: leftOut }, `${text} (${leftOut} more such lines were left out)`);
    },
  });
  const limited =
    (level: Level) =>
    (fields: object, text: string): void => {
      counts.roll();
      const told = counts.has(level + text) || counts.size < TEXTS ? text : OTHER_TEXTS;
      if (counts.note(level + told, { level, text: told })) target[level](fields, text);
    };
  return Object.freeze({ ...target, info: limited('info'), warn: limited('warn'), error: limited('error') });
}
