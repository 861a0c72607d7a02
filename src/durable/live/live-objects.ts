/**
 * The live objects of an instance, and the way of a call to the instance that has the object of its handle:
 *
 *     open here ─▶ here
 *     its record has a living owner ─▶ there, over the link
 *     no owner, or a dead one ─▶ claimed ─▶ here
 *     the same, while this instance drains and another one serves ─▶ there: that one claims
 *
 * All of it comes before `middleware` and the handler, so both begin at the object alone.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { Budget } from '../../base/budget.ts';
import {
  callCut,
  liveMoved,
  ownerLost,
  requestChanged,
  storeUnavailable,
  tooManyObjects,
} from '../../base/errors.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import { GRACE_MS } from '../../base/hook-time.ts';
import { OTHER } from '../../base/observe/known-names.ts';
import { type RpcRequest, toolOf } from '../../base/protocol/jsonrpc.ts';
import { every, within } from '../../base/system.ts';
import type { Instance } from '../../cluster/instance.ts';
import type { OwnerDirectory } from '../../cluster/owner-directory.ts';
import type { Relay } from '../../cluster/relay/relay.ts';
import type { Call } from '../../session/calls/call.ts';
import type { StateCaller } from '../../session/calls/call-services.ts';
import type { Home } from '../../session/calls/home.ts';
import { pause } from '../../session/record/pause.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import type { MaybePromise, SeenLiving, StoredRecord } from '../../stores/store.ts';
import { OwnedRecords, type RecordParts } from '../records/owned-records.ts';
import type { HandleOfCaller, Handles } from '../state/handles.ts';
import { openedHead, readHead } from '../state/state-head.ts';
import type { LiveObject, LiveSettings } from './live-options.ts';
import { ObjectClosed, OpenObject } from './open-object.ts';
import { type NamedCall, FarCalls } from './far-calls.ts';

/** A handle may last for a second alone. */
const SWEEP_MS = 250;
/** A server of each user may have tools of its own. */
const KNOWN_TOOLS = 1_000;
/** Values of the label of the gauge. */
const MOST_KINDS = 50;

export interface LiveParts extends RecordParts {
  readonly instance: Pick<Instance, 'lease' | 'notify'>;
  readonly directory: OwnerDirectory;
  readonly handles: Handles;
}

/** How the calls of a live tool name their handle. */
interface KnownTool {
  readonly kind: string;
  idIn(request: RpcRequest): unknown;
}

/** What the handler of a call finds. `refused`: what it throws. */
type Located =
  | { readonly id: unknown; readonly object: OpenObject }
  | { readonly id: unknown; readonly refused: unknown };

export class LiveObjects {
  readonly #given: LiveParts;
  readonly #records: OwnedRecords;
  /** The key is the id of an object's record. */
  readonly #objects = new Map<string, OpenObject>();
  readonly #located = new WeakMap<Call, Located>();
  readonly #known = new BoundedMap<string, KnownTool>(KNOWN_TOOLS);
  readonly #turns = new RecordQueues();
  readonly #places: Budget;
  readonly #far: FarCalls;
  #stopSweep: (() => void) | undefined = undefined;
  #lookedAt = 0;
  /** The kinds of objects that were open here. */
  readonly #kinds = new Set<string>();

  constructor(given: LiveParts) {
    this.#given = given;
    const { liveObjects, userShare } = given.options.limits;
    this.#places = new Budget(liveObjects, userShare);
    this.#records = new OwnedRecords('handles', given);
    this.#far = new FarCalls(given.options, this.#records);
    given.handles.onEnd = (hash, owner) => this.#ended(hash, owner);
  }

  /** From now on calls may be sent to their objects. */
  sendWith(relay: Relay): void {
    this.#far.sendWith(relay);
  }

  // ——— the way to the object ———

  /** A server of this endpoint has a live tool of this name. */
  learn(name: string | undefined, tool: KnownTool): void {
    if (name !== undefined) this.#known.set(name, tool);
  }

