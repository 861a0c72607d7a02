/**
 * Writes that no client waits for: each is sent at once and counted until the store has answered, so that the end of an
 * endpoint can wait for the last of them.
 */
import { within } from '../base/system.ts';
import type { TimeProvider } from '../types.ts';

/** A text on its way to the store: two bytes for a character, in the record, in its row, and in what is sent. */
export const TEXT_WEIGHT = 6;

/** How long the end of an endpoint waits for the store. */
const STORED_MS = 1_000;

export class PendingWrites {
  readonly #time: Required<TimeProvider>;
  readonly #writes = new Set<Promise<unknown>>();

  constructor(time: Required<TimeProvider>) {
    this.#time = time;
  }

  /** `failed` gets what `write` throws. */
  add(write: () => unknown, failed: (err: unknown) => void): void {
    const written = (async () => write())()
      .catch(failed)
      .finally(() => this.#writes.delete(written));
    this.#writes.add(written);
  }

  /** Resolves when every write so far is stored, or could not be. A store that hangs delays no end of an endpoint. */
  async stored(): Promise<void> {
    await within(this.#time, STORED_MS, Promise.all(this.#writes), () => undefined);
  }
}
