/**
 * Calls of sessions that wait for a lease or a store (`waiting-room.ts`). Those of one session wait in order, and only
 * the first is attempted, until it is placed or refused:
 *
 *     request              → waits up to `waitMs`, then its error says what was missing
 *     answer, notification → the same. After the wait, or when its client leaves, it is accepted (202) and waits on,
 *                            because a client sends an answer once. While the endpoint drains it waits without being
 *                            accepted, and the end of the drain refuses it: what was accepted would be lost then
 *     GET                  → waits as long as its client does. After 250 ms it gets its head, so that the client does
 *                            not take the connection for broken
 *
 * A request past `limits.requestsPerSession` waits too, until another request of its session ends. A call leaves when
 * its client disconnects, and a request also when its client cancels it.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { shareKey } from '../../base/budget.ts';
import { SojournError } from '../../errors.ts';
import { reasonOf } from '../../http/answer.ts';
import {
  type Inbound,
  type InboundKind,
  isAbandoned,
  isRequest,
  type NextAttempt,
  reads,
} from '../../inbound/inbound.ts';
import { afterWait, isHookFailure, mayWaitOn } from '../../inbound/retries.ts';
import type { WaitedNotice } from '../../observe/step-notices.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { Waiter, WaitingRoom } from '../../session/ownership/waiting-room.ts';
import type { MaybePromise } from '../../stores/store.ts';
import type { LegacyGets } from './get.ts';

/**
 * Clients take a response without a head for broken after some seconds, and proxies sooner. A restore is shorter.
 */
const HEAD_MS = 250;
/**
 * How long accepted answers and notifications wait on: after 60 s clients give up the request that the answer belongs
 * to.
 */
const ACCEPTED_MS = 60_000;

/** The result of an attempt that passed the call to its session, or to the link to its owner. */
export interface Placed {
  /** Settles when the call is answered, or must be tried again. */
  readonly outcome: MaybePromise<NextAttempt>;
}

/** Where calls go when they need not wait any more. */
export interface WaitingHost {
  attempt(id: string, inbound: Inbound): Promise<Placed>;
  /** Continues with a call that was placed. */
  follow(id: string, inbound: Inbound, outcome: MaybePromise<NextAttempt>): Promise<void>;
  /** For a call that waits for another request of its session to end: resolves to `true` when a request did. */
  freed(id: string, cause: unknown): Promise<true> | undefined;
  refuse(inbound: Inbound, cause: unknown): void;
}

/** The calls of one session and kind, oldest first. */
interface Queue {
  readonly key: string;
  readonly calls: Set<QueuedCall>;
  /** One attempt at a time, also where its call has left. */
  isAttempting: boolean;
}

interface QueuedCall extends Waiter {
  /** The session. */
  readonly id: string;
  readonly queue: Queue;
  inbound: Inbound;
  /** What it holds of the memory budget, where it waits on when its client has left. */
  held: { release(): void } | undefined;
  /** Why it waits. */
  cause: unknown;
  readonly since: number;
  /** Failures of hooks. */
  failures: number;
  state: 'waiting' | 'attempting' | 'left';
  headTimer: unknown;
  left(): void;
}

export interface WaitingOptions {
  readonly options: ResolvedOptions;
  readonly waitingRoom: WaitingRoom;
  readonly lifecycle: Lifecycle;
  readonly gets: LegacyGets;
}

export class WaitingRequests {
  readonly #given: WaitingOptions;
  readonly #host: WaitingHost;
  readonly #queues = new Map<string, Queue>();

  constructor(given: WaitingOptions, host: WaitingHost) {
    this.#given = given;
    this.#host = host;
  }

