/**
 * Answers that some clients refuse as an event (`isLarge`). An answer is sent as JSON where nothing was sent before it.
 * A line in the log names the tool, because it may be slower next time.
 */
import { keptText } from '../base/shown.ts';
import { KnownNames } from '../observe/few.ts';
import { takesName } from '../protocol/jsonrpc.ts';
import type { Logger } from '../types.ts';
import { isLarge } from './frames.ts';

/** Past this many names no more are logged. */
const MOST_NAMES = 1_000;

interface Asked {
  readonly method: string | undefined;
  readonly target: string | undefined;
}

/** The names that each log has. */
const named = new WeakMap<Logger, KnownNames>();

/**
 * Logs a tool or prompt once, else a method: a URI is in no line of the log. The error for an unknown tool quotes its
 * name, so a client may have made it.
 */
export function noteLarge(json: string, { method, target }: Asked, logger: Logger): void {
  if (!isLarge(json)) return;
  const names = named.get(logger) ?? new KnownNames(MOST_NAMES);
  named.set(logger, names);
  const name = keptText((takesName(method) ? target : undefined) ?? method ?? '');
  if (names.add(name))
    logger.warn({ name }, 'An answer has more than 1 MiB: some clients refuse it as an event. Send less, or in parts');
}
