/**
 * A task that this instance owns, from its creation or claim until its run is over, and all that the owner writes. A
 * write is repeated while the store is away, and refused once another instance has the task: then the run stops.
 */
import type { EventEmitter } from 'node:events';
import type { MemoryUse } from '../../base/budget.ts';
import { TEXT_WEIGHT } from '../records/owned-records.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { StoppableRun } from './run-room.ts';
import { OwnedRecord } from '../records/owned-record.ts';
import {
  isStoreFull,
  overMemory,
  resultTooLarge,
  rpcError,
  SojournError,
} from '../../base/errors.ts';
import { Timers } from '../../base/timers.ts';
import { sessionHash } from '../../base/shown.ts';
import type { Fence, RecordChange, SaveOutcome, StoredRecord } from '../../stores/store.ts';
import { askedFields } from './task-questions.ts';
import { type Recorded, Steps } from './steps.ts';
import {
  hasOpenQuestions,
  headText,
  type TaskBody,
  MESSAGE_FIELD,
  storable,
  type TaskEnd,
  type TaskHead,
} from './task-record.ts';
import { RESULT_BYTES, storedEnd, type TaskStore } from './task-store.ts';
import { WaitingQuestions } from './waiting-questions.ts';
import { type DetailedTask, livingTask } from './wire-shapes.ts';

/** A task that is not renewed is due after this time, and the sweep of an instance looks at its owner. */
export const DUE_MS = 75_000;
/** A renewal finds answers as well: the message about an answer may be lost. */
const RENEW_MS = 15_000;
/** What the end of a run takes until it is stored, besides its texts. */
const END_BYTES = 5_120;
const SHORT_LENGTH = 4_096;
/** What its client is shown, and how often that is stored. */
const MESSAGE_LENGTH = 1_000;
const MESSAGE_MS = 1_000;

/** The tasks of the instance, as one of them sees them. */
export interface OwnedTaskHost {
  readonly options: ResolvedOptions;
  readonly store: TaskStore;
  readonly memory: MemoryUse;
  over(task: OwnedTask): void;
  readonly changes: Pick<EventEmitter, 'emit'>;
}

/** A stored task that this instance owns. */
export interface ClaimedTask {
  readonly record: StoredRecord;
  readonly kept: TaskBody;
  readonly head: TaskHead;
  readonly fence: Fence;
  /** How long it lasts from now. */
  readonly restMs: number;
  /** What earlier runs recorded. */
  readonly recorded: Recorded;
}

export class OwnedTask {
  readonly id: string;
  readonly kept: TaskBody;
  readonly head: TaskHead;
  readonly createdAt: number;
  readonly steps: Steps;
  readonly questions: WaitingQuestions;
  readonly owned: OwnedRecord;
  readonly run: StoppableRun;
  readonly fields: Record<string, string>;
  readonly #tasks: OwnedTaskHost;
  /** A time of the monotonic clock. */
  readonly #expiresAt: number;
  readonly #timers: Timers;
  /** How many answers it has read. */
  #rung: number;
  /** The share that its record names. */
  readonly #share: string | null;
  #stamp: number;
  #shownAt = -MESSAGE_MS;
  /** A message waits to be stored, or is on its way. */
  #isShowing = false;

  constructor(
    tasks: OwnedTaskHost,
    run: StoppableRun,
    { record, kept, head, fence, restMs, recorded }: ClaimedTask,
  ) {
    const { timeProvider: time } = tasks.options;
    const { id, createdAt, fields, rung, share, stamp } = record;
    this.id = id;
    this.kept = kept;
    this.head = head;
    this.createdAt = createdAt;
    this.#tasks = tasks;
    this.run = run;
    this.#expiresAt = time.monotonic() + restMs;
    this.fields = { ...fields };
    this.#rung = rung;
    this.#share = share;
    this.#stamp = stamp;
    this.owned = new OwnedRecord(tasks.store, id, fence, () =>
      run.stop('another instance runs it'),
    );
    this.steps = new Steps(this.owned, run, recorded);
    this.questions = new WaitingQuestions(this.fields, run, (field, text) =>
      this.#storeQuestion(field, text),
    );
    this.#timers = new Timers(time);
    this.#renewLater();
    this.#timers.after(restMs, () => this.#lookAtTime());
  }