  get #now(): number {
    return this.#given.options.timeProvider.monotonic();
  }

  /** Whether calls of this session wait which a call of this kind must not overtake. */
  has(id: string, kind: InboundKind): boolean {
    return this.#queues.has(keyOf(id, kind));
  }

  /** Resolves when the call has left the queue and is answered; `undefined`: it may not wait. */
  add(id: string, given: Inbound, cause: unknown): Promise<void> | undefined {
    const isSilent = given.post !== undefined && !given.post.messages.some(isRequest);
    const now = this.#now;
    const deadline = reads(given) ? Infinity : (given.waitUntil ?? now + this.#given.options.waitMs);
    if (deadline <= now) return undefined;
    const key = keyOf(id, given.kind);
    const queue = this.#queues.get(key) ?? { key, calls: new Set(), isAttempting: false };
    const call: QueuedCall = {
      user: shareKey(given.caller.user, given.caller.clientAddress),
      bytes: given.post?.text?.length ?? 0,
      deadline,
      attemptedAt: -Infinity,
      attempt: () => this.#attempt(call),
      // An attempt that is under way may still serve the call. If it fails, the call is refused then.
      expired: () => call.state === 'waiting' && this.#over(call),
      id,
      queue,
      inbound: { ...given, waitUntil: deadline },
      held: undefined,
      cause,
      since: now,
      failures: isHookFailure(cause) ? 1 : 0,
      state: 'waiting',
      headTimer: undefined,
      left: () => {},
    };
    if (!this.#given.waitingRoom.enter(call)) return undefined;
    const { inbound } = call;
    if (isSilent) inbound.caller.heldBy({ holds: (bytes) => void (call.held = bytes) });
    return new Promise((resolve) => {
      call.left = resolve;
      this.#queues.set(key, queue);
      queue.calls.add(call);
      this.#attemptWhenFreed(call);
      if (reads(inbound)) this.#openHeadLater(call, now);
      // Answers and notifications are delivered even if the client left.
      if (inbound.isAccepted !== true)
        inbound.caller.onClose(() => (isSilent ? this.#accept(call) : this.#remove(call)));
    });
  }

  /**
   * Drops a request that its user cancelled. `false`: no such request of that user waits, or it may run at an owner,
   * which must get the cancellation too.
   */
  cancel(id: string, requestId: RequestId, user: string | undefined): boolean {
    for (const call of this.#queues.get(keyOf(id, 'post'))?.calls ?? []) {
      const { inbound } = call;
      if (inbound.kind !== 'post' || inbound.requestId !== requestId || inbound.caller.user !== user) continue;
      inbound.sink.end();
      this.#remove(call);
      return inbound.mayHaveRun !== true;
    }
    return false;
  }

  /** This instance is cut off from the store: clients of GETs that wait resume at another instance. */
  endToResumeElsewhere(): void {
    for (const queue of this.#queues.values()) {
      for (const call of queue.calls) {
        if (!reads(call.inbound) || call.state !== 'waiting') continue;
        if (this.#given.gets.answerToResumeElsewhere(call.inbound)) this.#remove(call);
      }
    }
  }

  /** `false`: another call of its session is before it, or it is being attempted. */
  #attempt(call: QueuedCall): boolean {
    const { queue } = call;
    const [first] = queue.calls;
    if (first !== call || queue.isAttempting || call.state !== 'waiting') return false;
    queue.isAttempting = true;
    call.state = 'attempting';
    void this.#place(call);
    return true;
  }

  async #place(call: QueuedCall): Promise<void> {
    const { id, inbound, queue } = call;
    try {
      const { outcome } = await this.#host.attempt(id, inbound);
      const { left } = call;
      call.left = () => {};
      queue.isAttempting = false;
      this.#remove(call, 'served');
      void this.#host.follow(id, call.inbound, outcome).then(left);
      // The call behind it need not wait for a round.
      const [next] = queue.calls;
      if (next !== undefined) this.#attempt(next);
      this.#given.waitingRoom.wake();
    } catch (cause) {
      queue.isAttempting = false;
      call.cause = cause;
      if (call.state === 'attempting') call.state = 'waiting';
      if (isHookFailure(cause)) call.failures += 1;
      if (!mayWaitOn(cause, call.failures)) this.#refuse(call);
      else if (this.#now >= call.deadline) this.#over(call);
      else if (call.state === 'waiting') {
        this.#openDueHead(call);
        this.#attemptWhenFreed(call);
      }
    }
  }

  #attemptWhenFreed(call: QueuedCall): void {
    void this.#host.freed(call.id, call.cause)?.then(() => this.#attempt(call));
  }

  #over(call: QueuedCall): void {
    const next = afterWait(call.inbound, this.#given.lifecycle.state);
    if (next === 'accept') this.#accept(call);
    else if (next === 'refuse' || !this.#waitOn(call)) this.#refuse(call);
  }

  /** Answers 202 to answers and notifications that have not reached their session. They wait on. */
  #accept(call: QueuedCall): void {
    if (call.state === 'left' || call.inbound.isAccepted === true) return;
    // The endpoint has drained: refuse the call, so that another instance can deliver it.
    if (!this.#waitOn(call)) return this.#refuse(call);
    call.inbound.sink.done(202);
    call.inbound = { ...call.inbound, isAccepted: true };
  }

  /** `false`: the endpoint has drained. */
  #waitOn(call: QueuedCall): boolean {
    call.deadline = this.#now + ACCEPTED_MS;
    return this.#given.lifecycle.refusal === undefined;
  }

  #refuse(call: QueuedCall): void {
    if (call.state !== 'left') this.#host.refuse(call.inbound, call.cause);
    this.#remove(call, 'refused');
  }

  #remove(call: QueuedCall, outcome: WaitedNotice['outcome'] = 'left'): void {
    if (call.state === 'left') return;
    call.state = 'left';
    const { timeProvider, notices } = this.#given.options;
    timeProvider.clearTimeout(call.headTimer);
    const { calls, key } = call.queue;
    calls.delete(call);
    if (calls.size === 0) this.#queues.delete(key);
    this.#given.waitingRoom.leave(call);
    call.held?.release();
    const reason = call.cause instanceof SojournError ? reasonOf(call.cause) : 'hook_failed';
    notices.emit({ kind: 'waited', reason, outcome, ms: this.#now - call.since, sessionId: call.id });
    call.left();
  }

  /** Counts from when the call first waited, because attempts may fail often, each after less than `HEAD_MS`. */
  #openHeadLater(call: QueuedCall, now: number): void {
    const headAt = call.inbound.headAt ?? now + HEAD_MS;
    call.inbound = { ...call.inbound, headAt };
    if (headAt <= now) return this.#openDueHead(call);
    const { timeProvider } = this.#given.options;
    call.headTimer = timeProvider.setTimeout(() => this.#openDueHead(call), headAt - now);
  }

  /** Not during an attempt, which may answer in another way. */
  #openDueHead(call: QueuedCall): void {
    const { inbound, state } = call;
    const isDue = inbound.headAt !== undefined && this.#now >= inbound.headAt;
    if (isDue && state === 'waiting' && !isAbandoned(inbound)) call.inbound = this.#given.gets.openHead(inbound);
  }
}

/** Readers of streams wait in a separate queue, so that no other call waits behind them. */
function keyOf(id: string, kind: InboundKind): string {
  return reads({ kind }) ? `get ${id}` : id;
}