  /**
   * For a call without a server here: sent on where another instance has the object of its handle. The handle is one of
   * its caller, whose server there decides what runs. Nothing else is taken from the server that the tool was learnt
   * from: it may be that of another user.
   */
  placeKnown(call: Call, request: RpcRequest, home: Home): Promise<boolean> | undefined {
    const known = this.#known.get(toolOf(request) ?? '');
    if (known === undefined || call.isRefused) return undefined;
    const { kind } = known;
    const record = this.#given.handles.recordNamed(kind, known.idIn(request), callerOf(call));
    if (record === undefined || this.#objects.has(record)) return undefined;
    const handle = { kind, id: String(known.idIn(request)), caller: callerOf(call), record };
    return this.#far.placed({ call, request, home, tool: undefined }, () => this.#away(handle));
  }

  /** `undefined`: the handler of the call begins here, at once. Else resolves to whether it begins here. */
  place(named: NamedCall, settings: LiveSettings, id: unknown): Promise<boolean> | undefined {
    const { call } = named;
    if (this.#located.has(call)) return undefined;
    const object = this.#readyFor(call, settings, id);
    if (object !== undefined) {
      this.#take(call, { id, object });
      return undefined;
    }
    const { timeProvider, maxWaitMs } = this.#given.options;
    const until = timeProvider.monotonic() + maxWaitMs;
    return this.#far.placed(named, async () => {
      const found = await this.#locate(call, settings, id, until);
      if ('there' in found) return found.there;
      if (!call.isOver) this.#take(call, found);
      return undefined;
    });
  }

