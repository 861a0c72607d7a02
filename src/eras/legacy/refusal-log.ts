/** Logs refusals that the HTTP status does not show: at most one line per reason and second. */
import type { Logger, TimeProvider } from '../../types.ts';

const EVERY_MS = 1_000;

interface Noted {
  at: number;
  /** Refusals since that line. */
  quiet: number;
}

export class RefusalLog {
  readonly #logger: Logger;
  readonly #time: Required<TimeProvider>;
  /** By reason: as many as there are reasons. */
  readonly #noted = new Map<string, Noted>();

  constructor(logger: Logger, time: Required<TimeProvider>) {
    this.#logger = logger;
    this.#time = time;
  }

  note(reason: string, sessionId: string | undefined): void {
    const now = this.#time.monotonic();
    const noted = this.#noted.get(reason);
    if (noted !== undefined && now - noted.at < EVERY_MS) {
      noted.quiet += 1;
      return;
    }
    const more = noted?.quiet ?? 0;
    this.#noted.set(reason, { at: now, quiet: 0 });
    this.#logger.warn({ reason, sessionId, ...(more > 0 && { more }) }, 'A request on a session was refused');
  }
}
