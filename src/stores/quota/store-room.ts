/**
 * How full the store is: what it reports, once a second, and what this instance has stored since.
 * That counts what users have in hand, and nothing that was freed. So before a refusal it reads the
 * report again where bytes were freed since, or where what was stored since is a part of the room
 * that remains.
 */
import { monotonicMs } from '../../base/system.ts';
import { NearCount } from './near-count.ts';
import { after } from '../shared/after.ts';
import type { MaybePromise, OpenStore, StoreRoom } from '../store.ts';
import type { TimeProvider } from '../../base/types.ts';

/** What was stored since a report counts from so many bytes. */
const LEAST = 65_536;
/** The rest is for messages, leases and what is under way. */
const FOR_KEPT = 0.9;

export class StoreRoomLook {
  readonly #storeBytes: number;
  readonly #time: TimeProvider;
  #store: Pick<OpenStore, 'room' | 'kept'> | undefined = undefined;
  readonly #used = new NearCount();
  /** The size that the store reports. */
  #reported = Infinity;
  #reading: Promise<void> | undefined = undefined;
  /** Bytes were freed since the report was read. */
  #isFreed = false;

  /** `storeBytes`: the option. */
  constructor(storeBytes: number, time: TimeProvider) {
    this.#storeBytes = storeBytes;
    this.#time = time;
  }

  opened(store: Pick<OpenStore, 'room' | 'kept'>): void {
    this.#store = store;
  }

  /** The room that remains for a user that has `own` bytes of it, these included. */
  leftBy(own: number): number {
    const size = this.#size;
    return size === Infinity ? size : Math.max(0, size - Math.max(0, this.#used.value - own));
  }

  get #size(): number {
    return FOR_KEPT * Math.min(this.#storeBytes, this.#reported);
  }

  stored(bytes: number): void {
    this.#used.take(bytes);
  }

  freed(): void {
    this.#isFreed = true;
  }

  /** Whether others have more of it than they leave to a user that has `own` bytes. */
  isFilledByOthers(own: number): boolean {
    const left = this.leftBy(own);
    return left < this.#size - left;
  }

  look(): MaybePromise<void> {
    return this.#used.isOld(this.#now) ? this.#look() : this.#reading;
  }

  /** Before a user is refused. One report answers all who ask at the same time. */
  lookAgain(): MaybePromise<void> {
    const isNear = this.#used.taken > LEAST && this.#used.far(this.#size) < 0;
    return isNear || this.#isFreed ? this.#look() : this.#reading;
  }

  get #now(): number {
    return monotonicMs(this.#time);
  }

  #look(): MaybePromise<void> {
    if (this.#reading !== undefined) return this.#reading;
    this.#isFreed = false;
    const looked = this.#used.read(this.#now, () =>
      after(this.#read(), (room) => {
        this.#reported = room?.size ?? Infinity;
        return room?.used ?? 0;
      }),
    );
    if (looked instanceof Promise)
      this.#reading = looked.then(() => undefined).finally(() => (this.#reading = undefined));
    return this.#reading;
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
