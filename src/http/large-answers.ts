/**
 * Answers above 1 MiB. The Python SDK 2.x refuses them as a server-sent event, and takes JSON bodies of any size. So an
 * answer is sent as JSON where nothing was sent before it. A line in the log names the tool, because it may be slower
 * next time.
 */
import type { Logger } from '../types.ts';

export const LARGE_BYTES = 1_048_576;
/** UTF-8 bytes of one UTF-16 unit, at most. */
const MOST_BYTES_PER_UNIT = 3;
/** Past this many names no more are logged. */
const MOST_NAMES = 1_000;

export function isLarge(json: string): boolean {
  if (json.length * MOST_BYTES_PER_UNIT <= LARGE_BYTES) return false;
  return json.length > LARGE_BYTES || Buffer.byteLength(json) > LARGE_BYTES;
}

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
