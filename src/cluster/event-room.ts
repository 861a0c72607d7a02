/**
 * Room on a link for the events of logged streams. An event is stored before it is pushed, and many may be stored at
 * the same time: those that found the link empty would fill it many times over.
 */
import type { Room } from '../http/sink.ts';

/** Many thousands of shorter events may be stored together. */
const SHORT_BYTES = 65_536;
/** Bytes of longer events that may be stored together, besides the last of them. */
const STORING_BYTES = 8_388_608;

interface EventLink {
  fits(bytes: number): boolean;
  room(bytes: number): Promise<void>;
}

export class EventRoom {
  readonly #link: EventLink;
  #storing = 0;
  #waiting: Array<() => void> = [];

  constructor(link: EventLink) {
    this.#link = link;
  }

  /** For events of so many bytes that are about to be stored, and then pushed. */
  take(bytes: number): Room {
    if (!this.#link.fits(0)) return this.#link.room(0);
    if (bytes <= SHORT_BYTES) return undefined;
    if (this.#storing > STORING_BYTES) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#storing += bytes;
    return () => {
      this.#storing -= bytes;
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }
}
