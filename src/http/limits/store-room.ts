/** How full the store is: what it reports, once a second at most, and what this instance has stored since. */
import { monotonicMs } from '../../base/system.ts';
import { after } from '../../stores/shared/after.ts';
import type { MaybePromise, OpenStore, StoreRoom } from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';

const READ_MS = 1_000;
/** The rest is for messages, leases and what is under way. */
const FOR_KEPT = 0.9;

export class StoreRoomLook {
  readonly #storeBytes: number;
  readonly #time: TimeProvider;
  #store: Pick<OpenStore, 'room' | 'kept'> | undefined = undefined;
  #room: StoreRoom | undefined = undefined;
  #readAt = -Infinity;
  #since = 0;

  /** `storeBytes`: the option. */
  constructor(storeBytes: number, time: TimeProvider) {
    this.#storeBytes = storeBytes;
    this.#time = time;
  }

  opened(store: Pick<OpenStore, 'room' | 'kept'>): void {
    this.#store = store;
  }

  /** What is left for a user that has `own` bytes of it, these included. */
  leftBy(own: number): number {
    const size = FOR_KEPT * Math.min(this.#storeBytes, this.#room?.size ?? Infinity);
    return size === Infinity
      ? size
      : Math.max(0, size - Math.max(0, (this.#room?.used ?? 0) + this.#since - own));
  }

  stored(bytes: number): void {
    this.#since += bytes;
  }

  look(): MaybePromise<void> {
    const now = monotonicMs(this.#time);
    if (now - this.#readAt < READ_MS) return undefined;
    this.#readAt = now;
    const since = this.#since;
    return after(this.#read(), (room) => {
      this.#room = room;
      this.#since -= since;
    });
  }

  /** A store that does not tell how much it holds has counted that. */
  #read(): MaybePromise<StoreRoom | undefined> {
    return after(this.#store?.room?.(), (room) => {
      if (room?.used !== undefined || this.#storeBytes === Infinity) return room;
      return after(this.#store?.kept.byAll(0), (kept) => ({
        size: room?.size ?? Infinity,
        used: kept?.bytes ?? 0,
      }));
    });
  }
}
