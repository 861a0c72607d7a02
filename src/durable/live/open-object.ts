/**
 * One live object, on the instance that owns the record of its handle:
 *
 *     claimed ──its first call──▶ open ──idle, the instance drains or closes──▶ closing ──its record has no owner──▶ gone
 *        │                          ├──it is dead, or a handler closes it──▶ closing ──its record has no owner──▶ gone
 *        ╰──open() fails──▶ gone    ╰──its handle has ended, or another instance owns it──▶ closing ──▶ gone
 *
 * Until it is gone its place is taken, and calls for it wait here: two objects of one handle are never open.
 */
import { handleNotFound, objectClosed, ownerLost, storeUnavailable } from '../../base/errors.ts';
import { GRACE_MS, inHookTime, type HookTimes } from '../../base/hook-time.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import type { TimeProvider } from '../../base/types.ts';
import type { Fence, StoredRecord } from '../../stores/store.ts';
import { OwnedRecord } from '../records/owned-record.ts';
import type { OwnedRecords } from '../records/owned-records.ts';
import type { HandleOfCaller } from '../state/handles.ts';
import type { Call } from '../../session/calls/call.ts';
import type { LiveSettings } from './live-options.ts';

/** The objects of the instance, as one of them sees them. */
export interface ObjectHost {
  readonly records: OwnedRecords;
  readonly hookTimes: HookTimes & { readonly timeProvider: Required<TimeProvider> };
  gone(object: OpenObject): void;
}

/** How often the record is written that an object in use lasts on: this shows too whether the handle has ended. */
const RENEW_MS = 60_000;
const HALF = 2;

/** What `open` throws where the object is closed: the call opens another one. */
export class ObjectClosed extends Error {}

export class OpenObject {
  readonly handle: HandleOfCaller;
  readonly #host: ObjectHost;
  readonly #settings: LiveSettings;
  /** How long the handle lasts after its last use. */
  readonly #lastsMs: number;
  readonly #owned: OwnedRecord;
  #opened: Promise<unknown> | undefined = undefined;
  /** Asks whether it can be used, for all calls that arrive now. */
  #asked: Promise<boolean> | undefined = undefined;
  #renewing: Promise<void> | undefined = undefined;
  #uses = 0;
  /** Calls whose handlers have it. */
  readonly #running = new Set<Call>();
  #isEndedByCall = false;
  #usedAt: number;
  #renewedAt: number;
  /** Why no call may use it any more. */
  #lost: 'ended' | 'moved' | 'closed' | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;

  constructor(
    host: ObjectHost,
    settings: LiveSettings,
    handle: HandleOfCaller,
    { fence, lastsMs }: { readonly fence: Fence; readonly lastsMs: number },
  ) {
    this.handle = handle;
    this.#host = host;
    this.#settings = settings;
    this.#lastsMs = lastsMs;
    this.#owned = new OwnedRecord(host.records, handle.record, fence, () => this.lose('moved'));
    this.#usedAt = this.#renewedAt = this.#now;
  }

