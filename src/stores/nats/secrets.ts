/** Secrets of a deployment: made by the first who asks, and where they have a time, forgotten and made again. */
import type { RandomSource } from '../../options/system.ts';
import type { ServerClock } from './clock.ts';
import type { Bounds } from './bounds.ts';
import { contended, newerValue, unreadable } from './failures.ts';
import type { Stored } from './jetstream.ts';
import type { Names } from './names.ts';
import { NOWHERE, type Registers } from './registers.ts';

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
  readonly #registers: Registers;
  readonly #names: Names;
  readonly #clock: ServerClock;
  readonly #bounds: Bounds;
  readonly #random: RandomSource;

  constructor(registers: Registers, names: Names, clock: ServerClock, bounds: Bounds, random: RandomSource) {
    this.#registers = registers;
    this.#names = names;
    this.#clock = clock;
    this.#bounds = bounds;
    this.#random = random;
  }

  async get(name: string, keepMs: number | undefined): Promise<Uint8Array> {
    const deadline = this.#bounds.deadline();
    const subject = this.#names.secret(name);
    for (let tries = 0; tries < TRIES; tries++) {
      const read = await this.#registers.read('instances', subject, deadline);
      const found = read && (await this.#valid(read.stored, deadline));
      if (found !== undefined) return Buffer.from(found.secret, 'base64');
      const made = this.#random(BYTES);
      const secret = Buffer.from(made).toString('base64');
      const value: SecretValue = { v: VERSION, secret, ...(keepMs !== undefined && { keepMs }) };
      const body = Buffer.from(JSON.stringify(value));
      const written = await this.#registers.write('instances', subject, body, read?.spot ?? NOWHERE, deadline);
      if (written === undefined) continue;
      // What is left is removed with the next one.
      if (keepMs !== undefined) await this.#forget(subject, deadline).catch(() => undefined);
      return made;
    }
    throw contended(this.#registers.jetstream.link.where, 'a secret');
  }

  async #valid(stored: Stored, deadline: number): Promise<SecretValue | undefined> {
    if (stored.deleted) return undefined;
    const { where } = this.#registers.jetstream.link;
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
    const { jetstream } = this.#registers;
    for (const subject of (await jetstream.subjects('instances', this.#names.allSecrets, deadline)).keys()) {
      const read = subject === made ? undefined : await this.#registers.read('instances', subject, deadline);
      if (read !== undefined && (await this.#valid(read.stored, deadline)) === undefined)
        await this.#registers.erase('instances', subject, read.spot, deadline);
    }
  }
}
