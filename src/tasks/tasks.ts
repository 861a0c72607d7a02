/**
 * The tasks of one instance: it creates them, owns them while their handlers run, and gives them back when it stops.
 * `take-over.ts` continues those that have no run. `wire.ts` answers clients.
 */
import { Budget } from '../budget.ts';
import { PendingWrites } from '../durable/pending-writes.ts';
import { requestDrained, rpcError, storeAway, taskTooLarge, tooManyTasks } from '../errors.ts';
import { CALL_BYTES, shareKey } from '../http/body.ts';
import { BODY_WEIGHT } from '../http/exchange.ts';
import type { MemoryUse } from '../http/slow-readers.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import { relayedFields } from '../options/header-names.ts';
import { base64url, elapse } from '../options/system.ts';
import { sentAuth, sentFields } from '../relay/sent-request.ts';
import type { Fence, StoredRecord } from '../stores/store.ts';
import { RECORD_VERSION } from '../stores/store.ts';
import { DUE_MS, type OwnTaskHost, OwnTask } from './own-task.ts';
import { bodyText, headText, type KeptTask, type TaskEnd, type TaskHead, type TaskSettings } from './task-record.ts';
import { type RunHost, TaskRun } from './task-run.ts';
import { TaskStore, type TaskStoreOptions } from './task-store.ts';

const BODY_BYTES = 262_144;
/** Tasks of a user that have not ended, and those of all callers without a user. */
const OPEN_TASKS = 1_000;
const OPEN_ANONYMOUS = 100_000;
/** Handlers of tasks that run here, of which one user gets at most half of what is free. */
const RUNNING_TASKS = 1_000;
const NONCE_BYTES = 12;
const CLOSE_POLL_MS = 10;

export interface TaskInstance {
  readonly lease: { readonly owner: string; readonly valid: boolean; readonly ownersMayReturn: boolean };
  /** Rings the instance that owns a task: it reads the task again. */
  look(to: string, id: string): Promise<boolean>;
}

/** What the tools of the server say about themselves. */
export interface TaskHints {
  /** Whether the tool may run twice; `undefined`: this build does not know the tool. */
  mayRunTwice(kept: KeptTask, user: string | null): Promise<boolean | undefined>;
}

export interface TasksOptions extends TaskStoreOptions {
  readonly instance: TaskInstance;
  readonly runner: TaskHints;
  /** Charged for runs that no client waits for. */
  readonly memory: MemoryUse;
}

/** A stored task that this instance has claimed. */
export interface ClaimedTask {
  readonly record: StoredRecord;
  readonly kept: KeptTask;
  readonly head: TaskHead;
  readonly fence: Fence;
  readonly restMs: number;
  readonly steps: StoredRecord | undefined;
}

export class Tasks implements RunHost, OwnTaskHost {
  readonly #given: TasksOptions;
  readonly options: ResolvedOptions;
  readonly store: TaskStore;
  readonly writes: PendingWrites;
  readonly #runs = new Map<string, TaskRun>();
  readonly #places: Budget;
  #released: (id: string) => void = () => {};
  #isDraining = false;
  #stopped = false;

  constructor(given: TasksOptions) {
    const { options } = given;
    this.#given = given;
    this.options = options;
    this.store = new TaskStore(given);
    this.writes = new PendingWrites(options.timeProvider);
    this.#places = new Budget(RUNNING_TASKS, options.limits.userShare);
  }

