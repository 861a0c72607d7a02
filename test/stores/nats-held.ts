/** A connection whose messages can be held back, let go later, or dropped: what a network may do to a process. */
import type { NatsConnection, PublishOptions } from '@nats-io/transport-node';
import { until } from '../kit/until.ts';

interface Message {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly options: PublishOptions;
}

export class HeldBack {
  readonly connection: NatsConnection;
  readonly #real: NatsConnection;
  #held: Message[] = [];
  #match: (message: Message) => boolean = () => false;

  constructor(connection: NatsConnection) {
    this.#real = connection;
    this.connection = new Proxy(connection, {
      get: (target, name) => {
        if (name === 'publish') {
          return (subject: string, data: Uint8Array, options: PublishOptions = {}) => {
            const message = { subject, data, options };
            if (this.#match(message)) this.#held.push(message);
            else target.publish(subject, data, options);
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** From now on, messages whose subject begins so are held back. */
  hold(subject: string): void {
    this.#match = (message) => message.subject.startsWith(subject);
  }

  /** Only the next one is. */
  holdNext(fits: (message: Message) => boolean): void {
    this.#match = (message) => {
      if (!fits(message)) return false;
      this.#match = () => false;
      return true;
    };
  }

  /** Resolves when something is held back. */
  async caught(count = 1): Promise<void> {
    await until(() => this.#held.length >= count);
  }

  /** What was held back is on its way; nothing is held back any more. */
  letGo(): void {
    this.takeOut()();
  }

  /** Nothing is held back any more; what was goes when the function that is returned is called. */
  takeOut(): () => void {
    const held = this.#held;
    this.drop();
    return () => {
      for (const { subject, data, options } of held) this.#real.publish(subject, data, options);
    };
  }

  drop(): void {
    this.#match = () => false;
    this.#held = [];
  }
}
