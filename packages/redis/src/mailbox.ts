/** Receives the messages for one instance from its channel: JSON with a version, the sender, and the message. */
import type { InstanceMessage, Logger } from 'sojourn/store-kit';
import type { ChannelListener } from './server.ts';

const VERSION = 1;

export interface MailboxOptions {
  readonly id: string;
  readonly logger: Logger;
  receive(from: string, message: InstanceMessage): void;
  lost(): void;
}

export class RedisMailbox implements ChannelListener {
  readonly #options: MailboxOptions;
  #closed = false;
  #warnedUnknown = false;

  constructor(options: MailboxOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.id;
  }

  receive(text: string): void {
    const envelope = readEnvelope(text);
    if (envelope === undefined) this.#unknown(text);
    else if (!this.#closed) this.#options.receive(envelope.from, envelope.message);
  }

  lost(): void {
    if (!this.#closed) this.#options.lost();
  }

  close(): void {
    this.#closed = true;
  }

  #unknown(text: string): void {
    if (this.#warnedUnknown) return;
    this.#warnedUnknown = true;
    this.#options.logger.error(
      { instance: this.id, begins: text.slice(0, 40) },
      'Messages to this instance are dropped: a newer version of sojourn or another program sent them',
    );
  }
}

export const writeEnvelope = (from: string, message: InstanceMessage): string =>
  JSON.stringify({ v: VERSION, from, message });

/** `undefined`: a newer version or another program wrote it. */
function readEnvelope(text: string): { readonly from: string; readonly message: InstanceMessage } | undefined {
  try {
    const { v, from, message } = JSON.parse(text) as { v?: unknown; from?: unknown; message?: { kind?: unknown } };
    if (v !== VERSION || typeof from !== 'string' || typeof message?.kind !== 'string') return undefined;
    return { from, message: message as InstanceMessage };
  } catch {
    return undefined;
  }
}
