/**
 * The tasks of one instance: it creates them, owns them while their handlers run, and gives them back when it stops.
 * `take-over.ts` continues those that have no run. `task-requests.ts` answers clients.
 */
import { EventEmitter } from 'node:events';
import { Budget, type MemoryUse, storedShare } from '../../base/budget.ts';
import type { OwnedParts } from '../records/owned-records.ts';
import {
  onceConflict,
  requestDrained,
  rpcError,
  storeUnavailable,
  taskTooLarge,
  tooManyTasks,
} from '../../base/errors.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { relayedFields } from '../../base/options/header-names.ts';
import { elapse } from '../../base/system.ts';
import { argumentsHash } from '../records/call-key.ts';
import type { ResolvedTasks } from '../../base/options/tasks-options.ts';
import { sentAuth, storedFields } from '../../cluster/relay/sent-request.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import { type Ownership, RECORD_VERSION, type StoredRecord } from '../../stores/store.ts';
import { type ClaimedTask, DUE_MS, OwnedTask } from './owned-task.ts';
import type { RunRequest } from './run-sink.ts';
import { bodyText, type GivenSettings, headText, type TaskBody } from './task-record.ts';
import type { TaskEnd, TaskHead } from './task-record.ts';
import { TaskRun, type TaskRunner } from './task-run.ts';
import { laterRunBytes, RunRoom } from './run-room.ts';
import { NOTHING_RECORDED } from './steps.ts';
import { argsOf, type TaskKey, TaskStore } from './task-store.ts';
import { type DetailedTask, shownTask } from './wire-shapes.ts';

const BODY_BYTES = 262_144;
/** A record of a key that comes and goes is looked for so often. */
const TRIES = 8;
const CLOSE_POLL_MS = 10;

export class Tasks {
  readonly #given: OwnedParts;
  readonly options: ResolvedOptions;
  readonly settings: ResolvedTasks;
  readonly store: TaskStore;
  readonly memory: MemoryUse;
  readonly #runs = new Map<string, TaskRun>();
  /** Handlers of tasks that run here, and how many may. */
  readonly places: Budget;
  /** Creations under way, by the group of their user: the store may count them or not. */
  readonly #making = new Budget(Infinity, 1);
  /** Calls of one key, one after the other: those that follow find the task of the first one. */
  readonly #turns = new RecordQueues();
  /** Ids whose creation failed, until nothing is stored of it. */
  readonly #takenBack = new Set<string>();
  /** Emits the id of a task whose run here has asked its client, or is over, once that is stored. */
  readonly changes: EventEmitter = new EventEmitter().setMaxListeners(0);
  #runner: TaskRunner | undefined;
  #isDraining = false;

  constructor(given: OwnedParts, settings: ResolvedTasks) {
    const { options } = given;
    this.#given = given;
    this.settings = settings;
    this.options = options;
    this.memory = given.memory;
    this.store = new TaskStore(given);
    this.places = new Budget(options.limits.runningTasks, options.limits.userShare);
  }

  get directory(): OwnedParts['directory'] {
    return this.#given.directory;
  }

  /** Whether tasks that have no run continue here. */
  get takes(): boolean {
    return !this.#isDraining && this.store.lease.valid && this.places.used < this.places.size;
  }

  serveWith(runner: TaskRunner): void {
    this.#runner = runner;
  }

  serve(run: TaskRun): void {
    this.#runner?.serveUnattended(run);
  }

  roomFor(share: string): RunRoom {
    return new RunRoom(this.places, this.memory, share);
  }

  /**
   * Whether the task runs here, or is about to: its key leads others to it before the reply to its creation comes. Or
   * its creation failed, although the store may have it.
   */
  holds(id: string): boolean {
    return this.#runs.has(id) || this.#turns.last.has(id) || this.#takenBack.has(id);
  }

