import type { Logger } from '../types.ts';
import { reason } from './failure.ts';

/** A logger that keeps its lines from `warn` on, each once. */
export function collectingLogger(lines: Set<string>): Logger {
  const quiet = (): void => {};
  const keep = (fields: object, message: string): void => {
    const err: unknown = 'err' in fields ? fields.err : undefined;
    lines.add(err === undefined ? message : `${message}: ${reason(err)}`);
  };
  return { debug: quiet, info: quiet, warn: keep, error: keep, fatal: keep };
}
