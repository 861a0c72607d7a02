/**
 * `session.state`: JSON texts in the record, one copy in the owner's memory. A change is acknowledged when it is
 * stored: the promise of a handler settles with the write. While the store is away, changes wait for it for at most
 * `maxWaitMs`. A change that is given up then is undone by the next write, because its own may have been stored.
 */
import {
  overMemory,
  stateTooLarge,
  storeUnavailableForClients,
  updateReturnedPromise,
} from '../../base/errors.ts';
import { isThenable } from '../../base/options/checks.ts';
import type { State } from '../../base/types.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { currentCall } from '../calls/call.ts';
import type { SessionHost } from './session-host.ts';
import { memoryOfState } from './memory.ts';

export const SESSION_STATE = 'session.state';

interface WritableRecord {
  saveField(kind: 's', key: string, value: string | null): void;
  /** Resolves with the error when the change is not stored. */
  readonly writes: { saved(): Promise<unknown> };
}

type StateHost = Pick<SessionHost, 'options' | 'held' | 'hold'>;

export class DurableState implements State {
  readonly #values: Map<string, string>;
  readonly #host: StateHost;
  readonly #ownership: SessionOwnership;
  readonly #record: WritableRecord;
  /** Whose share it counts in. */
  readonly #share: string;
  /** What the limit counts: of each key what it has, or the most that its changes would make it have. */
  #bytes = 0;
  /** The newest change of each key that is not stored yet. `null` deletes. */
  readonly #changing = new Map<string, { readonly json: string | null; readonly bytes: number }>();
  /** Charged to the memory budget. */
  #charged = 0;
  /** Some text has a character that is not Latin, which makes all of it twice as long in memory. */
  #isWide = false;
  /** Updates run one after the other. */
  #updates: Promise<unknown> | undefined = undefined;
  #isReadAtStart = false;

