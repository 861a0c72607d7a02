/**
 * A place for a child: of one session, of one user, of one call or of all callers. The child starts
 * when a message needs it, gets again what its client set, and stops when others need the room.
 *
 *     cold ──a message──▶ waiting for room ──▶ starting ──▶ ready ──idle, or no room──▶ cold
 *                                                 └──dies──▶ cold    └──dies──▶ cold, its calls end
 *
 * A child that dies five times in a minute is not started again for the rest of that minute. If it
 * ends before it answers anything, it starts again after a pause (`start-pauses.ts`).
 */
import { subscriptionsTooLarge } from '../base/errors.ts';
import { CallRefusal } from '../base/errors/answer-error.ts';
import { unlessAborted, within } from '../base/system.ts';
import { roleOf } from '../base/protocol/methods.ts';
import { countedBytes, SUBSCRIPTION_BYTES } from '../session/record/subscriptions.ts';
import type { Logger, TimeProvider } from '../base/types.ts';
import {
  Child,
  ChildEnded,
  type RpcParams,
  type Question,
  type Result,
  type Stopped,
} from './child.ts';
import { ChildQuestions } from './child-questions.ts';
import type { Command } from './command.ts';
import { initialize } from './handshake.ts';
import type { StartPauses } from './start-pauses.ts';
import { type ChildHandshake, envelopeOf, isOfNoCall, withoutSubscription } from './wire.ts';

/** Hears of lists and resources that changed. */
export interface Watcher {
  changed(method: string, params: RpcParams): void;
}

/** For whom the child is. */
export interface Tenant {
  /** Callers with the same owner share a part of all children. */
  readonly owner: string;
  /** All callers: what names no request may be about another client's. */
  readonly isAll?: boolean;
  /**
   * For so long the client of its calls has shown no sign. Absent: the calls of a client that leaves are cancelled.
   */
  unseenMs?(): number;
  /** Asked before each start: a caller may have other headers by then. */
  command(): Command;
  /** All children of the program share them. */
  readonly pauses?: StartPauses;
  /** Its entry in a file of programs, for the log. */
  readonly program?: string | undefined;
  /** Its child is only asked which revision it speaks, and may end at that. */
  readonly isTrial?: boolean;
  /** Its child was stopped, because it is idle or others need the room. */
  wentCold?(): void;
}

/** Gives room to children, and takes it back. */
export interface ChildRoom {
  readonly options: {
    readonly startMs: number;
    readonly time: TimeProvider;
    readonly logger: Pick<Logger, 'warn' | 'debug'>;
  };
  /** Milliseconds of a clock that is never set. */
  readonly now: number;
  /** Resolves when a child of this place may start, unless `signal` aborts. Call `started` and `left` later. */
  enter(place: Place, signal: AbortSignal): Promise<void>;
  /** The start is over. */
  started(place: Place): void;
  /** None of its processes lives. */
  left(place: Place): void;
  /** A child may be stopped now. */
  roomFreed(): void;
}

/** Keeps its child although no request runs: its client must answer a question first. */
export interface Waiting {
  readonly since: number;
  giveUp(why: string): void;
}

/** Bytes of the URIs that one child may get: as many as four sessions may have. */
const CHILD_URI_BYTES = 4 * SUBSCRIPTION_BYTES;
const MOST_TURNS = 4;
/** A client that lost its connection comes back within seconds. */
const ABANDONED_MS = 60_000;
const DEATHS = { most: 5, withinMs: 60_000 };