  /** The object of the call, if it is open here and the call may begin at once. */
  #readyFor(call: Call, { kind }: LiveSettings, id: unknown): OpenObject | undefined {
    const record = this.#given.handles.recordNamed(kind, id, callerOf(call));
    const object = record === undefined ? undefined : this.#objects.get(record);
    return object?.isReady === true ? object : undefined;
  }

  #take(call: Call, located: Located): void {
    this.#located.set(call, located);
    if ('object' in located) call.holds(located.object.use());
  }

  /** Calls of one handle look one after the other, until this time of the monotonic clock. */
  async #locate(
    call: Call,
    settings: LiveSettings,
    id: unknown,
    until: number,
  ): Promise<Located | { readonly there: string }> {
    try {
      const handle = this.#given.handles.named(settings.kind, id, callerOf(call));
      return await this.#turns.steps(handle.record, async () => {
        if (call.isOver) throw callCut();
        if (this.#given.options.timeProvider.monotonic() > until)
          throw storeUnavailable('earlier calls of a handle still wait for its object');
        const found = await this.#find(handle, settings);
        return found instanceof OpenObject ? { id, object: found } : found;
      });
    } catch (refused) {
      return { id, refused };
    }
  }

  async #find(
    handle: HandleOfCaller,
    settings: LiveSettings,
  ): Promise<OpenObject | { readonly there: string }> {
    for (;;) {
      const object = this.#objects.get(handle.record);
      if (object?.isOpen === true) {
        await object.confirm().catch((cause: unknown) => {
          if (object.isOpen) throw cause;
        });
        if (object.isReady) return object;
        // Its lease has lapsed again: the object is open all the same.
        if (object.isOpen) {
          await pause(this.#given.options.timeProvider, 0);
          continue;
        }
      }
      await this.#untilGone(object?.closing);
      const record = await this.#given.handles.read(handle);
      const there = await this.#elsewhere(record);
      if (there !== undefined) return { there };
      const claimed = await this.#claim(handle, record, settings);
      if (claimed !== undefined) return claimed;
    }
  }

  /** The instance that has the object of a handle; `undefined`: the server of the call has to look. */
  async #away(handle: HandleOfCaller): Promise<string | undefined> {
    try {
      const record = await this.#given.handles.read(handle);
      const owner = await this.#given.directory.ownerOf(record, { answers: true });
      // Nothing is given back here: an earlier call may claim the record at this moment.
      return owner === 'alive' || owner === 'returning' ? (record.owner ?? undefined) : undefined;
    } catch {
      return undefined;
    }
  }

  async #untilGone(closing: Promise<void> | undefined): Promise<void> {
    const { timeProvider, maxWaitMs } = this.#given.options;
    if (closing !== undefined)
      await within(timeProvider, maxWaitMs, closing, () => {
        throw storeUnavailable('the object of a handle is still being closed');
      });
  }

  /** The instance that has the object, or is to open it; `undefined`: this one. */
  async #elsewhere(record: StoredRecord): Promise<string | undefined> {
    const { directory } = this.#given;
    const owner = await directory.ownerOf(record, { answers: true });
    // No call goes to an owner without a lease: it looks again until the owner returns or is dead.
    if (owner === 'alive' || owner === 'returning') return record.owner ?? undefined;
    return directory.leftTo(this.#records.records, record);
  }

  /** `undefined`: another instance was faster. */
  async #claim(
    handle: HandleOfCaller,
    record: StoredRecord,
    settings: LiveSettings,
  ): Promise<OpenObject | undefined> {
    await this.#records.leased();
    return this.#inPlace(settings.kind, handle.caller, async () => {
      const me = this.#records.lease.owner;
      const outcome = await this.#records.reach(() =>
        this.#records.records.claim(handle.record, record, me),
      );
      if (!outcome.claimed) return undefined;
      const { epoch, stamp } = outcome.record;
      await this.#noteOpened(outcome.record, { epoch, owner: me, atStamp: stamp });
      return this.#add(handle, settings, epoch, me, readHead(record).lastsMs);
    });
  }

  /** For those who list handles. Before `open`, which may change the state, and with it this head. */
  async #noteOpened(record: StoredRecord, seen: SeenLiving): Promise<void> {
    try {
      const head = openedHead(record, this.#given.options.timeProvider.now());
      await this.#records.records.save(record.id, seen, { head });
    } catch (err) {
      this.#records.logger.debug({ err }, 'When an object was opened could not be stored');
    }
  }

  /** Opens an object in a place of its user. The place is free again where none is opened. */
  async #inPlace<Opened extends OpenObject | undefined>(
    kind: string,
    { share }: StateCaller,
    open: () => Promise<Opened>,
  ): Promise<Opened> {
    const places = this.#places;
    if (!places.take(1, share)) throw tooManyObjects(kind, places.size);
    let opened: Opened | undefined;
    try {
      return (opened = await open());
    } finally {
      if (opened === undefined) places.charge(-1, share);
    }
  }

  #add(
    handle: HandleOfCaller,
    settings: LiveSettings,
    epoch: number,
    owner: string,
    lastsMs: number,
  ): OpenObject {
    const { options } = this.#given;
    const host = { records: this.#records, hookTimes: options, gone: this.#gone };
    if (this.#kinds.size < MOST_KINDS) this.#kinds.add(settings.kind);
    const object = new OpenObject(host, settings, handle, { fence: { epoch, owner }, lastsMs });
    this.#objects.set(handle.record, object);
    this.#stopSweep ??= every(options.timeProvider, SWEEP_MS, () => this.#sweep());
    return object;
  }

  readonly #gone = (object: OpenObject): void => {
    const { record, caller } = object.handle;
    if (this.#objects.get(record) === object) this.#objects.delete(record);
    this.#places.charge(-1, caller.share);
    if (this.#objects.size > 0) return;
    this.#stopSweep?.();
    this.#stopSweep = undefined;
  };

  // ——— the handler ———

  /** Runs the handler of a live tool. `id`: what its arguments name, as the handler gets them. */
  async run<Result>(
    call: Call,
    settings: LiveSettings,
    id: unknown,
    handler: (given: LiveObject) => MaybePromise<Result>,
  ): Promise<Result> {
    const isNew = id === undefined;
    const located = this.#located.get(call) ?? (await this.#findHere(call, settings, id));
    if (located.id !== id) throw requestChanged('tools/call', 'the handle of a live object');
    if ('refused' in located) throw located.refused;
    const { object } = located;
    const handle = this.#handleOf(object, call, isNew);
    const opened = async (): Promise<unknown> => {
      const value = await object.open(() => settings.open(handle.state));
      await object.confirm();
      if (call.isOver) throw callCut();
      return value;
    };
    let value: unknown;
    try {
      value = await opened();
    } catch (cause) {
      if (cause instanceof ObjectClosed) return this.#runAgain(call, settings, id, handler);
      // The model has not heard of it, and never will.
      if (isNew) await handle.end();
      throw cause;
    }
    const over = object.runs(call);
    let result: Result;
    try {
      result = await handler({ object: value, handle });
    } finally {
      over();
    }
    // A process that was frozen does not answer for an object that is open elsewhere by now.
    await object.confirm().catch((cause: unknown) => {
      throw cause instanceof CallRefusal ? cause : new CallRefusal(ownerLost(true));
    });
    return result;
  }

  #handleOf(object: OpenObject, call: Call, isNew: boolean): LiveObject['handle'] {
    const refuses = (record: StoredRecord): Promise<void> => object.refuses(record);
    const handle = this.#given.handles.handle(object.handle, isNew, refuses);
    const end = (): Promise<boolean> => {
      object.endByCall();
      return handle.end();
    };
    const close = (): Promise<void> => {
      object.lose('closed', call);
      return object.close();
    };
    return { ...handle, end, close };
  }

  /** The object of the call is closed: once it is gone, another one is opened. */
  async #runAgain<Result>(
    call: Call,
    settings: LiveSettings,
    id: unknown,
    handler: (given: LiveObject) => MaybePromise<Result>,
  ): Promise<Result> {
    this.#located.delete(call);
    // An operator closed the object of a new handle, which no model has heard of.
    if (id === undefined) return this.run(call, settings, id, handler);
    const { timeProvider, maxWaitMs } = this.#given.options;
    const until = timeProvider.monotonic() + maxWaitMs;
    const found = await this.#locate(call, settings, id, until);
    // This instance drains, or its lease lapsed: the call has begun here, and cannot be passed on.
    if ('there' in found) throw new CallRefusal(ownerLost(false));
    this.#take(call, found);
    return this.run(call, settings, id, handler);
  }

  /** For a call that names no handle before its arguments are checked. */
  async #findHere(call: Call, settings: LiveSettings, id: unknown): Promise<Located> {
    const { timeProvider, maxWaitMs } = this.#given.options;
    const found =
      id === undefined
        ? { id, object: await this.#make(callerOf(call), settings) }
        : await this.#locate(call, settings, id, timeProvider.monotonic() + maxWaitMs);
    if ('there' in found) throw liveMoved(settings.kind);
    if ('object' in found) call.holds(found.object.use());
    return found;
  }

  async #make(caller: StateCaller, settings: LiveSettings): Promise<OpenObject> {
    await this.#records.leased();
    const { kind, lastsMs, fields } = settings;
    return this.#inPlace(kind, caller, async () => {
      const { owner } = this.#records.lease;
      const made = { kind, caller, lastsMs, fields, owner };
      const handle = await this.#given.handles.create(made);
      return this.#add(handle, settings, 1, owner, lastsMs);
    });
  }

  // ——— the instance ———

  /** A handle has ended. */
  #ended(hash: string, owner: string | null): void {
    this.#objects.get(hash)?.lose('ended');
    if (owner === null || owner === this.#records.lease.owner) return;
    const look = { kind: 'look', of: 'handles', id: hash } as const;
    this.#given.instance
      .notify(owner, look)
      .catch((err: unknown) =>
        this.#records.logger.debug({ err }, 'The owner of a handle was not told of its end'),
      );
  }

  /** Another instance has ended a handle. */
  rung(id: string): void {
    void this.#objects
      .get(id)
      ?.look()
      .catch(() => {});
  }

  /** The lease was renewed, or this instance has a new id. */
  extended(): void {
    for (const object of this.#objects.values()) object.reclaim();
  }

  /** Once a lease all records are read in one turn: stores send the reads of a turn in one trip. */
  #sweep(): void {
    const { leaseMs, timeProvider } = this.#given.options;
    const now = timeProvider.monotonic();
    const looks = now - this.#lookedAt >= leaseMs;
    if (looks) this.#lookedAt = now;
    for (const object of this.#objects.values()) {
      if (object.isOverdue) void object.close();
      else object.lastOn(looks);
    }
  }

  /** An operator closes an object: its handle and its state stay. `false`: it is not open here. */
  async closeOne(record: string): Promise<boolean> {
    const object = this.#objects.get(record);
    if (object?.isOpen !== true) return false;
    object.lose('closed');
    await object.close();
    return true;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** How many are open, of each kind that was ever open here. */
  get sizes(): ReadonlyMap<string, number> {
    const sizes = new Map([...this.#kinds].map((kind) => [kind, 0]));
    for (const { handle } of this.#objects.values()) {
      const kind = this.#kinds.has(handle.kind) ? handle.kind : OTHER;
      sizes.set(kind, (sizes.get(kind) ?? 0) + 1);
    }
    return sizes;
  }

  /** A drain: what no call uses is opened by other instances. */
  closeIdle(): void {
    for (const object of this.#objects.values()) if (object.isIdle) void object.close();
  }

  /** Closes all of them. `graceMs`: how long this waits for code of the user. */
  async close(graceMs = GRACE_MS): Promise<void> {
    const closed = [...this.#objects.values()].map((object) => object.close());
    await within(this.#given.options.timeProvider, graceMs, Promise.all(closed), () => undefined);
    this.#stopSweep?.();
    this.#stopSweep = undefined;
    await this.#records.stop();
  }
}

const callerOf = ({ caller, session, share }: Call): StateCaller => ({
  user: caller?.userKey ?? session?.userKey,
  share,
});
