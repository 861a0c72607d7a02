/**
 * The server's clock, which decides about leases, expiry and age. A stored message shows it: when its acknowledgement
 * arrived, the server's clock had reached at least the time in the message. From then on this machine's clock counts.
 * So `now` is never ahead of the server, and behind it by at most a round trip. No lease and no record ends too early.
 */
import type { Deadlines } from '../shared/deadlines.ts';
import type { JetStream } from './jetstream.ts';

/** In this time two clocks drift apart by far less than a millisecond. A corrected server clock is noticed after it. */
const FRESH_MS = 5_000;
const NOTHING = new Uint8Array(0);

export class ServerClock {
  readonly #jetstream: JetStream;
  readonly #deadlines: Deadlines;
  readonly #subject: string;
  /** The server's time at a moment of this machine's clock. */
  #sample: { readonly at: number; readonly taken: number } | undefined;
  #asking: Promise<void> | undefined;

  constructor(jetstream: JetStream, deadlines: Deadlines, subject: string) {
    this.#jetstream = jetstream;
    this.#deadlines = deadlines;
    this.#subject = subject;
  }

  /** ms since 1970. */
  async now(): Promise<number> {
    return this.known() ?? this.#ask();
  }

  /** `undefined`: the last sample is too old, so ask the server. */
  known(): number | undefined {
    const now = this.#deadlines.now();
    const sample = this.#sample;
    return sample === undefined || now - sample.taken > FRESH_MS ? undefined : sample.at + (now - sample.taken);
  }

  /** A message has the time `at` and was acknowledged at `taken`. */
  learn(at: number, taken: number): void {
    this.#sample = { at, taken };
  }

  async #ask(): Promise<number> {
    this.#asking ??= this.#look().finally(() => (this.#asking = undefined));
    await this.#asking;
    return this.known() ?? this.#ask();
  }

  async #look(): Promise<void> {
    for (;;) {
      const seq = await this.#jetstream.publish(this.#subject, NOTHING);
      const taken = this.#deadlines.now();
      // Another instance may have asked at the same moment, and the bucket keeps only one message.
      const stored = seq === undefined ? undefined : await this.#jetstream.last('instances', this.#subject);
      if (stored?.seq === seq && stored !== undefined) return this.learn(stored.at, taken);
      if (stored !== undefined && seq !== undefined && stored.seq > seq) {
        // That message is newer than ours, so the server's clock has reached its time by now.
        return this.learn(stored.at, this.#deadlines.now());
      }
    }
  }
}