  /** Runs that a drain waits for: their handlers do not run again. */
  get awaitedByDrain(): number {
    return [...this.#runs.values()].filter(({ resumes }) => !resumes).length;
  }

  // ——— a call becomes a task ———

  /** The task of an earlier call with the same key, if there is one. */
  async create(
    run: TaskRun,
    given: GivenSettings,
    key?: TaskKey,
  ): Promise<OwnedTask | DetailedTask> {
    if (this.#isDraining) throw requestDrained(false);
    const kept = this.#keptOf(run, given);
    const id = await this.store.idOf(run.caller.userKey, kept.tool, key);
    const args = key && argumentsHash(id, key.args);
    return this.#turns.steps(id, async () => {
      if (this.#takenBack.has(id))
        throw storeUnavailable('the task of an earlier call with this key is being removed');
      for (let tries = 0; tries < TRIES; tries++) {
        const known = args === undefined ? undefined : await this.#known(id, args);
        const made = known ?? (await this.#inPlace(run, { ...kept, args }, id));
        if (made !== undefined) return made;
      }
      throw storeUnavailable('the task of a call has ended before its own instance knew of it');
    });
  }

  async #known(id: string, args: string): Promise<DetailedTask | undefined> {
    const found = await this.store.read(id);
    if (found === undefined) return undefined;
    if (argsOf(found) !== args) throw onceConflict();
    return shownTask(id, found).task;
  }

  async #inPlace(run: TaskRun, kept: TaskBody, id: string): Promise<OwnedTask | undefined> {
    if (!run.room.enter())
      throw tooManyTasks('This instance', 'runningTasks', this.options.limits.runningTasks);
    let task: OwnedTask | undefined;
    try {
      task = await this.#create(run, kept, id);
      if (this.#isDraining && task?.kept.afterCrash === 'run') run.drain();
      return task;
    } finally {
      if (task === undefined) run.room.leave();
    }
  }

  #keptOf({ caller, request, version }: TaskRun, given: GivenSettings): TaskBody {
    const { authInfo: authorize } = this.settings;
    return {
      ...given,
      tool: String(request.params?.['name']),
      version,
      fields: storedFields(caller, relayedFields(this.options.relayedHeaders)),
      auth:
        authorize === undefined && caller.authInfo !== undefined
          ? sentAuth(caller.authInfo)
          : undefined,
    };
  }

  /** `undefined`: there is a task with this id. */
  async #create(run: TaskRun, kept: TaskBody, id: string): Promise<OwnedTask | undefined> {
    const { userKey: user } = run.caller;
    const { limits, perUser } = this.options;
    const body = bodyText(kept, run.request);
    if (Buffer.byteLength(body) > BODY_BYTES) throw taskTooLarge(kept.tool, BODY_BYTES);
    const most = user === undefined ? limits.anonymousTasks : perUser.tasks;
    const group = await this.store.group(user);
    const before = this.#making.heldBy(group);
    this.#making.charge(1, group);
    try {
      const count = await this.store.reach(() => this.store.records.count(group));
      if (count + before >= most)
        throw user === undefined
          ? tooManyTasks('All callers without a user together', 'anonymousTasks', most)
          : tooManyTasks('This user', 'perUser.tasks', most);
      await this.store.leased();
      if (this.#isDraining) throw requestDrained(false);
      return await this.#store(run, kept, body, id);
    } finally {
      this.#making.charge(-1, group);
    }
  }

