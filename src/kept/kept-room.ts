/** How full the store is: what it reports, once a second at most, and what this instance has stored since. */
import { monotonicMs } from '../base/system.ts';
import type { MaybePromise, OpenStore, StoreRoom } from '../stores/store.ts';
import type { TimeProvider } from '../types.ts';

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
    return this.#room && this.#room.used + this.#since;
  }

  stored(bytes: number): void {
    this.#since += bytes;
  }

  /** A promise the first time; later it waits for no answer. */
  look(): MaybePromise<void> {
    const now = monotonicMs(this.#time);
    if (this.#store.room === undefined || now - this.#readAt < READ_MS) return undefined;
    const isFirst = this.#readAt === -Infinity;
    if (this.#reading !== undefined) return isFirst ? this.#reading : undefined;
    const since = this.#since;
    const read = this.#store.room();
    if (!(read instanceof Promise)) return this.#found(read, since, now);
    this.#reading = read
      .then(
        (room) => this.#found(room, since, now),
        // It does not answer: what was known is still the best guess.
        () => void (this.#readAt = now),
      )
      .finally(() => (this.#reading = undefined));
    return isFirst ? this.#reading : undefined;
  }

  /**
   * Looks again before a user is refused: what was read in the middle of a large write counts it twice, as stored and as
   * under way.
   */
  async lookAfresh(): Promise<void> {
    const now = monotonicMs(this.#time);
    if (now - this.#readAt < AFRESH_MS) return;
    this.#readAt = Math.min(this.#readAt, now - READ_MS);
    await this.look();
    await this.#reading;
  }

  #found(room: StoreRoom | undefined, since: number, now: number): void {
    this.#room = room;
    this.#since -= since;
    this.#readAt = now;
  }
}
