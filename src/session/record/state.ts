/**
 * `session.state`: JSON texts in the record, one copy in the owner's memory. A change is acknowledged when it is
 * stored: the promise of a handler settles with the write. While the store is away, changes wait for it for at most
 * `waitMs`, one after the other.
 */
import { overMemory, sessionGone, stateTooLarge, storeAwayForClients } from '../../errors.ts';
import type { RecordChange } from '../../stores/store.ts';
import type { SessionState } from '../../types.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import { currentCall } from '../calls/call.ts';
import type { SessionHost } from '../session-host.ts';
import { isStoreAway, whileAway } from './pause.ts';
import { memoryOfState } from './memory.ts';
import { stateField } from './session-record.ts';

interface WritableRecord {
  /** Whether there is a record to write to. */
  readonly exists: boolean;
  readonly creating: Promise<unknown> | undefined;
  saveOrThrow(change: RecordChange): void | Promise<void>;
}

type StateHost = Pick<SessionHost, 'options' | 'held' | 'hold'>;

export class DurableState implements SessionState {
  readonly #values: Map<string, string>;
  readonly #host: StateHost;
  readonly #ownership: SessionOwnership;
  readonly #record: WritableRecord;
  /** Whose share it counts in. */
  readonly #share: string;
  /** What the limit counts: of each key what it has, or the most that a write under way would make it have. */
  #bytes = 0;
  /** Keys with writes under way. Until the last one has ended, none of them gives bytes back. */
  readonly #writing = new Map<string, { writes: number; charged: number }>();
  /** Charged to the memory budget. */
  #charged = 0;
  /** Some text has a character that is not Latin, which makes all of it twice as long in memory. */
  #isWide = false;
  /** Updates run one after the other. */
  #updates: Promise<unknown> | undefined = undefined;
  /** Changes that wait for the store. */
  #waiting: Promise<void> | undefined = undefined;
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
    this.#charged = this.#held(this.#bytes);
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
  #held(bytes: number, more: 0 | 1 = 0): number {
    return memoryOfState(bytes, this.#values.size + this.#writing.size + more, this.#isWide);
  }

  /** The record's form. */
  toRecord(): Record<string, string> {
    return Object.fromEntries(this.#values);
  }

  /**
   * The factory of this session has read it, or its `oninitialized`, and it holds something now. Both run again in a
   * restore; from an empty state they make what they made before.
   */
  get remakesLists(): boolean {
    return this.#isReadAtStart && (this.#values.size > 0 || this.#writing.size > 0);
  }

  async get<T = unknown>(key: string): Promise<T | undefined> {
    this.#isReadAtStart ||= currentCall.getStore()?.id === undefined;
    const json = this.#values.get(key);
    return json === undefined ? undefined : (JSON.parse(json) as T);
  }

  async set(key: string, value: unknown): Promise<void> {
    checkKey(key);
    await this.#write(key, toJson(key, value));
  }

  async delete(key: string): Promise<boolean> {
    if (!this.#values.has(key)) return false;
    await this.#write(key, null);
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
    this.#isReadAtStart ||= currentCall.getStore()?.id === undefined;
    return [...this.#values].map(([key, json]): [string, unknown] => [key, JSON.parse(json)]);
  }

  /** `null` deletes. */
  async #write(key: string, json: string | null): Promise<void> {
    this.#charge(key, json === null ? 0 : this.#sizeOf(key, json));
    try {
      await this.#store(key, json);
      if (json === null) this.#values.delete(key);
      else this.#values.set(key, json);
    } finally {
      this.#settle(key);
    }
  }

  /** Changes at the same time must not exceed the limit together, and a write of a smaller value may fail. */
  #charge(key: string, bytes: number): void {
    const writing = this.#writing.get(key) ?? { writes: 0, charged: this.#stored(key) };
    const growth = Math.max(0, bytes - writing.charged);
    const sum = this.#bytes + growth;
    const limit = this.#host.options.limits.stateBytes;
    if (growth > 0 && sum > limit) throw stateTooLarge(sum, limit);
    const more = this.#held(sum, 1) - this.#charged;
    if (growth > 0 && more > 0 && !this.#ownership.left) {
      if (!this.#host.hold(more, this.#charged, this.#share)) throw overMemory();
      this.#charged += more;
    }
    writing.writes += 1;
    writing.charged += growth;
    this.#bytes = sum;
    this.#writing.set(key, writing);
  }

  /** A write has ended, stored or not. */
  #settle(key: string): void {
    const writing = this.#writing.get(key);
    if (writing === undefined) return;
    writing.writes -= 1;
    if (writing.writes > 0) return;
    this.#writing.delete(key);
    this.#bytes += this.#stored(key) - writing.charged;
    const less = this.#charged - this.#held(this.#bytes);
    if (less <= 0) return;
    this.#host.held.sessions.give(less, this.#share);
    this.#charged -= less;
  }

  #stored(key: string): number {
    const json = this.#values.get(key);
    return json === undefined ? 0 : this.#sizeOf(key, json);
  }

  #sizeOf(key: string, json: string): number {
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(json);
    if (bytes > key.length + json.length) this.#isWide = true;
    return bytes;
  }

  async #store(key: string, json: string | null): Promise<void> {
    if (!this.#record.exists) {
      // The record will be stored with it.
      if (this.#record.creating === undefined) return;
      await this.#record.creating.catch(() => {});
      if (!this.#record.exists) throw sessionGone(this.#ownership.sessionId, 'closed');
    }
    const [name, value] = stateField([key, json]);
    const change: RecordChange = { fields: { [name]: value } };
    if (this.#waiting !== undefined) return this.#storeLater(change);
    try {
      await this.#record.saveOrThrow(change);
    } catch (cause) {
      if (!isStoreAway(cause)) this.#failed(cause);
      return this.#storeLater(change);
    }
  }

  #storeLater(change: RecordChange): Promise<void> {
    const { timeProvider: time, waitMs } = this.#host.options;
    const wait = { time, waitMs, stopped: () => this.#ownership.left };
    const stored = (this.#waiting ?? Promise.resolve()).then(() =>
      whileAway(wait, () => this.#record.saveOrThrow(change)),
    );
    const clear = (): void => {
      if (this.#waiting === settled) this.#waiting = undefined;
    };
    const settled: Promise<void> = stored.then(clear, clear);
    this.#waiting = settled;
    return stored.catch((cause: unknown) => this.#failed(cause));
  }

  /** A handler may pass a caught error to its client, so details that only operators should read go to the log. */
  #failed(err: unknown): never {
    const told = storeAwayForClients('session.state', err);
    // Every other error reaches the handler unchanged, above all that another instance owns the session.
    if (told !== err) {
      const { sessionId } = this.#ownership;
      this.#host.options.logger.error({ err, sessionId }, 'A change of session.state could not be stored');
    }
    throw told;
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
