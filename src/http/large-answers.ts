/**
 * Answers that some clients refuse as an event (`isLarge`). An answer is sent as JSON where nothing was sent before it.
 * A line in the log names the tool, because it may be slower next time.
 */
import { keptText } from '../base/shown.ts';
import { takesName } from '../protocol/jsonrpc.ts';
import type { Logger } from '../types.ts';

/** The tool or prompt that a request names, else its method: a URI is in no line of the log. */
export const labelOf = (method: string | undefined, target: string | undefined): string =>
  (takesName(method) ? target : undefined) ?? method ?? '';

/** Past this many names no more are logged. */
const MOST_NAMES = 1_000;

export class LargeAnswers {
  readonly #logger: Logger;
  readonly #named = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Each label is logged once. The error for an unknown tool quotes its name, so a client may have made the label. */
  note(label: string): void {
    const name = keptText(label);
    if (this.#named.has(name) || this.#named.size >= MOST_NAMES) return;
    this.#named.add(name);
    this.#logger.warn(
      { name },
      'An answer has more than 1 MiB: some clients refuse it as an event. Send less, or in parts',
    );
  }
}