export class Place {
  readonly #room: ChildRoom;
  readonly tenant: Tenant;
  /** `undefined`: a child of 2026-07-28 has none. */
  readonly handshake: ChildHandshake | undefined;
  readonly questions: ChildQuestions;
  #leases = 0;
  #usedAt: number;
  #child: Child | undefined = undefined;
  #starting: Promise<Child> | undefined = undefined;
  /** Who waits for the start. */
  #wanted = 0;
  /** Takes the place from the queue of starts. `undefined`: it is not there. */
  #queued: AbortController | undefined = undefined;
  /** When its child was ready, and how long that took. */
  #readiness = { at: 0, tookMs: 0 };
  /** It has not answered its handshake yet. */
  #newborn: Child | undefined = undefined;
  #deaths: readonly { readonly at: number; readonly how: ChildEnded }[] = [];
  #isInitialized: boolean;
  #isRemoved = false;
  #level: string | undefined = undefined;
  /** With the resources that each has subscribed to. */
  readonly #watchers = new Map<Watcher, Set<string>>();
  /** The `subscriptions/listen` of a child of 2026-07-28. */
  #listening = new AbortController();
  waiting: Waiting | undefined = undefined;
  /** What the child answered to `initialize`. */
  answer: Result | undefined = undefined;

  /** `isInitialized`: its client has sent `notifications/initialized`, or need not. */
  constructor(
    room: ChildRoom,
    tenant: Tenant,
    handshake: ChildHandshake | undefined,
    isInitialized: boolean,
  ) {
    this.#room = room;
    this.tenant = tenant;
    this.handshake = handshake;
    this.#isInitialized = isInitialized;
    this.#usedAt = room.now;
    // The handshake of its child said whether it can ask.
    const asks = Object.keys(handshake?.capabilities ?? {}).length > 0;
    const refusal =
      tenant.isAll === true ? 'Several clients share this program' : 'This client cannot be asked';
    this.questions = new ChildQuestions(room.options.time, asks ? undefined : refusal);
  }

  get child(): Child | undefined {
    return this.#child?.isOpen === true ? this.#child : undefined;
  }

  /** A child lives, or is about to. */
  get isWarm(): boolean {
    return this.#starting !== undefined || this.child !== undefined;
  }

  get isLeased(): boolean {
    return this.#leases > 0;
  }

  /** No request needs the child now. */
  get isIdle(): boolean {
    return this.#leases === 0 && this.#starting === undefined;
  }

  /** Calls run, and their client is gone: it will hardly come back for their answers. */
  get isAbandoned(): boolean {
    return this.#leases > 0 && (this.tenant.unseenMs?.() ?? 0) >= ABANDONED_MS;
  }

  get usedAt(): number {
    return this.#usedAt;
  }

