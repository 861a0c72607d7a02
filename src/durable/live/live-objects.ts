/**
 * The live objects of an instance, and the way of a call to the instance that has the object of its handle:
 *
 *     open here ─▶ here
 *     its record has a living owner ─▶ there, over the link
 *     no owner, or a dead one ─▶ claimed ─▶ here
 *     the same, while this instance drains and another one serves ─▶ there: that one claims
 *
 * All of it comes before `middleware` and the handler, so both begin at the object alone. An instance that was asked in
 * vain says so before anything ran, and the call looks again. Where the owner is lost, the call may have run.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { Budget } from '../../base/budget.ts';
import {
  callCut,
  callUnreachable,
  liveMoved,
  ownerLost,
  ranTooOften,
  requestChanged,
  storeUnavailable,
  tooManyObjects,
} from '../../base/errors.ts';
import { CallRefusal, thrownAnswer } from '../../base/errors/answer-error.ts';
import { GRACE_MS } from '../../base/hook-time.ts';
import { type RpcRequest, toolOf } from '../../base/protocol/jsonrpc.ts';
import { every, within } from '../../base/system.ts';
import type { Instance } from '../../cluster/instance.ts';
import type { OwnerDirectory } from '../../cluster/owner-directory.ts';
import { LinkSink } from '../../cluster/relay/link-sink.ts';
import type { Relay } from '../../cluster/relay/relay.ts';
import { SentRequest } from '../../cluster/relay/sent-request.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { Call, SessionOfCall } from '../../session/calls/call.ts';
import type { SentSession } from '../../session/inbound/inbound.ts';
import { attemptKey } from '../../session/calls/attempts.ts';
import type { Home } from '../../session/calls/home.ts';
import { noteAttempt, runsBefore } from '../../session/calls/live-tools.ts';
import { isHarmless } from '../../session/calls/markers.ts';
import { MOST_RUNS, type RelayOutcome } from '../../session/inbound/retries.ts';
import { pause } from '../../session/record/pause.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import type { MaybePromise, StoredRecord } from '../../stores/store.ts';
import { OwnedRecords, type RecordParts } from '../records/owned-records.ts';
import type { HandleOfCaller, Handles } from '../state/handles.ts';
import type { StateCaller } from '../state/state-change.ts';
import { readHead } from '../state/state-head.ts';
import type { LiveObject, LiveSettings } from './live-options.ts';
import { OpenObject } from './open-object.ts';
import { FarCall } from './far-call.ts';

const SWEEP_MS = 1_000;
/** A server of each user may have tools of its own. */
const KNOWN_TOOLS = 1_000;

export interface LiveParts extends RecordParts {
  readonly instance: Pick<Instance, 'lease' | 'notify'>;
  readonly directory: OwnerDirectory;
  readonly handles: Handles;
}

/** A call whose arguments name a handle. */
interface NamedCall {
  readonly call: Call;
  readonly request: RpcRequest;
  readonly home: Home;
  /** As its server has registered it; `undefined`: no server was made for it here. */
  readonly tool: unknown;
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
  /** By the ids of their records. */
  readonly #objects = new Map<string, OpenObject>();
  readonly #located = new WeakMap<Call, Located>();
  readonly #known = new BoundedMap<string, KnownTool>(KNOWN_TOOLS);
  readonly #turns = new RecordQueues();
  readonly #places: Budget;
  #relay!: Relay;
  #stopSweep: (() => void) | undefined = undefined;

  constructor(given: LiveParts) {
    this.#given = given;
    const { liveObjects, userShare } = given.options.limits;
    this.#places = new Budget(liveObjects, userShare);
    this.#records = new OwnedRecords('handles', given);
    given.handles.onEnd = (hash, owner) => this.#ended(hash, owner);
  }

  /** From now on calls may be passed on. */
  passWith(relay: Relay): void {
    this.#relay = relay;
  }

  // ——— the way to the object ———

  /** A server of this endpoint has a live tool of this name. */
  learn(name: string | undefined, tool: KnownTool): void {
    if (name !== undefined) this.#known.set(name, tool);
  }

