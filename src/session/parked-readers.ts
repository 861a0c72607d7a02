/**
 * The parked readers of a GET stream.
 *
 * The newest reader of a GET stream gets its messages. An earlier reader is *parked*: its response stays open, with
 * comments only, until the newest reader ends. Often the connection of a parked reader is dead. If it is alive, both
 * readers belong to one client. Ending the parked response would make that client reconnect and end the newer response,
 * and so on in turn.
 */
import type { Sink } from '../http/sink.ts';

/** Beyond this number the oldest ends. */
const MOST_PARKED = 3;

export class ParkedReaders {
  /** Oldest first. */
  #sinks: Sink[] = [];

  add(sink: Sink): void {
    this.#sinks.push(sink);
    if (this.#sinks.length > MOST_PARKED) this.#sinks[0]?.end();
  }

  /** The response of this reader is over. */
  delete(sink: Sink): void {
    this.#sinks = this.#sinks.filter((parked) => parked !== sink);
  }

  end(): void {
    const parked = this.#sinks;
    this.#sinks = [];
    for (const sink of parked) sink.end();
  }
}