  get lease(): TaskInstance['lease'] {
    return this.#given.instance.lease;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Whether tasks that have no run continue here. */
  get takes(): boolean {
    return !this.#isDraining && this.lease.valid && this.#places.used < this.#places.size;
  }

  find(id: string): TaskRun | undefined {
    return this.#runs.get(id);
  }

  /** Runs that a drain waits for: their handlers do not run again. */
  get held(): number {
    let count = 0;
    for (const { resumes } of this.#runs.values()) if (resumes !== true) count += 1;
    return count;
  }

  // ——— a call becomes a task ———

  async create(run: TaskRun, settings: TaskSettings): Promise<OwnTask> {
    if (this.#isDraining) throw requestDrained(false);
    if (!this.#places.take(1, run.share)) throw tooManyTasks('This instance', RUNNING_TASKS);
    try {
      return await this.#create(run, settings);
    } catch (cause) {
      this.settled(run);
      throw cause;
    }
  }

  async #create(run: TaskRun, settings: TaskSettings): Promise<OwnTask> {
    const { caller, request, version } = run;
    const { user, authInfo } = caller;
    const tool = String(request.params?.['name']);
    const most = user === undefined ? OPEN_ANONYMOUS : OPEN_TASKS;
    if ((await this.store.open(user)) >= most) throw tooManyTasks('This user', most);
    const fields = sentFields(caller, relayedFields(this.options.relayedHeaders, this.options.credentialHeaders));
    const nonce = base64url(this.#given.random(NONCE_BYTES));
    const auth = authInfo && sentAuth(authInfo);
    const kept: KeptTask = { ...settings, tool, request, version, fields, auth, nonce };
    const body = bodyText(kept);
    if (Buffer.byteLength(body) > BODY_BYTES) throw taskTooLarge(tool, BODY_BYTES);
    const id = await this.store.newId(user);
    await this.untilLeaseValid();
    return this.#store(run, kept, body, id);
  }

  async #store(run: TaskRun, kept: KeptTask, body: string, id: string): Promise<OwnTask> {
    const fence = { epoch: 1, owner: this.lease.owner };
    const now = this.options.timeProvider.now();
    const head: TaskHead = { state: 'running', attempt: 1, round: 1 };
    const texts = { head: headText(head), body, fields: {} };
    const user = run.caller.user ?? null;
    const record = { v: RECORD_VERSION, id, ...fence, user, ...texts, createdAt: now, stamp: now };
    let tries = 0;
    const made = await this.store.reach(() => {
      tries += 1;
      return this.store.records.create(record, kept.ttlMs, DUE_MS);
    });
    // No id comes twice, so an earlier try has made it whose reply was lost.
    if (made === 'exists' && tries === 1) throw storeAway('a task with a new id exists');
    const stored: StoredRecord = { ...record, expiresAt: null, dueAt: null, rung: 0 };
    return this.own(run, { record: stored, kept, head, fence, restMs: kept.ttlMs, steps: undefined });
  }

  /** No id owns a task before its lease is stored: another instance would find its owner dead. */
  async untilLeaseValid(): Promise<void> {
    await this.store.reach(() => {
      if (!this.lease.valid) throw storeAway('this instance takes its lease');
    });
  }

  settled({ share, charged }: TaskRun): void {
    this.#places.charge(-1, share);
    if (charged > 0) this.#given.memory.give(charged, share);
  }

  own(run: TaskRun, { record, ...of }: ClaimedTask): OwnTask {
    const task = new OwnTask(this, run, record, of);
    this.#runs.set(task.id, run);
    return task;
  }

  /** The run of a task that this instance has claimed; `undefined`: there is no room for it. */
  restart(claimed: ClaimedTask, request: TaskRun['request']): TaskRun | undefined {
    const { record, kept } = claimed;
    const fields = { ...kept.fields, user: record.user ?? undefined };
    const asked = { fields, authInfo: kept.auth, request, version: kept.version };
    const charged = CALL_BYTES + record.body.length * BODY_WEIGHT;
    const share = shareKey(fields.user);
    if (!this.#places.take(1, share)) return undefined;
    this.#given.memory.charge(charged, share);
    return new TaskRun(asked, this, (run) => this.own(run, claimed), charged);
  }

  // ——— what a task says of itself ———

  over({ id }: OwnTask): void {
    this.#runs.delete(id);
  }

  /** `released`: continues a task that has no run. */
  onReleased(released: (id: string) => void): void {
    this.#released = released;
  }

  released(id: string): void {
    if (this.takes) this.#released(id);
  }

  /** A task was answered or ended, perhaps elsewhere. */
  ring(id: string, owner: string | null): void {
    const run = this.#runs.get(id);
    if (run?.task !== undefined) this.#look(run.task);
    else if (owner !== null && owner !== this.lease.owner)
      this.writes.add(
        () => this.#given.instance.look(owner, id),
        () => {},
      );
  }

  /** Another instance rang. */
  rung(id: string): void {
    const task = this.#runs.get(id)?.task;
    if (task !== undefined) this.#look(task);
  }

  #look(task: OwnTask): void {
    this.writes.add(
      () => task.look(),
      (err) => this.options.logger.debug({ err }, 'A task could not be read'),
    );
  }

  /** Ends a task, wherever it runs. `false`: it had ended. */
  async end(id: string, end: TaskEnd): Promise<boolean> {
    const owner = await this.store.end(id, end);
    if (owner === undefined) return false;
    const run = this.#runs.get(id);
    if (run === undefined) this.ring(id, owner);
    else run.stop(`it is ${end.status}`);
    return true;
  }

  // ——— the instance ———

  /** The lease was renewed, or this instance has a new id. */
  extended(): void {
    for (const { task } of this.#runs.values()) task?.reclaim();
  }

  /** Asks what may run again to stop, and gives it back when its handler has settled. */
  drain(): void {
    this.#isDraining = true;
    for (const run of this.#runs.values()) {
      if (run.resumes === true) run.drain();
      else if (run.resumes === undefined && run.task !== undefined) this.#drainIfHinted(run, run.task);
    }
  }

  #drainIfHinted(run: TaskRun, { kept, user }: OwnTask): void {
    const asked = async (): Promise<void> => {
      if ((await this.#given.runner.mayRunTwice(kept, user)) === true) run.drain();
    };
    this.writes.add(asked, (err) => this.options.logger.debug({ err }, 'A task could not be read'));
  }

  /** Gives back what may run again, and ends the rest. Resolves when everything is stored. */
  async close(graceMs: number): Promise<void> {
    const { timeProvider: time } = this.options;
    this.drain();
    const until = time.monotonic() + graceMs;
    while (this.#runs.size > 0 && time.monotonic() < until) await elapse(time, CLOSE_POLL_MS);
    for (const run of this.#runs.values()) run.close(rpcError(requestDrained()));
    await this.writes.stored();
    this.#stopped = true;
  }
}
