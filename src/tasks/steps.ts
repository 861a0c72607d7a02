/**
 * What the runs of one task have recorded: results of steps, and the state of the task. A record of the kind `STEPS`,
 * with the id of the task and its own owner, so that a run that has lost its task records nothing more. Created
 * with the first value. The next run claims it.
 */
import { OwnedRecord } from '../durable/owned-record.ts';
import { stepInvalid } from '../errors.ts';
import { type MaybePromise, RECORD_VERSION, type Records, type StoredRecord } from '../stores/store.ts';

const MOST_BYTES = 1_048_576;
const MOST_VALUES = 1_000;
const NAME_BYTES = 200;
const OVER = 'is not recorded: another instance runs its task, or that has ended';

export interface StepsHost {
  readonly records: () => Records;
  /** This instance. */
  readonly owner: () => string;
  /** ms since 1970. */
  readonly now: () => number;
  /** How long the task lasts from now, in ms. */
  readonly restMs: () => number;
  /** Repeats a write while the store is away. */
  reach<T>(work: () => MaybePromise<T>): Promise<T>;
  /** Another instance has the task. */
  lost(): void;
  /** The run of the task is over: what its handler still does is not recorded. */
  isOver(): boolean;
}

/** The result of a step, or a value of the state. */
export type StepKind = 's' | 't';

export class Steps {
  readonly #id: string;
  readonly #user: string | null;
  readonly #host: StepsHost;
  readonly #values: Map<string, string>;
  #owned: OwnedRecord | undefined;
  #bytes = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** `claimed`: what earlier runs have recorded. */
  constructor(id: string, user: string | null, host: StepsHost, claimed?: StoredRecord) {
    this.#id = id;
    this.#user = user;
    this.#host = host;
    this.#values = new Map(Object.entries(claimed?.fields ?? {}));
    for (const [name, json] of this.#values) this.#bytes += sizeOf(name, json);
    if (claimed === undefined) return;
    const fence = { epoch: claimed.epoch, owner: host.owner() };
    this.#owned = new OwnedRecord(host.records, id, fence);
  }

  /** JSON; `undefined`: nothing is recorded. */
  get(kind: StepKind, name: string): string | undefined {
    return this.#values.get(kind + name);
  }

  /** Throws for a name or a value that cannot be recorded, before anything runs. */
  checkName(kind: StepKind, name: unknown): asserts name is string {
    if (typeof name !== 'string' || name === '') throw stepInvalid(String(name), 'needs a name');
    if (Buffer.byteLength(name) > NAME_BYTES)
      throw stepInvalid(name.slice(0, 40), `has a name of more than ${NAME_BYTES} bytes`);
    if (!this.#values.has(kind + name) && this.#values.size >= MOST_VALUES)
      throw stepInvalid(name, `is one too many: a task records ${MOST_VALUES} steps and values`);
  }

  /** Resolves when the value is stored. */
  record(kind: StepKind, name: string, json: string): Promise<void> {
    if (this.#host.isOver()) return Promise.reject(stepInvalid(name, OVER));
    const field = kind + name;
    const before = this.#values.get(field);
    const bytes = this.#bytes + sizeOf(field, json) - (before === undefined ? 0 : sizeOf(field, before));
    if (bytes > MOST_BYTES)
      return Promise.reject(
        stepInvalid(name, `has no room: a task records ${MOST_BYTES} bytes, and this makes ${bytes}`),
      );
    this.#bytes = bytes;
    this.#values.set(field, json);
    const stored = this.#last.catch(() => {}).then(() => this.#store(field, json));
    this.#last = stored;
    return stored;
  }

  async #store(field: string, json: string): Promise<void> {
    const { records, reach, lost, isOver } = this.#host;
    if (this.#owned === undefined && (await this.#create(field, json))) return isOver() ? this.#end() : undefined;
    const owned = this.#owned;
    const change = { fields: { [field]: json } };
    const saved = owned && (await reach(() => owned.write((fence) => records().save(this.#id, fence, change))));
    if (saved === 'written' || saved === 'rung') return;
    lost();
    throw stepInvalid(field.slice(1), OVER);
  }

  /** `false`: it exists. A reply may have been lost, and then this instance owns it. */
  async #create(field: string, json: string): Promise<boolean> {
    const { records, reach, owner, now, restMs } = this.#host;
    const fence = { epoch: 1, owner: owner() };
    const at = now();
    const record = { v: RECORD_VERSION, id: this.#id, ...fence, user: this.#user, head: '', body: '', createdAt: at };
    const made = await reach(() => records().create({ ...record, fields: { [field]: json }, stamp: at }, restMs()));
    this.#owned = new OwnedRecord(records, this.#id, fence);
    return made === 'created';
  }

  /** This instance has a new id. */
  reclaim(lease: { readonly owner: string }): void {
    this.#owned?.reclaim(lease, this.#host.lost, () => {});
  }

  /** Resolves when everything so far is stored, or could not be. */
  async settled(): Promise<void> {
    await this.#last.catch(() => {});
  }

  /** The next run may claim it. */
  async release(): Promise<void> {
    await this.settled();
    const owned = this.#owned;
    if (owned === undefined) return;
    const { records, reach } = this.#host;
    await reach(() => owned.write((fence) => records().save(this.#id, fence, { release: true })));
  }

  /** The task has ended. */
  async end(): Promise<void> {
    await this.settled();
    await this.#end();
  }

  async #end(): Promise<void> {
    const owned = this.#owned;
    if (owned === undefined) return;
    const { records, reach } = this.#host;
    await reach(() => owned.write((fence) => records().end(this.#id, fence, '', 0)));
  }
}

const sizeOf = (name: string, json: string): number => Buffer.byteLength(name) + Buffer.byteLength(json);
