/** Secrets of a deployment: made by the first who asks, and where they have a time, forgotten and made again. */
import type { RandomSource } from '../../system.ts';
import type { ServerClock } from './clock.ts';
import type { Bounds } from './bounds.ts';
import { contended, newerValue, unreadable } from './failures.ts';
import type { JetStream, Stored } from './jetstream.ts';
import type { Names } from './names.ts';

const VERSION = 1;
const BYTES = 32;
const TRIES = 8;

interface SecretValue {
  readonly v: number;
  readonly secret: string;
  /** After the server stored it; absent: for ever. */
  readonly keepMs?: number;
}

export class Secrets {
  readonly #jetstream: JetStream;
  readonly #names: Names;
  readonly #clock: ServerClock;
  readonly #bounds: Bounds;
  readonly #random: RandomSource;

  constructor(jetstream: JetStream, names: Names, clock: ServerClock, bounds: Bounds, random: RandomSource) {
    this.#jetstream = jetstream;
    this.#names = names;
    this.#clock = clock;
    this.#bounds = bounds;
    this.#random = random;
  }

  async get(name: string, keepMs: number | undefined): Promise<Uint8Array> {
    const deadline = this.#bounds.deadline();
    const subject = this.#names.secret(name);
    for (let tries = 0; tries < TRIES; tries++) {
      const stored = await this.#jetstream.last('instances', subject, deadline);
      const found = stored === undefined ? undefined : await this.#valid(stored, deadline);
      if (found !== undefined) return Buffer.from(found.secret, 'base64');
      const made = this.#random(BYTES);
      const secret = Buffer.from(made).toString('base64');
      const value: SecretValue = { v: VERSION, secret, ...(keepMs !== undefined && { keepMs }) };
      const body = Buffer.from(JSON.stringify(value));
      if ((await this.#jetstream.publish(subject, body, deadline, { expect: stored?.seq ?? 0 })) === undefined)
        continue;
      // What is left is removed with the next one.
      if (keepMs !== undefined) await this.#forget(subject, deadline).catch(() => undefined);
      return made;
    }
    throw contended(this.#jetstream.link.where, 'a secret');
  }

  async #valid(stored: Stored, deadline: number): Promise<SecretValue | undefined> {
    if (stored.deleted) return undefined;
    const { where } = this.#jetstream.link;
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

  /** Those of other names whose time has passed: they have a new name every day, and nobody asks for the old ones. */
  async #forget(made: string, deadline: number): Promise<void> {
    for (const subject of (await this.#jetstream.subjects('instances', this.#names.allSecrets, deadline)).keys()) {
      const stored = subject === made ? undefined : await this.#jetstream.last('instances', subject, deadline);
      if (stored !== undefined && (await this.#valid(stored, deadline)) === undefined)
        await this.#jetstream.remove('instances', stored.seq, deadline);
    }
  }
}
