/**
 * Notices that the process has no file descriptor left. Node then closes each new connection without any event. So a
 * descriptor is opened and closed once a second. Nothing can be read in that state, so the limit is read before it.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';
import { orUndefined } from '../base/or-undefined.ts';
import { every } from '../base/system.ts';
import type { Logger, TimeProvider } from '../types.ts';

const EVERY_MS = 1_000;

export interface Descriptors {
  readonly usedUp: boolean;
  stop(): void;
}

export function watchDescriptors(time: Required<TimeProvider>, logger: Logger): Descriptors {
  const limit = descriptorLimit();
  let since: number | undefined;
  const stop = every(time, EVERY_MS, () => {
    const usedUp = isUsedUp();
    if (usedUp && since === undefined) {
      since = time.monotonic();
      logger.fatal(
        { limit },
        'No file descriptor is left: new connections are closed at once. Raise the limit of open files (ulimit -n, LimitNOFILE), or lower maxConnections',
      );
    } else if (!usedUp && since !== undefined) {
      logger.info({ ms: Math.round(time.monotonic() - since) }, 'There are free file descriptors again');
      since = undefined;
    }
  });
  return {
    get usedUp() {
      return since !== undefined;
    },
    stop,
  };
}

function isUsedUp(): boolean {
  try {
    closeSync(openSync(devNull, 'r'));
    return false;
  } catch (error) {
    return ['EMFILE', 'ENFILE'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

/** `undefined`: this system does not tell it. */
function descriptorLimit(): number | undefined {
  const limits = orUndefined(() => readFileSync('/proc/self/limits', 'latin1')) ?? '';
  const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}
