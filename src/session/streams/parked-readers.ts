/**
 * The parked readers of a GET stream.
 *
 * The newest reader of a GET stream gets its messages. An earlier reader is *parked*: its response stays open, with
 * comments only, until the newest reader ends. Often the connection of a parked reader is dead. If it is alive, both
 * readers belong to one client. Ending the parked response would make that client reconnect and end the newer response,
 * and so on in turn.
 */
import type { Reader } from '../../http/reader.ts';

/** Beyond this number the oldest ends. */
const MOST_PARKED = 3;

export class ParkedReaders {
  /** Oldest first. */
  #readers: Reader[] = [];

  add(reader: Reader): void {
    this.#readers.push(reader);
    if (this.#readers.length > MOST_PARKED) this.#readers[0]?.end();
  }

  /** The response of this reader is over. */
  delete(reader: Reader): void {
    this.#readers = this.#readers.filter((parked) => parked !== reader);
  }

  end(): void {
    const parked = this.#readers;
    this.#readers = [];
    for (const reader of parked) reader.end();
  }
}
