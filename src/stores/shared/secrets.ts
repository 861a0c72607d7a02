/**
 * The secrets of a deployment, as records without an owner: the body is the secret. The first request makes it. Of
 * several at once, one creates the record and the others read it.
 */
import type { RandomSource } from '../../base/system.ts';
import {
  type CreateOutcome,
  isEnded,
  type Kind,
  type MaybePromise,
  type Records,
} from '../store.ts';
import { after } from './after.ts';

/** A secret shows no more once it has expired, so the next request makes another. */
export const SECRETS: Kind = { name: 'secrets', log: false, keepMs: 0, listed: false, vital: true };

/** The format of secrets: not that of sessions, because instances of two builds share them. */
const VERSION = 1;
const BYTES = 32;

export class Secrets {
  readonly #records: Pick<Records, 'create' | 'read' | 'trim'>;
  readonly #random: RandomSource;

  constructor(records: Pick<Records, 'create' | 'read' | 'trim'>, random: RandomSource) {
    this.#records = records;
    this.#random = random;
  }

  /** Each call returns new bytes, so that a caller can overwrite them. */
  get(name: string, keepMs?: number): MaybePromise<Uint8Array> {
    return after(this.#records.read(name), (found) => {
      if (found !== undefined && !isEnded(found))
        return Uint8Array.from(Buffer.from(found.body, 'base64'));
      const made = this.#random(BYTES);
      return after(this.#create(name, made, keepMs), (outcome) => {
        // A secret that exists may expire before it is read.
        if (outcome === 'exists') return this.get(name, keepMs);
        if (keepMs !== undefined) this.#forgetOthers();
        return made;
      });
    });
  }

  #create(
    name: string,
    secret: Uint8Array,
    keepMs: number | null = null,
  ): MaybePromise<CreateOutcome> {
    const body = Buffer.from(secret).toString('base64');
    const texts = { user: null, head: '', body, fields: {} };
    const record = {
      v: VERSION,
      id: name,
      epoch: 1,
      owner: null,
      ...texts,
      createdAt: 0,
      stamp: 0,
    };
    return this.#records.create(record, keepMs);
  }

  /** A name with a time in it is not used again. What cannot be removed now goes when the next secret is made. */
  #forgetOthers(): void {
    const trimmed = this.#records.trim();
    if (trimmed instanceof Promise) trimmed.catch(() => undefined);
  }
}
