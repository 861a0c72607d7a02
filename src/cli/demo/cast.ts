/** Records what is written to the screen, as an asciicast (version 2): one line for the head, one for each write. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { Failure, reason } from '../failure.ts';
import type { Size } from './frame.ts';

export class Cast {
  readonly #file: number;
  readonly #began = performance.now();

  constructor(path: string, { columns, rows }: Size) {
    try {
      this.#file = openSync(path, 'w');
    } catch (error) {
      throw new Failure(`--cast: ${reason(error)}`, { cause: error });
    }
    const head = { version: 2, width: columns, height: rows, timestamp: Math.round(Date.now() / 1_000) };
    writeSync(this.#file, `${JSON.stringify({ ...head, title: 'sojourn demo' })}\n`);
  }

  readonly write = (text: string): void => {
    const seconds = Math.round(performance.now() - this.#began) / 1_000;
    writeSync(this.#file, `${JSON.stringify([seconds, 'o', text])}\n`);
  };

  close(): void {
    closeSync(this.#file);
  }
}
