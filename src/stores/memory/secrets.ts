/** The secrets of one deployment. The first request for a name makes its secret. */
import type { RandomSource } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';

const SECRET_BYTES = 32;

interface Secret {
  readonly value: Uint8Array;
  readonly forgetAt: number;
}

export class MemorySecrets {
  readonly #time: Pick<TimeProvider, 'now'>;
  readonly #all = new Map<string, Secret>();

  constructor(time: Pick<TimeProvider, 'now'>) {
    this.#time = time;
  }

  /** Returns a copy, so that a caller can overwrite its bytes. */
  get(name: string, keepMs: number | undefined, random: RandomSource): Uint8Array {
    const now = this.#time.now();
    const known = this.#all.get(name);
    if (known !== undefined && known.forgetAt > now) return known.value.slice();
    for (const [other, { forgetAt }] of this.#all) if (forgetAt <= now) this.#all.delete(other);
    const value = random(SECRET_BYTES);
    this.#all.set(name, { value, forgetAt: now + (keepMs ?? Infinity) });
    return value.slice();
  }
}
