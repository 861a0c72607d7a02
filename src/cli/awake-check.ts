/**
 * Whether the process at the other end of a channel runs. A descriptor in the channel of a frozen process cannot be
 * taken back, so each side asks before it sends a connection.
 */
import { once } from 'node:events';
import type { MessageChannel } from './worker-role.ts';

export class AwakeCheck {
  readonly #channel: MessageChannel;
  readonly #withinMs: number;
  /** The check under way, and its result until the other process has answered. */
  #waking: Promise<boolean> | undefined;

  /** A process that has not answered within `withinMs` gets no connection until it answers. */
  constructor(channel: MessageChannel, withinMs: number) {
    this.#channel = channel;
    this.#withinMs = withinMs;
    channel.received.on('awake', () => (this.#waking = undefined));
    channel.received.on('wake', () => channel.send({ sojourn: 'awake' }));
  }

  /** Asks once for all connections that wait. */
  isAwake(): Promise<boolean> {
    if (this.#waking !== undefined) return this.#waking;
    const signal = AbortSignal.timeout(this.#withinMs);
    const answer = once(this.#channel.received, 'awake', { signal });
    this.#channel.send({ sojourn: 'wake' });
    return (this.#waking = answer.then(
      () => true,
      () => false,
    ));
  }
}
