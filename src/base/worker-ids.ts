/**
 * Session ids that name the worker of `sojourn serve` in which `initialize` was answered: one character behind the
 * random ones. It is a sum of the worker's number and of the characters before it, so an id from elsewhere names a
 * worker only by chance. Nothing depends on it: a session that lives in another worker is found in the store.
 */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** 16 random bytes in base64url. */
const RANDOM_LENGTH = 22;

/** The ids of new sessions of an endpoint. */
export class WorkerIds {
  #number = 0;

  /** From now on they name worker `number`. 0: none. A number above 63 has no character. */
  name(number: number): void {
    this.#number = number < ALPHABET.length ? number : 0;
  }

  of(random: string): string {
    const named = this.#number + sumOf(random);
    return this.#number === 0 ? random : random + ALPHABET.charAt(named % ALPHABET.length);
  }
}

/** The worker that an id names. `undefined`: none. */
export function workerOf(id: string): number | undefined {
  if (id.length !== RANDOM_LENGTH + 1) return undefined;
  const at = ALPHABET.indexOf(id.charAt(RANDOM_LENGTH));
  if (at < 0) return undefined;
  const sum = sumOf(id.slice(0, RANDOM_LENGTH));
  return (((at - sum) % ALPHABET.length) + ALPHABET.length) % ALPHABET.length || undefined;
}

function sumOf(text: string): number {
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum += text.charCodeAt(at) * (at + 1);
  return sum;
}
