/** Why `serve` cannot begin, or begins with a warning: its settings, and the store. */
import { SojournError, type StoreProblem } from '../errors/sojourn-error.ts';
import type { Logger } from '../types.ts';
import { reason } from './failure.ts';
import type { ServeSettings } from './settings.ts';
import type { ChosenStore } from './store-url.ts';

/** Why a store is not open. */
export const storeAwayBy = (error: unknown): StoreProblem =>
  (error instanceof SojournError ? error.storeProblem : undefined) ?? { what: reason(error), lasting: false };

/** The error of a command whose store cannot be opened. `chosen`: the store that the command names. */
export function storeProblem(
  error: unknown,
  { requireStore, origin }: ServeSettings,
  chosen: ChosenStore | undefined,
  module: string,
): string {
  const { what, lasting } = storeAwayBy(error);
  const where = chosen === undefined ? `the store of ${module}` : (origin('store') ?? chosen.shown);
  const tolerated = lasting && chosen?.remote === true && requireStore === undefined;
  return `${where}: ${what}${tolerated ? '\n(--no-require-store serves all the same and keeps trying)' : ''}`;
}

export function warnOfSettings({ warnings, origin }: ServeSettings, fd: number | undefined, logger: Logger): void {
  for (const warning of warnings) logger.warn({}, warning);
  if (fd !== undefined && (origin('port') ?? origin('host')) !== undefined) {
    logger.warn({}, 'a listening socket was passed to this process, so --port and --host are ignored');
  }
}
