/** How full the store is: what it reports, once a second at most, and what this instance has stored since. */
import { monotonicMs } from '../../base/system.ts';
import type { OpenStore, StoreRoom } from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';

const READ_MS = 1_000;
/** Before a refusal, sooner. */
const AFRESH_MS = 100;
/** The rest is for sessions, messages and leases. */
const FOR_KEPT = 0.9;

export class KeptRoom {
  readonly #store: Pick<OpenStore, 'room'>;
  readonly #storeBytes: number;
  readonly #time: TimeProvider;
  #room: StoreRoom | undefined = undefined;
  #readAt = -Infinity;
  #reading: Promise<void> | undefined = undefined;
  #since = 0;

  /** `storeBytes`: the option. */
  constructor(store: Pick<OpenStore, 'room'>, storeBytes: number, time: TimeProvider) {
    this.#store = store;
    this.#storeBytes = storeBytes;
    this.#time = time;
  }

  /** Bytes that the records of all users may have together. */
  get size(): number {
    return FOR_KEPT * Math.min(this.#storeBytes, this.#room?.size ?? Infinity);
  }

  /** `undefined`: the store does not tell. */
  get used(): number | undefined {
    return this.#room?.used === undefined ? undefined : this.#room.used + this.#since;
  }

  stored(bytes: number): void {
    this.#since += bytes;
  }

  /**
   * Waits the first time, and before a user is refused: what was read in the middle of a large write counts it twice, as
   * stored and as under way.
   */
  async look(before?: 'a refusal'): Promise<void> {
    const now = monotonicMs(this.#time);
    const ageMs = now - this.#readAt;
    if (this.#store.room === undefined || ageMs < (before === undefined ? READ_MS : AFRESH_MS))
      return;
    this.#reading ??= this.#read(now).finally(() => (this.#reading = undefined));
    if (before !== undefined || ageMs === Infinity) await this.#reading;
  }

  async #read(now: number): Promise<void> {
    const since = this.#since;
    try {
      this.#room = await this.#store.room?.();
      this.#since -= since;
    } catch {
      // It does not answer: what was known is still the best guess.
    }
    this.#readAt = now;
  }
}