  /**
   * For a call without a server here: passed on where another instance has the object of its handle. The handle is one of
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
    return this.#placed({ call, request, home, tool: undefined }, () => this.#away(handle));
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
    return this.#placed(named, async () => {
      const found = await this.#locate(call, settings, id, until);
      if ('there' in found) return found.there;
      if (!call.isOver) this.#take(call, found);
      return undefined;
    });
  }

  /** `find`: the instance that is to serve the call; `undefined`: this one. */
  #placed(named: NamedCall, find: () => Promise<string | undefined>): Promise<boolean> {
    const { call, home } = named;
    return this.#pass(named, find).catch((cause: unknown) => {
      if (call.isOver) return false;
      const error = thrownAnswer(call.takeThrown(cause));
      void home.send({ jsonrpc: '2.0', id: call.id ?? 0, error });
      return false;
    });
  }

  async #pass(named: NamedCall, find: () => Promise<string | undefined>): Promise<boolean> {
    const { call, home } = named;
    const { timeProvider: time, maxWaitMs } = this.#given.options;
    const until = time.monotonic() + maxWaitMs;
    const passed = passedOver(call);
    for (let tries = 0; !call.isOver; tries++) {
      const there = await find();
      if (call.isOver) return false;
      if (there === undefined) return true;
      if (passed !== undefined) {
        passed.handOver(false);
        throw new CallRefusal(ownerLost(false));
      }
      const far = new FarCall(call, home);
      const outcome = await this.#send(named, there, far);
      if (outcome === 'done') return false;
      far.drop();
      if (outcome === 'unreachable') throw new CallRefusal(callUnreachable());
      if (outcome === 'lost') await this.#countRun(named);
      if (time.monotonic() >= until) throw new CallRefusal(ownerLost(runsBefore(call) > 0));
      await pause(time, tries);
    }
    return false;
  }

  /** A call may have run at an instance that is lost. Rejects where it may not run again. */
  async #countRun({ call, request, home, tool }: NamedCall): Promise<void> {
    const runs = runsBefore(call) + 1;
    if (!isHarmless(tool ?? (await home.toolOf?.(request)))) throw new CallRefusal(ownerLost(true));
    if (runs >= MOST_RUNS) throw new CallRefusal(ranTooOften(runs));
    noteAttempt(call, runs + 1);
    const { live, stream, sent, attemptKey: key } = call;
    if (stream?.logged !== true || sent === undefined) return;
    // The next owner of the session runs it no more often than allowed.
    const counted = await this.#records.reach(async () =>
      live?.markers?.countRun(key ?? attemptKey(sent), stream.key, runs + 1),
    );
    if (counted === 'fenced') throw new CallRefusal(ownerLost(true));
  }

  #send({ call, request }: NamedCall, to: string, far: FarCall): Promise<RelayOutcome> {
    const { method, url, absoluteUrl, headers, clientAddress, userKey, authInfo } =
      call.caller as CallerRequest;
    const fields = { method, url, absoluteUrl, headers, address: clientAddress, user: userKey };
    const runs = runsBefore(call);
    const text = JSON.stringify(request);
    const post = { messages: [], requests: [request], batch: false, only: request, text };
    return this.#relay.send(to, {
      kind: 'handle',
      caller: new SentRequest(fields, authInfo, far),
      sink: far,
      post,
      requestId: request.id,
      ...(runs > 0 && { mayHaveRun: runs }),
      session: call.live && sessionOf(call.live),
      onReplies: (reply) => void (far.reply = reply),
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
      return await this.#elsewhere(await this.#given.handles.read(handle));
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
    // Nothing is passed to one that has no lease: the call looks again until it has returned, or is dead.
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
      const { epoch } = outcome.record;
      return this.#add(handle, settings, epoch, me, readHead(record).lastsMs);
    });
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
    const refuses = (record: StoredRecord): Promise<void> => object.refuses(record);
    const handle = this.#given.handles.handle(object.handle, isNew, refuses);
    const opened = async (): Promise<unknown> => {
      const value = await object.open(() => settings.open(handle.state));
      await object.confirm();
      if (call.isOver) throw callCut();
      return value;
    };
    const value = await opened().catch(async (cause: unknown) => {
      // The model has not heard of it, and never will.
      if (isNew) await handle.end();
      throw cause;
    });
    const result = await handler({ object: value, handle });
    // A process that was frozen does not answer for an object that is open elsewhere by now.
    await object.confirm().catch((cause: unknown) => {
      throw cause instanceof CallRefusal ? cause : new CallRefusal(ownerLost(true));
    });
    return result;
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

  #sweep(): void {
    for (const object of this.#objects.values()) if (object.isOverdue) void object.close();
  }

  get size(): number {
    return this.#objects.size;
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

const sessionOf = ({ view, record }: SessionOfCall): SentSession => ({
  id: view.id,
  createdAt: view.createdAt,
  version: view.protocolVersion,
  clientInfo: view.clientInfo,
  capabilities: view.clientCapabilities,
  logLevel: record.head.logLevel,
});

/** The link of a call that another instance has passed on. */
function passedOver({ caller, live }: Call): LinkSink | undefined {
  const { relayOrigin } = caller as Partial<CallerRequest>;
  return live === undefined && relayOrigin instanceof LinkSink ? relayOrigin : undefined;
}
