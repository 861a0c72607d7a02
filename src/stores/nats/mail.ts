/** What one instance tells another, as it travels: JSON, in parts where it is larger than a message may be. */
import type { Logger } from '../../types.ts';
import type { InstanceMessage } from '../store.ts';
import type { NatsMessage } from './client.ts';
import type { Part } from './link.ts';
import { cut, Joiner, PART_HEADER, partBytes } from './parts.ts';

const VERSION = 1;

interface Letter {
  readonly v: number;
  readonly from: string;
  readonly message: InstanceMessage;
}

/** Of one process: its letters are numbered, so that the parts of two are told apart. */
export class Sender {
  readonly #name: string;
  #letters = 0;

  constructor(name: string) {
    this.#name = name;
  }

  letter(from: string, message: InstanceMessage, maxPayload: number | undefined): readonly Part[] {
    const letter: Letter = { v: VERSION, from, message };
    return cut(Buffer.from(JSON.stringify(letter)), partBytes(maxPayload), `${this.#name}/${this.#letters++}`);
  }
}

export type Receive = (from: string, message: InstanceMessage) => void;

/** One end of a subject. */
export class Mailbox {
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
      const letter = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()) as Letter;
      if (letter.v > VERSION) this.#tellNewer(letter);
      else this.#receive(letter.from, letter.message);
    } catch (err) {
      this.#logger.error({ err }, 'A message of another instance could not be received');
    }
  }

  /** Said once. */
  #tellNewer({ v, from }: Letter): void {
    if (this.#newer) return;
    this.#newer = true;
    this.#logger.error(
      { instance: from, version: v, known: VERSION },
      'Another instance writes messages of a newer version of the NATS store; they are dropped',
    );
  }
}
