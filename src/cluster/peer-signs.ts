/**
 * What a link knows about its peer, as times of the monotonic clock. Three signs differ:
 *
 *     heard      a message brought what was not seen before: an item, an acknowledgement, a probe, or the answer to a
 *                probe. A copy of an earlier message shows nothing.
 *     answered   an acknowledgement, or the answer to a probe: messages pass in both directions
 *     leaseSeen  the store has a lease of the peer
 */
import type { TimeProvider } from '../types.ts';

export interface PeerSignsOptions {
  readonly time: Required<TimeProvider>;
  readonly leaseMs: number;
}

export class PeerSigns {
  readonly #options: PeerSignsOptions;
  #heardAt = -Infinity;
  #leaseSeenAt = -Infinity;
  /** Since when an item or a probe waits, and nothing was answered since. */
  #askedAt: number | undefined;
  /** The peer has answered a message: it accepts what this instance sends. */
  wasAnswered = false;

  constructor(options: PeerSignsOptions) {
    this.#options = options;
  }

  get #now(): number {
    return this.#options.time.monotonic();
  }

  heardWithin(ms: number): boolean {
    return this.silentMs < ms;
  }

  get silentMs(): number {
    return this.#now - this.#heardAt;
  }

  /** Within a lease time. */
  get leaseSeen(): boolean {
    return this.#now - this.#leaseSeenAt < this.#options.leaseMs;
  }

  /** How long the peer has answered nothing of what was sent, although other messages of it may arrive. */
  get unansweredMs(): number {
    return this.#askedAt === undefined ? 0 : this.#now - this.#askedAt;
  }

  heard(): void {
    this.#heardAt = this.#now;
  }

  sawLease(): void {
    this.#leaseSeenAt = this.#now;
  }

  /** An item or a probe is sent. */
  asked(): void {
    this.#askedAt ??= this.#now;
  }

  /** `waits`: something else that was sent is not answered yet. */
  answered(waits: boolean): void {
    this.wasAnswered = true;
    this.#heardAt = this.#now;
    this.#askedAt = waits ? this.#heardAt : undefined;
  }
}
