/**
 * `session.state`: JSON texts in the record, one copy in the owner's memory. A change is acknowledged when it is
 * stored.
 */
import { stateTooLarge } from '../../errors.ts';
import type { SessionState } from '../../types.ts';

/** Stores a patch (`null` deletes) in the session's record; rejects when it could not. */
export interface StateRecord {
  storeState(patch: Readonly<Record<string, string | null>>): void | Promise<void>;
}

export class DurableState implements SessionState {
  readonly #values: Map<string, string>;
  readonly #record: StateRecord;
  readonly #limit: number;
  #bytes = 0;
  #reserved = 0;
  /** Updates run one after the other. */
  #updates: Promise<unknown> | undefined = undefined;

  constructor(initial: Readonly<Record<string, string>>, limit: number, record: StateRecord) {
    this.#values = new Map(Object.entries(initial));
    for (const [key, json] of this.#values) this.#bytes += sizeOf(key, json);
    this.#limit = limit;
    this.#record = record;
  }

  /** The record's form. */
  toRecord(): Record<string, string> {
    return Object.fromEntries(this.#values);
  }

  async get<T = unknown>(key: string): Promise<T | undefined> {
    const json = this.#values.get(key);
    return json === undefined ? undefined : (JSON.parse(json) as T);
  }

  async set(key: string, value: unknown): Promise<void> {
    checkKey(key);
    const json = toJson(key, value);
    const before = this.#values.get(key);
    const growth = sizeOf(key, json) - (before === undefined ? 0 : sizeOf(key, before));
    const bytes = this.#bytes + this.#reserved + growth;
    if (bytes > this.#limit) throw stateTooLarge(bytes, this.#limit);
    // Two changes at the same time must not exceed the limit together.
    this.#reserved += growth;
    try {
      await this.#record.storeState({ [key]: json });
      this.#put(key, json);
    } finally {
      this.#reserved -= growth;
    }
  }

  async delete(key: string): Promise<boolean> {
    if (!this.#values.has(key)) return false;
    await this.#record.storeState({ [key]: null });
    this.#put(key, undefined);
    return true;
  }

  update<T>(key: string, fn: (current: T | undefined) => T | Promise<T>): Promise<T> {
    const turn = (this.#updates ?? Promise.resolve()).then(async () => {
      const next = await fn(await this.get<T>(key));
      await this.set(key, next);
      return next;
    });
    this.#updates = turn.catch(() => {});
    return turn;
  }

  async entries(): Promise<Array<[string, unknown]>> {
    return [...this.#values].map(([key, json]): [string, unknown] => [key, JSON.parse(json)]);
  }

  #put(key: string, json: string | undefined): void {
    const before = this.#values.get(key);
    if (before !== undefined) this.#bytes -= sizeOf(key, before);
    if (json === undefined) {
      this.#values.delete(key);
    } else {
      this.#values.set(key, json);
      this.#bytes += sizeOf(key, json);
    }
  }
}

function checkKey(key: unknown): void {
  if (typeof key !== 'string' || key === '') {
    throw new TypeError(`session.state: a key is a non-empty string, not ${String(key)}`);
  }
}

function toJson(key: string, value: unknown): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) {
    throw new TypeError(
      `session.state: the value for ${JSON.stringify(key)} is not JSON (${typeof value}); use delete() to remove it`,
    );
  }
  return json;
}

function sizeOf(key: string, json: string): number {
  return Buffer.byteLength(key) + Buffer.byteLength(json);
}
