/**
 * The clock of the server, which judges leases, expiry and age. A message that was just stored tells it: when its
 * acknowledgement arrived, the server's clock had at least reached the time in the message. From then on this machine's clock
 * counts. So `now` is never ahead of the server, and behind it by a round trip at most: nothing is taken for dead or ended too early.
 */
import type { Bounds } from './bounds.ts';
import type { JetStream } from './jetstream.ts';

/** What two clocks can drift apart meanwhile is far less than a millisecond; a server that was set right is noticed. */
const FRESH_MS = 5_000;
const NOTHING = new Uint8Array(0);

export class ServerClock {
  readonly #jetstream: JetStream;
  readonly #bounds: Bounds;
  readonly #subject: string;
  /** Server's time at a moment of this machine's clock. */
  #sample: { readonly at: number; readonly taken: number } | undefined;
  #asking: Promise<void> | undefined;

  constructor(jetstream: JetStream, bounds: Bounds, subject: string) {
    this.#jetstream = jetstream;
    this.#bounds = bounds;
    this.#subject = subject;
  }

  /** ms since 1970. */
  async now(deadline: number): Promise<number> {
    return this.known() ?? this.#ask(deadline);
  }

  /** `undefined`: the server must be asked. */
  known(): number | undefined {
    const now = this.#bounds.now();
    const sample = this.#sample;
    return sample === undefined || now - sample.taken > FRESH_MS ? undefined : sample.at + (now - sample.taken);
  }

  /** A message has the time `at`, and was acknowledged at `taken`. */
  learn(at: number, taken: number): void {
    this.#sample = { at, taken };
  }

  async #ask(deadline: number): Promise<number> {
    this.#asking ??= this.#look(deadline).finally(() => (this.#asking = undefined));
    await this.#asking;
    return this.known() ?? this.#ask(deadline);
  }

  async #look(deadline: number): Promise<void> {
    for (;;) {
      const seq = await this.#jetstream.publish(this.#subject, NOTHING, deadline);
      const taken = this.#bounds.now();
      // Another instance may have asked at the same moment: the bucket keeps one message.
      const stored = seq === undefined ? undefined : await this.#jetstream.last('instances', this.#subject, deadline);
      if (stored?.seq === seq && stored !== undefined) return this.learn(stored.at, taken);
      if (stored !== undefined && seq !== undefined && stored.seq > seq) {
        // Its message is newer than ours: the clock has come at least so far by now.
        return this.learn(stored.at, this.#bounds.now());
      }
    }
  }
}
