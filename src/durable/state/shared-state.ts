/** State that no instance owns, as handlers use it: of a user, or behind a handle. Each read is of the store. */
import { storeUnavailable, storeUnavailableForClients } from '../../base/errors.ts';
import { whileAway } from '../../session/record/pause.ts';
import { checkKey, computed, toJson } from '../../session/record/state.ts';
import type { Fields } from '../../stores/shared/record-change.ts';
import { isEnded, type MaybePromise } from '../../stores/store.ts';
import type { State } from '../../base/types.ts';
import { type Change, StateChange, type StateParts, type StateAddress } from './state-change.ts';

export class SharedState implements State {
  readonly #parts: StateParts;
  readonly #address: StateAddress;

  constructor(parts: StateParts, address: StateAddress) {
    this.#parts = parts;
    this.#address = address;
  }

  async get<T = unknown>(key: string): Promise<T | undefined> {
    const json = ownText(await this.#read(), key);
    return json === undefined ? undefined : (JSON.parse(json) as T);
  }

  async entries(): Promise<Array<[string, unknown]>> {
    const fields = Object.entries(await this.#read());
    return fields.map(([key, json]): [string, unknown] => [key, JSON.parse(json)]);
  }

  async set(key: string, value: unknown): Promise<void> {
    checkKey(this.#address.name, key);
    const json = toJson(this.#address.name, key, value);
    await this.#change(() => ({ fields: { [key]: json }, value: undefined }));
  }

  async delete(key: string): Promise<boolean> {
    return this.#change((fields) =>
      Object.hasOwn(fields, key) ? { fields: { [key]: null }, value: true } : { value: false },
    );
  }

  async update<T>(key: string, fn: (current: T | undefined) => T): Promise<T> {
    const { name } = this.#address;
    checkKey(name, key);
    return this.#change((fields): Change<T> => {
      const before = ownText(fields, key);
      const current = before === undefined ? undefined : (JSON.parse(before) as T);
      const value = computed(name, fn, current);
      return value === undefined
        ? { value }
        : { fields: { [key]: toJson(name, key, value) }, value };
    });
  }

  async #read(): Promise<Fields> {
    const { records, id } = this.#address;
    const found = await this.#reach(this.#parts.maxWaitMs, () => records.read(id));
    if (found !== undefined && !isEnded(found)) return found.fields;
    this.#address.absent(found);
    return {};
  }

  /** Changes of one record come one after the other here. The time in this queue counts in `maxWaitMs`. */
  #change<T>(make: (fields: Fields) => Change<T>): Promise<T> {
    const { time, maxWaitMs, turns } = this.#parts;
    const until = time.monotonic() + maxWaitMs;
    return turns.steps(this.#address.id, async () => {
      const restMs = until - time.monotonic();
      if (restMs < 0)
        throw storeUnavailable(`earlier changes of ${this.#address.name} still wait for it`);
      const change = new StateChange(this.#parts, this.#address, make);
      return this.#reach(restMs, () => change.run());
    });
  }

  #reach<T>(maxWaitMs: number, work: () => MaybePromise<T>): Promise<T> {
    return reached({ time: this.#parts.time, maxWaitMs }, this.#address.name, work);
  }
}

/** Repeats `work` while the store is away. A handler may pass the error on to its client. */
export async function reached<T>(
  { time, maxWaitMs }: Pick<StateParts, 'time' | 'maxWaitMs'>,
  name: string,
  work: () => MaybePromise<T>,
): Promise<T> {
  try {
    return await whileAway({ time, maxWaitMs, stopped: () => false }, work);
  } catch (cause) {
    throw storeUnavailableForClients(name, cause);
  }
}

/** Every object has a `constructor`. */
const ownText = (fields: Fields, key: string): string | undefined =>
  Object.hasOwn(fields, key) ? fields[key] : undefined;
