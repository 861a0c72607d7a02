/**
 * The secrets of a deployment. The first request makes a secret. A secret with `keepMs` is forgotten after that time
 * and made again.
 */
import type { RandomSource } from '../../options/system.ts';
import type { ServerClock } from './clock.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import { contended, newerValue, unreadable } from './failures.ts';
import type { Stored } from './jetstream.ts';
import type { Names } from './names.ts';
import { NO_VALUE, type KeyedValues } from './keyed-values.ts';

const VERSION = 1;
const BYTES = 32;
const TRIES = 8;

interface SecretValue {
  readonly v: number;
  readonly secret: string;
  /** Counts from when the server stored it. Absent: the secret is kept for ever. */
  readonly keepMs?: number;
}

export class NatsSecrets {
  readonly #values: KeyedValues;
  readonly #names: Names;
  readonly #clock: ServerClock;
  readonly #deadlines: Deadlines;
  readonly #random: RandomSource;

  constructor(values: KeyedValues, names: Names, clock: ServerClock, deadlines: Deadlines, random: RandomSource) {
    this.#values = values;
    this.#names = names;
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#random = random;
  }

  async get(name: string, keepMs: number | undefined): Promise<Uint8Array> {
    const deadline = this.#deadlines.deadline();
    const subject = this.#names.secret(name);
    for (let tries = 0; tries < TRIES; tries++) {
      const read = await this.#values.read('instances', subject, deadline);
      const found = read && (await this.#valid(read.stored, deadline));
      if (found !== undefined) return Buffer.from(found.secret, 'base64');
      const made = this.#random(BYTES);
      const secret = Buffer.from(made).toString('base64');
      const value: SecretValue = { v: VERSION, secret, ...(keepMs !== undefined && { keepMs }) };
      const body = Buffer.from(JSON.stringify(value));
      const written = await this.#values.write('instances', subject, body, read?.position ?? NO_VALUE, deadline);
      if (written === undefined) continue;
      // Secrets that are not removed now are removed after the next one is made.
      if (keepMs !== undefined) await this.#forget(subject, deadline).catch(() => undefined);
      return made;
    }
    throw contended(this.#values.jetstream.link.where, 'a secret');
  }

  async #valid(stored: Stored, deadline: number): Promise<SecretValue | undefined> {
    if (stored.deleted) return undefined;
    const { where } = this.#values.jetstream.link;
    let value: SecretValue;
    try {
      value = JSON.parse(stored.data.toString()) as SecretValue;
    } catch (cause) {
      throw unreadable(where, 'a secret', cause);
    }
    if (value.v > VERSION) throw newerValue(where, 'a secret', value.v, VERSION);
    if (value.keepMs === undefined) return value;
    return stored.at + value.keepMs > (await this.#clock.now(deadline)) ? value : undefined;
  }

  /**
   * Removes expired secrets of other names. Rotated secrets have a new name every day, and the old names are not used
   * again.
   */
  async #forget(made: string, deadline: number): Promise<void> {
    const { jetstream } = this.#values;
    for (const subject of (await jetstream.subjects('instances', this.#names.allSecrets, deadline)).keys()) {
      const read = subject === made ? undefined : await this.#values.read('instances', subject, deadline);
      if (read !== undefined && (await this.#valid(read.stored, deadline)) === undefined)
        await this.#values.erase('instances', subject, read.position, deadline);
    }
  }
}
