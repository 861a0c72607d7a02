/**
 * Answers that some clients refuse as an event (`isLarge`). An answer is sent as JSON where nothing was sent before it.
 * A line in the log names the tool, because it may be slower next time.
 */
import type { Logger } from '../types.ts';

/** Past this many names no more are logged. */
const MOST_NAMES = 1_000;

export class LargeAnswers {
  readonly #logger: Logger;
  readonly #named = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** `name`: the tool, or what else was asked for. Each is logged once. */
  note(name: string): void {
    if (this.#named.has(name) || this.#named.size >= MOST_NAMES) return;
    this.#named.add(name);
    this.#logger.warn(
      { name },
      'An answer has more than 1 MiB: some clients refuse it as an event. Send less, or in parts',
    );
  }
}
