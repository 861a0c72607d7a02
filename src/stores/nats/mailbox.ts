/** Messages between instances as they are sent: JSON, in parts if it is larger than one NATS message. */
import type { Logger } from '../../types.ts';
import type { Receive } from '../shared/instances.ts';
import type { InstanceMessage } from '../store.ts';
import type { NatsMessage } from './client.ts';
import type { Part } from './link.ts';
import { cut, Joiner, PART_HEADER } from './parts.ts';

const VERSION = 1;

interface Envelope {
  readonly v: number;
  readonly from: string;
  readonly message: InstanceMessage;
}

/** `name`: tells the parts of two envelopes apart. */
export function writeEnvelope(from: string, message: InstanceMessage, limit: number, name: string): readonly Part[] {
  const envelope: Envelope = { v: VERSION, from, message };
  return cut(Buffer.from(JSON.stringify(envelope)), limit, name);
}

/** The receiving end of a subject. */
export class NatsMailbox {
  readonly #joiner = new Joiner();
  readonly #receive: Receive;
  readonly #logger: Logger;
  #newer = false;

  constructor(receive: Receive, logger: Logger) {
    this.#receive = receive;
    this.#logger = logger;
  }

  take({ data, headers }: NatsMessage): void {
    const body = this.#joiner.add(headers?.get(PART_HEADER), data);
    if (body === undefined) return;
    try {
      const envelope = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()) as Envelope;
      if (envelope.v > VERSION) this.#logNewer(envelope);
      else this.#receive(envelope.from, envelope.message);
    } catch (err) {
      this.#logger.error({ err }, 'A message of another instance could not be received');
    }
  }

  /** Logged once. */
  #logNewer({ v, from }: Envelope): void {
    if (this.#newer) return;
    this.#newer = true;
    this.#logger.error(
      { instance: from, version: v, known: VERSION },
      'Another instance writes messages of a newer version of the NATS store; they are dropped',
    );
  }
}