  constructor(
    initial: Readonly<Record<string, string>>,
    host: StateHost,
    ownership: SessionOwnership,
    record: WritableRecord,
    share: string,
  ) {
    this.#values = new Map(Object.entries(initial));
    this.#host = host;
    this.#ownership = ownership;
    this.#record = record;
    this.#share = share;
    for (const [key, json] of this.#values) this.#bytes += this.#sizeOf(key, json);
    this.#charged = this.#held(this.#bytes, 0);
    if (this.#charged > 0) host.held.sessions.charge(this.#charged, share);
  }

  /** Bytes in the memory budget. */
  get charged(): number {
    return this.#charged;
  }

  /** The session leaves. */
  release(): void {
    this.#host.held.sessions.give(this.#charged, this.#share);
    this.#charged = 0;
  }

  /** What texts of so many bytes take in memory, with one more key where `more` is 1. */
  #held(bytes: number, more: 0 | 1): number {
    return memoryOfState(bytes, this.#values.size + this.#changing.size + more, this.#isWide);
  }

  /** The record's form, with the changes that are not stored yet. */
  toRecord(): Record<string, string> {
    const newest = new Map<string, string | null>(this.#values);
    for (const [key, { json }] of this.#changing) newest.set(key, json);
    return Object.fromEntries(
      [...newest].filter((entry): entry is [string, string] => entry[1] !== null),
    );
  }

  /**
   * The factory of this session has read it, or its `oninitialized`, and it holds something now. Both run again in a
   * restore; from an empty state they make what they made before.
   */
  get remakesLists(): boolean {
    return this.#isReadAtStart && (this.#values.size > 0 || this.#changing.size > 0);
  }

  async get<T = unknown>(key: string): Promise<T | undefined> {
    this.#isReadAtStart ||= currentCall.getStore()?.id === undefined;
    const json = this.#values.get(key);
    return json === undefined ? undefined : (JSON.parse(json) as T);
  }

  async set(key: string, value: unknown): Promise<void> {
    checkKey(SESSION_STATE, key);
    await this.#write(key, toJson(SESSION_STATE, key, value));
  }

  async delete(key: string): Promise<boolean> {
    // A change that is not stored yet precedes this one.
    const { json } = this.#changing.get(key) ?? { json: this.#values.get(key) ?? null };
    if (json === null) return false;
    await this.#write(key, null);
    return true;
  }

  update<T>(key: string, fn: (current: T | undefined) => T): Promise<T> {
    const turn = (this.#updates ?? Promise.resolve()).then(async () => {
      const next = computed(SESSION_STATE, fn, await this.get<T>(key));
      if (next !== undefined) await this.set(key, next);
      return next;
    });
    this.#updates = turn.catch(() => {});
    return turn;
  }

  async entries(): Promise<Array<[string, unknown]>> {
    this.#isReadAtStart ||= currentCall.getStore()?.id === undefined;
    return [...this.#values].map(([key, json]): [string, unknown] => [key, JSON.parse(json)]);
  }

  async #write(key: string, json: string | null): Promise<void> {
    const counted = this.#changing.get(key)?.bytes ?? this.#stored(key);
    // Until it is stored, the smaller value frees nothing: it may fail.
    const change = { json, bytes: Math.max(counted, json === null ? 0 : this.#sizeOf(key, json)) };
    this.#resize(this.#bytes + change.bytes - counted, 1);
    this.#changing.set(key, change);
    this.#record.saveField('s', key, json);
    const failure = await this.#record.writes.saved();
    if (failure === undefined) {
      if (json === null) this.#values.delete(key);
      else this.#values.set(key, json);
    }
    if (this.#changing.get(key) === change) {
      this.#changing.delete(key);
      this.#resize(this.#bytes + this.#stored(key) - change.bytes, 0);
      if (failure !== undefined) this.#record.saveField('s', key, this.#values.get(key) ?? null);
    }
    if (failure !== undefined) this.#failed(failure);
  }

  #stored(key: string): number {
    const json = this.#values.get(key);
    return json === undefined ? 0 : this.#sizeOf(key, json);
  }

  /** Throws where there is no room for more bytes. `more`: they may be of one more key. */
  #resize(bytes: number, more: 0 | 1): void {
    const grows = bytes > this.#bytes;
    const limit = this.#host.options.limits.stateBytes;
    if (grows && bytes > limit) throw stateTooLarge(bytes, limit);
    const change = this.#held(bytes, more) - this.#charged;
    const isTaken = change > 0 && grows && !this.#ownership.left;
    if (isTaken && !this.#host.hold(change, this.#charged, this.#share)) throw overMemory();
    // Idle sessions make room, and this one may be among them.
    if (isTaken && this.#ownership.left) this.#host.held.sessions.give(change, this.#share);
    else if (isTaken || change < 0) this.#charged += change;
    if (change < 0) this.#host.held.sessions.give(-change, this.#share);
    this.#bytes = bytes;
  }

  #sizeOf(key: string, json: string): number {
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(json);
    if (bytes > key.length + json.length) this.#isWide = true;
    return bytes;
  }

  /** A handler may pass a caught error to its client, so details that only operators should read go to the log. */
  #failed(err: unknown): never {
    const told = storeUnavailableForClients('session.state', err);
    // Every other error reaches the handler unchanged, above all that another instance owns the session.
    if (told !== err) {
      const { sessionId } = this.#ownership;
      this.#host.options.logger.error(
        { err, sessionId },
        'A change of session.state could not be stored',
      );
    }
    throw told;
  }
}

export function checkKey(of: string, key: unknown): void {
  if (typeof key !== 'string' || key === '') {
    throw new TypeError(`${of}: a key is a non-empty string, not ${String(key)}`);
  }
}

/** What the function of an update makes of the stored value. A promise is refused. */
export function computed<T>(
  of: string,
  fn: (current: T | undefined) => T,
  current: T | undefined,
): T {
  const value = fn(current);
  if (!isThenable(value)) return value;
  value.then(undefined, () => undefined);
  throw updateReturnedPromise(of);
}

export function toJson(of: string, key: string, value: unknown): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) {
    throw new TypeError(
      `${of}: the value for ${JSON.stringify(key)} is not JSON (${typeof value}); use delete() to remove it`,
    );
  }
  return json;
}