  async #store(
    run: TaskRun,
    kept: TaskBody,
    body: string,
    id: string,
  ): Promise<OwnedTask | undefined> {
    const epoch = kept.args === undefined ? 1 : this.store.newEpoch();
    const fence = { epoch, owner: this.store.lease.owner };
    const now = this.options.timeProvider.now();
    const head: TaskHead = { state: 'running', attempt: 1 };
    const texts = { head: headText(head), body, fields: {} };
    const user = run.caller.userKey ?? null;
    const share = storedShare(run.room.share);
    const record = {
      v: RECORD_VERSION,
      id,
      ...fence,
      user,
      share,
      ...texts,
      createdAt: now,
      stamp: now,
    };
    const began = this.options.timeProvider.monotonic();
    const created = this.store.create(record, kept.ttlMs, DUE_MS).catch((cause: unknown) => {
      this.#takenBack.add(id);
      void this.store
        .takeBack(record, kept.ttlMs, DUE_MS, cause)
        .then(() => this.#takenBack.delete(id));
      throw cause;
    });
    if (!(await created)) return undefined;
    this.options.notices.emit({ kind: 'taskCreated', taskId: id, tool: kept.tool });
    const stored: StoredRecord = { ...record, expiresAt: null, dueAt: null, rung: 0 };
    // No client holds the call of a task that this instance has called itself.
    if (run.launched !== undefined) run.room.charge(laterRunBytes(stored));
    // What it records must not outlive it: its key may be called again.
    const restMs = kept.ttlMs - (this.options.timeProvider.monotonic() - began);
    return this.own(run, { record: stored, kept, head, fence, restMs, recorded: NOTHING_RECORDED });
  }

  own(run: TaskRun, claimed: ClaimedTask): OwnedTask {
    const task = new OwnedTask(this, run, claimed);
    this.#runs.set(task.id, run);
    // The lease may have lapsed while the task was stored.
    void task.owned.reclaim();
    return task;
  }

  /** The run of a task that this instance has claimed; `undefined`: it drains. */
  restart(claimed: ClaimedTask, asked: RunRequest, room: RunRoom): TaskRun | undefined {
    return this.#isDraining
      ? undefined
      : new TaskRun(asked, this, (run) => this.own(run, claimed), room);
  }

  // ——— what a task says of itself ———

  over({ id, run }: OwnedTask): void {
    // The next task of a key may run already.
    if (this.#runs.get(id) === run) this.#runs.delete(id);
    this.changes.emit(id);
  }

  /** A task was answered or ended, perhaps elsewhere. */
  ring(id: string, owner: string | null): void {
    if (this.holds(id)) this.rung(id);
    else if (owner !== null && owner !== this.store.lease.owner)
      void this.store.send(
        () => this.#given.instance.notify(owner, { kind: 'look', of: 'tasks', id }),
        () => {},
      );
  }

  /** It was, here or by another instance that rang. */
  rung(id: string): void {
    const look = async () => {
      await this.#turns.last.get(id);
      await this.#runs.get(id)?.task?.look();
    };
    void this.store.send(look, (err) =>
      this.options.logger.debug({ err }, 'A task could not be read'),
    );
  }

  /** Ends a task, wherever it runs. `false`: it had ended, or is no longer as it was `seen`. */
  async end(id: string, end: TaskEnd, seen?: Ownership): Promise<boolean> {
    const owner = await this.store.end(id, end, seen);
    if (owner === undefined) return false;
    const run = this.#runs.get(id);
    if (run === undefined) this.ring(id, owner);
    else run.stop(`it is ${end.status}`);
    return true;
  }

  // ——— the instance ———

  /** The lease was renewed, or this instance has a new id. */
  extended(): void {
    for (const { task } of this.#runs.values()) void task?.owned.reclaim();
  }

  /** Asks what may run again to stop, and gives it back when its handler has settled. */
  drain(): void {
    this.#isDraining = true;
    for (const run of this.#runs.values()) if (run.resumes) run.drain();
  }

  /** Gives back what may run again, and ends the rest. Resolves when everything is stored. */
  async close(graceMs: number): Promise<void> {
    const { timeProvider: time } = this.options;
    this.drain();
    const until = time.monotonic() + graceMs;
    while (this.#runs.size > 0 && time.monotonic() < until) await elapse(time, CLOSE_POLL_MS);
    for (const run of this.#runs.values()) run.close(rpcError(requestDrained()));
    await this.store.stop();
  }
}
