/**
 * Notices that the process has no file descriptor left. Node then closes each new connection without any event. So a
 * descriptor is opened and closed once a second. Nothing can be read in that state, so the limit is read before it.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';
import type { Logger, TimeProvider } from '../types.ts';

const EVERY_MS = 1_000;

export class Descriptors {
  readonly #time: Required<TimeProvider>;
  readonly #logger: Logger;
  readonly #limit = descriptorLimit();
  #timer: unknown;
  #since: number | undefined;

  constructor(time: Required<TimeProvider>, logger: Logger) {
    this.#time = time;
    this.#logger = logger;
    this.#arm();
  }

  get usedUp(): boolean {
    return this.#since !== undefined;
  }

  stop(): void {
    this.#time.clearTimeout(this.#timer);
  }

  #arm(): void {
    this.#timer = this.#time.setTimeout(() => {
      this.#arm();
      this.#note(isUsedUp());
    }, EVERY_MS);
  }

  #note(usedUp: boolean): void {
    if (usedUp === this.usedUp) return;
    const now = this.#time.monotonic();
    if (this.#since === undefined) {
      this.#since = now;
      this.#logger.error(
        { limit: this.#limit },
        'No file descriptor is left: new connections are closed at once. Raise the limit of open files (ulimit -n, LimitNOFILE), or lower maxConnections',
      );
    } else {
      this.#logger.info({ ms: Math.round(now - this.#since) }, 'File descriptors are left again');
      this.#since = undefined;
    }
  }
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
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