  /**
   * Its child makes no room before: for as long as its start took, after its last request. So children do more than start
   * and stop. A client that calls on and on has `MOST_TURNS` such times while others wait.
   */
  get keptUntil(): number {
    const { at, tookMs } = this.#readiness;
    return Math.min(Math.max(at, this.#usedAt) + tookMs, at + MOST_TURNS * tookMs);
  }

  // ——— what the client sets ———

  /** Its client is ready for questions. The child gets to know it once. */
  initialized(): void {
    if (this.#isInitialized) return;
    this.#isInitialized = true;
    if (this.child !== undefined) this.#tellInitialized(this.child);
  }

  /** `false`: the child has this level. */
  setLevel(level: string): boolean {
    const isNew = this.#level !== level;
    this.#level = level;
    return isNew;
  }

  // ——— what changes in the child ———

  watch(watcher: Watcher, uris: readonly string[] = []): void {
    const before = this.#uris;
    this.#watchers.set(watcher, new Set(uris));
    this.#tellUris(before);
  }

  unwatch(watcher: Watcher): void {
    const before = this.#uris;
    this.#watchers.delete(watcher);
    this.#tellUris(before);
  }

  /**
   * For a child of 2025 the watcher sends the request itself, because its client gets the answer.
   * `false`: another watcher has subscribed too.
   */
  subscribe(watcher: Watcher, uri: string, wanted: boolean): boolean {
    if (wanted && !this.hasRoomFor([uri]))
      throw new CallRefusal(subscriptionsTooLarge(CHILD_URI_BYTES));
    const own = this.#watchers.get(watcher);
    own?.delete(uri);
    const isFirst = !this.#uris.has(uri);
    if (wanted) own?.add(uri);
    if (this.handshake === undefined && this.child !== undefined) this.#listenTo(this.child);
    return isFirst;
  }

  /** `false`: with these the child would have too many subscriptions. */
  hasRoomFor(uris: readonly string[]): boolean {
    let bytes = 0;
    for (const uri of new Set([...this.#uris, ...uris])) bytes += countedBytes(uri);
    return bytes <= CHILD_URI_BYTES;
  }

  get #uris(): ReadonlySet<string> {
    return new Set([...this.#watchers.values()].flatMap((uris) => [...uris]));
  }

  /** A watched resource keeps the child from being idle. It still makes room for others. */
  get hasSubscription(): boolean {
    return [...this.#watchers.values()].some(({ size }) => size > 0);
  }

  #tellUris(before: ReadonlySet<string>): void {
    const { child } = this;
    if (child === undefined) return;
    if (this.handshake === undefined) return this.#listenTo(child);
    const now = this.#uris;
    const tell = (verb: string, uri: string): void =>
      void child.request(`resources/${verb}`, { uri }).catch(() => {});
    for (const uri of now) if (!before.has(uri)) tell('subscribe', uri);
    for (const uri of before) if (!now.has(uri)) tell('unsubscribe', uri);
  }

  /** One request stays open for all watchers. It is sent again when they want something else. */
  #listenTo(child: Child): void {
    const last = this.#listening;
    this.#listening = new AbortController();
    const lists = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
    const notifications = { ...lists, resourceSubscriptions: [...this.#uris] };
    if (this.#watchers.size > 0)
      child
        .request('subscriptions/listen', { _meta: envelopeOf(), notifications }, this.#listening)
        .catch(() => {});
    last.abort();
  }

  // ——— requests ———

  /** The child stays until the lease ends. */
  lease(): () => void {
    this.#leases += 1;
    this.#usedAt = this.#room.now;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#leases -= 1;
      this.#usedAt = this.#room.now;
      if (this.isIdle) this.#room.roomFreed();
    };
  }

  #notified(method: string, params: RpcParams): void {
    if (isOfNoCall(method)) return this.#changed(method, params);
    if (this.tenant.isAll === true) return;
    const only = this.#child?.onlyNotified;
    if (only !== undefined) only(method, params);
    else for (const { notified } of this.questions.listeners) notified?.(method, params);
  }

  #changed(method: string, params: RpcParams): void {
    // The child may name a part of a resource. It is for its only watcher, if it has one.
    const isForAll = roleOf(method) !== 'updated' || this.#watchers.size === 1;
    const told = withoutSubscription(params);
    for (const [watcher, uris] of this.#watchers)
      if (isForAll || uris.has(String(params?.['uri']))) watcher.changed(method, told);
  }

  // ——— its child ———

  /**
   * Rejects with `ChildEnded`, with `childrenBusy` or `childrenStarting`, or with the child's
   * error. When `signal` aborts it rejects with the reason: a start for which no other call waits
   * is not begun. `times`: how much longer than `startMs` the start may take.
   */
  async ready(signal?: AbortSignal, times = 1): Promise<Child> {
    for (;;) {
      const child = this.child ?? (await this.#started(signal, times));
      await this.questions.first?.wait();
      if (child.isOpen || this.#isRemoved) return child;
    }
  }

  async #started(signal: AbortSignal | undefined, times: number): Promise<Child> {
    const starting = (this.#starting ??= this.#start(times).finally(() => {
      if (this.#starting === starting) this.#starting = undefined;
    }));
    this.#wanted += 1;
    try {
      return await unlessAborted(signal, starting);
    } finally {
      this.#wanted -= 1;
      if (this.#wanted === 0) this.#leaveQueue();
    }
  }

  #leaveQueue(): void {
    if (this.#queued === undefined) return;
    this.#queued.abort(new ChildEnded('No call waits for it', ''));
    this.#queued = undefined;
    this.#starting = undefined;
  }

  async #start(times: number): Promise<Child> {
    const { options } = this.#room;
    this.#checkDeaths();
    const command = this.tenant.command();
    const queued = (this.#queued = new AbortController());
    await this.#room.enter(this, queued.signal).finally(() => {
      if (this.#queued === queued) this.#queued = undefined;
    });
    const began = this.#room.now;
    let child: Child | undefined;
    try {
      this.#checkDeaths();
      child = new Child(command, this.#events());
      this.#newborn = child;
      const { ended } = child;
      void ended.then(() => this.#room.left(this));
      await this.#greet(child, options.startMs * times);
      if (this.#isRemoved) throw new ChildEnded(`${child.name} was stopped`, '');
      this.#child = child;
      const at = this.#room.now;
      this.#readiness = { at, tookMs: at - began };
      this.#restore(child);
      return child;
    } catch (cause) {
      if (child === undefined) this.#room.left(this);
      void child?.stop();
      throw cause;
    } finally {
      this.#newborn = undefined;
      this.#room.started(this);
      options.logger.debug({ child: child?.pid }, 'A child of the program started');
    }
  }

  /** Throws while no child may start. */
  #checkDeaths(): void {
    const { owner, pauses } = this.tenant;
    pauses?.check(owner);
    this.#deaths = this.#deaths.filter(({ at }) => at > this.#room.now - DEATHS.withinMs);
    const { how } = this.#deaths.at(-DEATHS.most) ?? {};
    if (how === undefined) return;
    throw new ChildEnded(`${how.message}, ${DEATHS.most} times in a minute`, how.stderr);
  }

  #events() {
    const { logger } = this.#room.options;
    const { owner, pauses, program, isTrial = false } = this.tenant;
    let hasAnswered = false;
    return {
      answered: () => {
        if (!hasAnswered) pauses?.answered(owner);
        hasAnswered = true;
      },
      question: (question: Question) => this.questions.take(question),
      notified: (method: string, params: RpcParams) => this.#notified(method, params),
      outlived: (stopped: Stopped) =>
        logger.warn({ ...stopped }, 'A child is killed: it did not end when it was stopped'),
      said: (line: string) => logger.debug({ line: line.slice(0, 500) }, 'A child wrote'),
      ended: (err: ChildEnded) => {
        if (isTrial) return;
        if (hasAnswered) this.#deaths = [...this.#deaths, { at: this.#room.now, how: err }];
        else pauses?.ended(owner, err);
        if (this.#child?.isOpen === false && this.#starting === undefined)
          logger.warn(
            { program, why: err.message },
            'A child ended: the next message starts it again',
          );
      },
    };
  }

  async #greet(child: Child, ms: number): Promise<void> {
    const late = (): never => {
      const what = `${child.name} did not answer initialize within ${ms} ms`;
      throw new ChildEnded(what, child.stderr);
    };
    if (this.handshake === undefined) return;
    const asked = initialize(child, this.handshake);
    this.answer = await within(this.#room.options.time, ms, asked, late);
  }

  /** Sends what its client has set. The child reads it before any call. */
  #restore(child: Child): void {
    if (!this.#isInitialized) return;
    if (this.handshake !== undefined) this.#tellInitialized(child);
    const level = this.#level;
    if (level !== undefined) child.request('logging/setLevel', { level }).catch(() => {});
    this.#tellUris(new Set());
  }

  #tellInitialized(child: Child): void {
    child.notify('notifications/initialized');
    this.questions.initialized(child);
  }

  goCold(): void {
    void this.stop().then(() => this.isWarm || this.tenant.wentCold?.());
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await child?.stop();
  }

  /** For `Pool.remove`. */
  async end(): Promise<void> {
    this.#isRemoved = true;
    this.#leaveQueue();
    await Promise.all([this.stop(), this.#newborn?.stop(), this.#starting?.catch(() => {})]);
  }
}