  /** What its client hears of it. */
  get created(): DetailedTask {
    const { id, fields, createdAt, kept } = this;
    return livingTask({ id, fields, createdAt, stamp: createdAt }, kept);
  }

  // ——— writes ———

  #save(change: RecordChange): Promise<SaveOutcome> {
    return this.owned.save(() => change);
  }

  /** Never smaller than before. */
  #now(): number {
    return (this.#stamp = Math.max(this.#stamp, this.#tasks.options.timeProvider.now()));
  }

  /** `isLast`: no run follows here before it is stored. `held`: bytes in the memory budget until then. */
  #background<T>(work: () => Promise<T>, isLast = false, held = 0): Promise<T | undefined> {
    const { store, options, memory } = this.#tasks;
    const over = (): void => {
      memory.give(held, this.run.room.share);
      this.#tasks.over(this);
    };
    return store.send(isLast ? () => work().finally(over) : work, (err) => {
      // The end of a run has what could not be stored before it.
      if (this.run.isOver && !isLast) return;
      const fields = { err, task: sessionHash(this.id), tool: this.kept.tool };
      options.logger.error(fields, 'What happened to a task could not be stored');
    });
  }

  /** `undefined`: there is no room for what would be held until it is stored. */
  #takes(characters: number): number | undefined {
    const bytes = TEXT_WEIGHT * characters + END_BYTES;
    const { memory } = this.#tasks;
    // There are few runs, and what is short is never lost.
    if (characters <= SHORT_LENGTH) memory.charge(bytes, this.run.room.share);
    else if (!memory.take(bytes, 0, this.run.room.share)) return undefined;
    return bytes;
  }

  /** Until the store has answered, no other renewal begins. */
  #renewLater(): void {
    this.#timers.after(
      RENEW_MS,
      () => void this.#background(() => this.#renew().finally(() => this.#renewLater())),
    );
  }

  async #renew(): Promise<void> {
    const saved = await this.#save({ due: { inMs: DUE_MS, seen: this.#rung } });
    if (saved === 'fenced') this.run.stop('another instance runs it, or it has ended');
    else if (saved === 'rung') await this.look();
  }

  /** A timer may be early: that of the system comes after 24 days at the latest. */
  #lookAtTime(): void {
    const restMs = this.#expiresAt - this.#tasks.options.timeProvider.monotonic();
    if (restMs > 0) this.#timers.after(restMs, () => this.#lookAtTime());
    else this.run.expire();
  }

  /** Its time is over. Its record ends here: until then its own instance would take it for a task without a run. */
  expire(): void {
    this.#timers.stop();
    const stored = async (): Promise<void> => {
      if ((await this.owned.end('', 0)) === 'ended')
        this.#tasks.store.expired(this.id, this.kept.tool);
    };
    void this.#background(stored, true);
  }

  /** The run of the task is over, with this end. */
  end(given: TaskEnd): void {
    this.#timers.stop();
    const { options, store } = this.#tasks;
    const { timeProvider: time } = options;
    const restMs = Math.ceil(this.#expiresAt - time.monotonic());
    const keepMs = Math.max(this.kept.keepMs, restMs);
    // A task can be asked for until then.
    const ttlMs = restMs === keepMs ? this.kept.ttlMs : time.now() - this.createdAt + keepMs;
    const living = {
      createdAt: this.createdAt,
      fields: this.fields,
      stamp: this.#stamp,
      kept: this.kept,
    };
    const storedAs = (end: TaskEnd) => storedEnd(living, end, ttlMs, time.now());
    const whole = storedAs(given);
    const bytes = Buffer.byteLength(whole.text);
    const taken = bytes > RESULT_BYTES ? undefined : this.#takes(whole.text.length);
    const tooLarge: TaskEnd = {
      status: 'failed',
      error: rpcError(resultTooLarge(bytes, RESULT_BYTES)),
    };
    const end = taken === undefined ? tooLarge : given;
    const { text, short } = taken === undefined ? storedAs(tooLarge) : whole;
    const inStore = { share: this.#share, short };
    const stored = async (): Promise<void> => {
      if ((await this.owned.end(text, keepMs, inStore)) === 'ended')
        store.ended(this, this.kept, end);
    };
    void this.#background(stored, true, taken);
  }

  #fails(error: SojournError): false {
    this.end({ status: 'failed', error: rpcError(error) });
    return false;
  }

  /** Its handler returned questions. */
  parks(result: Readonly<Record<string, unknown>>): void {
    const asked = askedFields(this.fields, result);
    if (asked instanceof SojournError) this.#fails(asked);
    else void this.release('parked', { fields: asked });
  }

  /**
   * Another run continues it, here or at another instance. `inMs`: not before this time. Resolves when the store has
   * answered. `false`: it has ended, or another instance has it.
   */
  async release(
    state: 'parked' | 'queued' | 'detached',
    { fields = {}, inMs = 0 }: { fields?: Readonly<Record<string, string>>; inMs?: number } = {},
  ): Promise<boolean> {
    const message = this.fields[MESSAGE_FIELD];
    const shown = message === undefined ? fields : { ...fields, [MESSAGE_FIELD]: message };
    const taken = this.#takes(Object.values(shown).reduce((sum, { length }) => sum + length, 0));
    if (taken === undefined) return this.#fails(overMemory());
    this.#timers.stop();
    const head = headText({ ...this.head, state });
    const waits =
      state === 'detached' ||
      (state === 'parked' && hasOpenQuestions({ ...this.fields, ...fields }));
    const due = { inMs: waits ? null : inMs, seen: this.#rung };
    const stamp = this.#now();
    const storeRelease = async (): Promise<boolean> => {
      await this.steps.settled();
      const saved = await this.#save({ head, fields: shown, stamp, due, release: true }).catch(
        (cause: unknown) => {
          if (cause instanceof SojournError && isStoreFull(cause)) return cause;
          throw cause;
        },
      );
      if (saved instanceof SojournError) return this.#fails(saved);
      const isReleased = saved !== 'fenced';
      const { notices } = this.#tasks.options;
      if (isReleased)
        notices.emit({ kind: 'taskReleased', taskId: this.id, tool: this.kept.tool, state });
      return isReleased;
    };
    return (await this.#background(storeRelease, true, taken)) === true;
  }

  // ——— what its client sees ———

  /** The newest text is stored, at most once a second. */
  shows(text: string): void {
    this.fields[MESSAGE_FIELD] = storable(text.slice(0, MESSAGE_LENGTH));
    if (this.#isShowing) return;
    this.#isShowing = true;
    const maxWaitMs = Math.max(
      0,
      this.#shownAt + MESSAGE_MS - this.#tasks.options.timeProvider.monotonic(),
    );
    this.#timers.after(maxWaitMs, () => void this.#background(() => this.#storeMessage()));
  }

  async #storeMessage(): Promise<void> {
    this.#shownAt = this.#tasks.options.timeProvider.monotonic();
    let sent = '';
    const change = (): RecordChange => {
      sent = this.fields[MESSAGE_FIELD] ?? '';
      return { fields: { [MESSAGE_FIELD]: sent }, stamp: this.#now() };
    };
    try {
      await this.owned.save(change, () => this.run.isOver);
    } finally {
      this.#isShowing = false;
      const newest = this.fields[MESSAGE_FIELD] ?? '';
      if (newest !== sent) this.shows(newest);
    }
  }

  async #storeQuestion(field: string, text: string): Promise<void> {
    const saved = await this.#save({ fields: { [field]: text }, stamp: this.#now() });
    if (saved === 'fenced') this.run.stop('another instance runs it, or it has ended');
    this.#tasks.changes.emit(this.id);
  }

  /** Something in the store has changed that may concern the run. */
  async look(): Promise<void> {
    const found = await this.#tasks.store.read(this.id);
    if (found === undefined || !('record' in found)) return this.run.stop('it has ended');
    const { epoch, rung, fields } = found.record;
    if (epoch !== this.owned.fence.epoch) return;
    this.#rung = rung;
    this.questions.hear(fields);
  }

  /**
   * Resolves when this instance owns the task for sure: it may have been cancelled, or have another run. Rejects when
   * the run is over.
   */
  confirmed(): Promise<void> {
    return this.owned.confirmed(() => {
      if (this.run.isOver) throw this.run.signal.reason;
    });
  }

  /** Another instance has it, or it has ended. */
  lost(): void {
    this.#timers.stop();
    this.owned.lose();
    this.#tasks.over(this);
  }
}