  get #now(): number {
    return this.#host.hookTimes.timeProvider.monotonic();
  }

  /** Resolves when it is gone; `undefined`: it takes calls. */
  get closing(): Promise<void> | undefined {
    return this.#closing;
  }

  /** It was dead, or a handler has closed it: its handle lasts. */
  get #isClosed(): boolean {
    return this.#lost === 'closed';
  }

  /** A call here has it and its handler has not begun: it opens another one, which no other instance may do before. */
  get #isAwaited(): boolean {
    return this.#uses > this.#running.size;
  }

  get isIdle(): boolean {
    return this.#uses === 0 && this.#closing === undefined;
  }

  get isOverdue(): boolean {
    const idleMs = Math.min(this.#settings.closeAfterMs, this.#lastsMs / HALF);
    return this.isIdle && this.#now - this.#usedAt >= idleMs;
  }

  /** Whether a call may begin at once: this instance owns it for sure, and its handle lasts. */
  get isReady(): boolean {
    const isFresh = this.#now - this.#renewedAt < Math.min(RENEW_MS, this.#lastsMs / HALF);
    return this.isOpen && this.#owned.isCertain && isFresh;
  }

  /** Its handle has not ended, no other instance has it, and it does not close. */
  get isOpen(): boolean {
    return this.#closing === undefined && this.#lost === undefined;
  }

  /** A call uses it, until what is returned is released. */
  use(): { release(): void } {
    this.#uses += 1;
    let isReleased = false;
    return {
      release: () => {
        if (isReleased) return;
        isReleased = true;
        this.#uses -= 1;
        this.#usedAt = this.#now;
        if (this.#uses === 0 && this.#lost !== undefined) void this.close();
      },
    };
  }

  /** Resolves when this instance owns it for sure, and its handle lasts. Rejects where it is lost. */
  async confirm(): Promise<void> {
    if (this.isReady) return;
    if (!this.#owned.isCertain || !this.isOpen)
      await this.#host.records.reach(async () => {
        if (this.#host.records.lease.valid) await this.#owned.reclaim();
        this.throwIfLost();
        if (!this.#owned.isCertain) throw storeUnavailable('this instance takes its lease');
      });
    if (!this.isReady && this.#closing === undefined) await this.#renew();
    this.throwIfLost();
  }

  /** The instance has a lease again, perhaps under a new id. */
  reclaim(): void {
    if (this.#closing === undefined && !this.#owned.isCertain) void this.#owned.reclaim();
  }

  /** A call uses it, so its handle does not expire. `looks`: what has ended it without a word is found. */
  lastOn(looks: boolean): void {
    if (!this.isOpen || !this.#owned.isCertain) return;
    const seen = this.#uses > 0 && !this.isReady ? this.#renew() : undefined;
    (seen ?? (looks ? this.look() : undefined))?.catch(() => {});
  }

  #renew(): Promise<void> {
    return (this.#renewing ??= this.#save().finally(() => (this.#renewing = undefined)));
  }

  async #save(): Promise<void> {
    const outcome = await this.#host.records.reach(() =>
      this.#owned.records.save(this.handle.record, this.#owned.fence, {
        expiresInMs: this.#lastsMs,
      }),
    );
    if (outcome === 'written') this.#renewedAt = this.#now;
    else await this.look();
  }

  /** Reads whose its record is: it may have ended. */
  async look(): Promise<void> {
    const { records } = this.#owned;
    const found = await this.#host.records.reach(() => records.read(this.handle.record));
    if (found === undefined || 'outcome' in found) this.lose('ended');
    else if (found.epoch !== this.#owned.fence.epoch && this.#owned.isCertain) this.lose('moved');
  }

  /** The handler of a call has it, until what is returned is called. */
  runs(call: Call): () => void {
    this.#running.add(call);
    return () => void this.#running.delete(call);
  }

  /** A call that uses it ends its handle: calls that run may end, and then it is closed. */
  endByCall(): void {
    this.#isEndedByCall = true;
  }

  /**
   * Its handle has ended, another instance has it, or it is dead. Calls that run get an error, save
   * the call that closed it; where another instance has it, their answers are refused.
   */
  lose(how: 'ended' | 'moved' | 'closed', by?: Call): void {
    if (this.#lost !== undefined) return;
    this.#lost = how;
    if (how !== 'closed') this.#owned.lose();
    if (how !== 'moved' && !this.#isEndedByCall)
      for (const call of this.#running)
        if (call !== by) call.expire(objectClosed(this.handle.kind));
    if (this.#uses === 0 || how !== 'ended') void this.close();
    else if (!this.#isEndedByCall)
      this.#host.hookTimes.timeProvider.setTimeout(() => void this.close(), GRACE_MS);
  }

  throwIfLost(): void {
    if (this.#lost === 'moved') throw new CallRefusal(ownerLost(true));
  }

  /** For its state: a process that was frozen may not know yet that another one has opened the object. */
  async refuses(record: StoredRecord): Promise<void> {
    if (record.epoch === this.#owned.fence.epoch && this.#lost === undefined) return;
    await this.confirm();
    if (this.#lost === 'ended') throw handleNotFound(this.handle.kind, this.handle.id);
    if (this.#lost === 'closed') throw new CallRefusal(objectClosed(this.handle.kind));
    // An older epoch was read before this instance claimed it again: its change is refused, and made once more.
    if (record.epoch > this.#owned.fence.epoch) throw new CallRefusal(ownerLost(true));
  }

  /** The object. The first call opens it. */
  async open(make: () => unknown): Promise<unknown> {
    // It waited, for example in `middleware`: another object of its handle may be open by now.
    if (this.#lost === 'ended') throw handleNotFound(this.handle.kind, this.handle.id);
    if (this.#isClosed) throw new ObjectClosed();
    if (this.#closing !== undefined) throw new CallRefusal(ownerLost(false));
    const isFirst = this.#opened === undefined;
    const opened = (this.#opened ??= this.#open(make));
    let object: unknown;
    try {
      object = await opened;
    } catch (cause) {
      void this.close();
      throw cause;
    }
    const { isOpen } = this.#settings;
    if (!isFirst && isOpen !== undefined && !this.#isClosed) {
      this.#asked ??= this.#ask(isOpen, object).finally(() => (this.#asked = undefined));
      if (!(await this.#asked)) this.lose('closed');
    }
    if (this.#isClosed) throw new ObjectClosed();
    return object;
  }

  async #ask(isOpen: (object: unknown) => unknown, object: unknown): Promise<boolean> {
    const { hookTimes } = this.#host;
    const hook = { hook: 'isOpen of live()', sessionId: undefined };
    try {
      return (await inHookTime(hookTimes, hook, (async () => isOpen(object))())) === true;
    } catch (err) {
      hookTimes.logger.warn(
        { err, kind: this.handle.kind },
        'The object of a handle is taken for dead',
      );
      return false;
    }
  }

  #open(make: () => unknown): Promise<unknown> {
    const { hookTimes } = this.#host;
    const late = (object: unknown): void => void this.#dispose(object);
    const hook = { hook: 'open of live()', sessionId: undefined, late };
    return inHookTime(hookTimes, hook, (async () => make())());
  }

  /** Resolves when it is gone. May be called again. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const opened = await this.#opened?.then(
      (object) => ({ object }),
      () => undefined,
    );
    if (opened !== undefined) await this.#dispose(opened.object);
    try {
      if (this.#lost === undefined || (this.#isClosed && !this.#isAwaited))
        await this.#owned.save(() => ({ release: true }));
    } catch (err) {
      const { logger } = this.#host.hookTimes;
      logger.debug({ err }, 'The owner of a handle could not be removed: its lease runs out');
    } finally {
      this.#host.gone(this);
    }
  }

  async #dispose(object: unknown): Promise<void> {
    const { hookTimes } = this.#host;
    const hook = { hook: 'close of live()', sessionId: undefined };
    try {
      await inHookTime(hookTimes, hook, (async () => this.#settings.close?.(object))());
    } catch (err) {
      hookTimes.logger.error(
        { err, kind: this.handle.kind },
        'The object of a handle could not be closed',
      );
    }
  }
}
