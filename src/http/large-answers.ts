/**
 * Answers that some clients refuse as an event (`isLarge`). An answer is sent as JSON where nothing was sent before it.
 * A line in the log names the tool, because it may be slower next time.
 */
import { keptText } from '../base/shown.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { takesName } from '../base/protocol/methods.ts';

type AskedCall = Readonly<Record<'method' | 'target', string | undefined>>;

/**
 * Logs a tool or prompt once, else a method: a URI is in no line of the log. The error for an unknown tool quotes its
 * name, so a client may have made it.
 */
export function noteLarge(
  { method, target }: AskedCall,
  { logger, notices }: ResolvedOptions,
): void {
  const name = keptText((takesName(method) ? target : undefined) ?? method ?? '');
  if (notices.largeAnswers.add(name))
    logger.warn(
      { name },
      'An answer has more than 1 MiB: some clients refuse it as an event. Send less, or in parts',
    );
}
