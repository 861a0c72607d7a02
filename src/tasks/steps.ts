/**
 * What the runs of one task have recorded: results of steps, and the state of the task. A record of the kind `STEPS`,
 * with the id of the task and its own owner, so that a run that has lost its task records nothing more. Created
 * with the first value. The next run claims it.
 */
import { OwnedRecord } from '../owned/owned-record.ts';
import { overMemory, stepInvalid } from '../errors.ts';
import type { KeptRecords } from '../kept/kept-records.ts';
import { type MaybePromise, RECORD_VERSION, type StoredRecord } from '../stores/store.ts';
import { heldBytes, type RunBytes } from './run-bytes.ts';
import { FIELD_NAME, isFieldName } from './task-record.ts';

const MOST_BYTES = 1_048_576;
const MOST_VALUES = 1_000;
const OVER = 'is not recorded: another instance runs its task, or that has ended';

export interface StepsHost {
  readonly records: () => KeptRecords;
  /** This instance. */
  readonly owner: () => string;
  /** ms since 1970. */
  readonly now: () => number;
  /** How long the task lasts from now, in ms. */
  readonly restMs: () => number;
  /** Repeats a write while the store is away, until `stopped` says so. */
  reach<T>(work: () => MaybePromise<T>, stopped?: () => boolean): Promise<T>;
  /** Another instance has the task. */
  lost(): void;
  /** The run of the task is over: what its handler still does is not recorded. */
  isOver(): boolean;
  readonly bytes: RunBytes;
}

/** The result of a step, or a value of the state. */
export type StepKind = 's' | 't';

export class Steps {
  readonly #id: string;
  readonly #user: string | null;
  readonly #host: StepsHost;
  /** What this run may read: the state, and what earlier runs have recorded. */
  readonly #values: Map<string, string>;
  /** The bytes of every recorded value. */
  readonly #sizes = new Map<string, number>();
  #owned: OwnedRecord | undefined;
  #bytes = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** `claimed`: what earlier runs have recorded. */
  constructor(id: string, user: string | null, host: StepsHost, claimed?: StoredRecord) {
    this.#id = id;
    this.#user = user;
    this.#host = host;
    this.#values = new Map(Object.entries(claimed?.fields ?? {}));
    for (const [name, json] of this.#values) this.#resize(name, sizeOf(name, json));
    if (claimed === undefined) return;
    // This instance may have another id by now.
    this.#owned = new OwnedRecord(host.records, id, { epoch: claimed.epoch, owner: claimed.owner ?? host.owner() });
  }

  #resize(field: string, size: number): void {
    this.#bytes += size - (this.#sizes.get(field) ?? 0);
    this.#sizes.set(field, size);
  }

  /** JSON; `undefined`: nothing is recorded. */
  get(kind: StepKind, name: string): string | undefined {
    return this.#values.get(kind + name);
  }

  /** Throws for a name or a value that cannot be recorded, before anything runs. */
  checkName(kind: StepKind, name: unknown): asserts name is string {
    if (typeof name !== 'string' || !isFieldName(name))
      throw stepInvalid(String(name), `needs another name: a name has ${FIELD_NAME}`);
    if (this.#sizes.has(kind + name)) return;
    // Its effect could not be recorded.
    if (this.#host.isOver()) throw stepInvalid(name, OVER);
    if (this.#sizes.size >= MOST_VALUES)
      throw stepInvalid(name, `is one too many: a task records ${MOST_VALUES} steps and values`);
  }

  /** Resolves when the value is stored. */
  async record(kind: StepKind, name: string, json: string): Promise<void> {
    if (this.#host.isOver()) throw stepInvalid(name, OVER);
    const field = kind + name;
    const size = sizeOf(field, json);
    const bytes = this.#bytes + size - (this.#sizes.get(field) ?? 0);
    if (bytes > MOST_BYTES)
      throw stepInvalid(name, `has no room: a task records ${MOST_BYTES} bytes, and this makes ${bytes}`);
    const held = heldBytes(field, json);
    const { bytes: memory } = this.#host;
    if (!memory.take(held)) throw overMemory();
    this.#resize(field, size);
    const before = kind === 't' ? this.#values.get(field) : undefined;
    if (kind === 't') this.#values.set(field, json);
    const stored = this.#last
      .catch(() => {})
      .then(() => this.#store({ [field]: json }))

      .finally(() => memory.give(kind === 's' ? held : before === undefined ? 0 : heldBytes(field, before)));
    this.#last = stored;
    if (!(await stored)) throw stepInvalid(name, OVER);
  }

  /** `false`: another instance has it, or it has ended. */
  async #store(fields: Readonly<Record<string, string>>): Promise<boolean> {
    const { records, reach, lost, isOver } = this.#host;
    if (this.#owned === undefined && (await this.#create(fields))) {
      if (!isOver()) return true;
      await this.#end();
      return false;
    }
    const owned = this.#owned;
    const change = { fields };
    const saved = owned && (await reach(() => owned.write((fence) => records().save(this.#id, fence, change)), isOver));
    const isStored = saved === 'written' || saved === 'rung';
    if (!isStored) lost();
    return isStored;
  }

  /** `false`: it exists. A reply may have been lost, and then this instance owns it. */
  async #create(fields: Readonly<Record<string, string>>): Promise<boolean> {
    const { records, reach, owner, now, restMs, isOver, bytes } = this.#host;
    const fence = { epoch: 1, owner: owner() };
    const at = now();
    const record = { v: RECORD_VERSION, id: this.#id, ...fence, user: this.#user, head: '', body: '', createdAt: at };
    const made = await reach(
      () => records().create({ ...record, fields, stamp: at }, restMs(), null, bytes.share),
      isOver,
    );
    this.#owned = new OwnedRecord(records, this.#id, fence);
    return made === 'created';
  }

  /** This instance has a new id. */
  reclaim(lease: { readonly owner: string }): void {
    this.#owned?.reclaim(lease, this.#host.lost, () => {});
  }

  lose(): void {
    this.#owned?.lose();
    this.#host.records().lost(this.#id);
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
