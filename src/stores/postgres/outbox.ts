/** What the instances of one deployment in this process send: the messages of one turn travel together, in their order. */
import { afterTurn } from '../../options/system.ts';
import type { InstanceMessage } from '../store.ts';
import { bigintArray, textArray } from './binary-arrays.ts';
import type { InstanceStatements } from './instance-statements.ts';
import type { Line } from './line.ts';

export type Sent = 'sent' | 'suspect';

interface Letter {
  readonly from: string;
  readonly to: string;
  readonly no: number;
  readonly body: string;
  resolve(sent: Sent): void;
  reject(error: unknown): void;
}

/** Of one statement; the rest follows in the next. */
const MOST_BYTES = 4_194_304;

export class Outbox {
  readonly #line: Line;
  readonly #statements: InstanceStatements;
  readonly #deployment: string;
  #letters: Letter[] = [];
  /** Numbers its messages, so that a receiver has them in order. */
  #no = 0;

  constructor(line: Line, statements: InstanceStatements, deployment: string) {
    this.#line = line;
    this.#statements = statements;
    this.#deployment = deployment;
  }

  send(from: string, to: string, message: InstanceMessage): Promise<Sent> {
    const body = JSON.stringify(message);
    return new Promise((resolve, reject) => {
      if (this.#letters.push({ from, to, no: this.#no++, body, resolve, reject }) === 1) afterTurn(() => this.#post());
    });
  }

  /** After what was sent before it. */
  async publish(from: string, message: InstanceMessage): Promise<void> {
    this.#post();
    const values = [this.#deployment, from, this.#no++, JSON.stringify(message)];
    await this.#line.query(this.#statements.publish, values);
  }

  #post(): void {
    let letters: Letter[] = [];
    let bytes = 0;
    for (const letter of this.#letters.splice(0)) {
      bytes += letter.body.length;
      if (bytes > MOST_BYTES && letters.length > 0) {
        void this.#deliver(letters);
        [letters, bytes] = [[], letter.body.length];
      }
      letters.push(letter);
    }
    if (letters.length > 0) void this.#deliver(letters);
  }

  async #deliver(letters: readonly Letter[]): Promise<void> {
    try {
      const { rows } = await this.#line.query(this.#statements.send, [
        this.#deployment,
        textArray(letters.map(({ to }) => to)),
        textArray(letters.map(({ from }) => from)),
        bigintArray(letters.map(({ no }) => no)),
        textArray(letters.map(({ body }) => body)),
      ]);
      for (const [ord, mailbox = null, free] of rows) {
        // A lock that this process holds is free for itself.
        const heard = mailbox !== null && (free === 'f' || this.#line.hears(mailbox));
        letters[Number(ord) - 1]?.resolve(heard ? 'sent' : 'suspect');
      }
    } catch (error) {
      for (const letter of letters) letter.reject(error);
    }
  }
}
