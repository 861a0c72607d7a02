/** What a run of a task holds in the memory budget, until it is over and its handler has settled. */
import { TEXT_WEIGHT } from '../owned/owned-records.ts';
import { BODY_WEIGHT, CALL_BYTES } from '../http/body.ts';
import type { MemoryUse } from '../base/budget.ts';
import { bytesOfText } from '../protocol/json-size.ts';
import type { StoredRecord } from '../stores/store.ts';

const TEXT_BYTES = 1_024;

/** What a text with a name takes in memory. */
export const heldBytes = (name: string, text: string): number => TEXT_WEIGHT * (name.length + text.length) + TEXT_BYTES;

/** What a run takes that begins with a stored task. `recorded`: by earlier runs. */
export function laterRunBytes({ body, fields }: StoredRecord, recorded: ReadonlyMap<string, string>): number {
  const texts = [...Object.entries(fields), ...recorded];
  const held = texts.reduce((sum, [name, text]) => sum + heldBytes(name, text), 0);
  return CALL_BYTES + body.length * BODY_WEIGHT + bytesOfText(body, Infinity) + held;
}

export class RunBytes {
  readonly #memory: MemoryUse;
  /** Whose share they count in. */
  readonly share: string;
  #bytes: number;
  #isOver = false;

  /** `bytes`: what is charged already. */
  constructor(memory: MemoryUse, share: string, bytes: number) {
    this.#memory = memory;
    this.share = share;
    this.#bytes = bytes;
  }

  /** `false`: there is no room, and nothing was charged. */
  take(bytes: number): boolean {
    if (this.#isOver) return true;
    if (!this.#memory.take(bytes, this.#bytes, this.share)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Charges what is held already. */
  charge(bytes: number): void {
    if (this.#isOver) return;
    this.#memory.charge(bytes, this.share);
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.charge(-bytes);
  }

  /** Everything is given back, and nothing more is charged. */
  release(): void {
    this.give(this.#bytes);
    this.#isOver = true;
  }
}
