/**
 * Calls of sessions that need a lease or a store that is away. They wait instead of being refused, because no client
 * retries a refused call:
 *
 *     waiting ──lease or store back, or a round──▶ attempted ──served──▶ left
 *        │                                             ╰──still away──▶ waiting
 *        ╰──its deadline, or the endpoint drained──▶ refused, or accepted
 *
 * The calls of one session wait in order, and only one is attempted at a time, until it is placed or refused:
 *
 *     request              → waits up to `maxWaitMs`, then its error says what was missing
 *     answer, notification → the same. After the wait, or when its client leaves, it is accepted (202) and waits on,
 *                            because a client sends an answer once. While the endpoint drains it waits without being
 *                            accepted, and the end of the drain refuses it: what was accepted would be lost then
 *     GET                  → gets its head, and waits as long as its client does
 *
 * A request past `limits.requestsPerSession` waits too, until another request of its session ends. So does a resume while
 * this instance sends what many clients missed (`get.ts`), until one of them has it. A call leaves when its client
 * disconnects, and a request also when its client cancels it.
 *
 * Places are bounded, and bodies count in the memory budget; past the last place the newest call is refused. A user may
 * take half of what the others leave free. While the lease is lapsed nothing is attempted. Else each round attempts the
 * first calls of a few sessions, and the first that is served wakes the others.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { Budget, shareKey } from '../../base/budget.ts';
import { afterTurn } from '../../base/system.ts';
import { restoreFailed, SojournError } from '../../base/errors.ts';
import { reasonOf } from '../../http/answer.ts';
import type { Held } from '../../http/body.ts';
import { type Inbound, isSilent, type NextAttempt, reads } from '../../session/inbound/inbound.ts';
import { afterWait, isFull, isHookFailure, mayWaitOn } from '../../session/inbound/retries.ts';
import type { StepNotice } from '../../base/observe/step-notices.ts';
import type { MaybePromise } from '../../stores/store.ts';
import { SOON_MS } from '../../session/streams/reader.ts';
import { answerToResume, openHead } from './get.ts';
import type { LegacyParts } from './era-parts.ts';

/** Between two rounds, and as much again at random: too short to notice, and no flood for a store that is back. */
const ROUND_MS = 100;
/** Attempts that a round begins, and each turn of the event loop when the store is back. */
const PER_TURN = 16;
const USER_SHARE = 1 / 2;
/** How long accepted answers and notifications wait on: after 60 s clients give up the request that one answers. */
const ACCEPTED_MS = 60_000;

/** The result of an attempt that passed the call to its session, or to the link to its owner. */
export interface Attempted {
  /** Settles when the call is answered, or must be tried again. */
  readonly outcome: MaybePromise<NextAttempt>;
}

/** Where calls go when they need not wait any more. */
export interface WaitingHost {
  /**
   * Locates the session and serves the call there. `undefined`: its owner has changed since, so
   * attempt it again.
   */
  attempt(id: string, inbound: Inbound): Promise<Attempted | undefined>;
  /** Continues with a call that was placed. */
  follow(id: string, inbound: Inbound, outcome: MaybePromise<NextAttempt>): Promise<void>;
  refuse(inbound: Inbound, cause: unknown): void;
}

/** The calls of one session and kind, oldest first. */
interface Queue {
  readonly key: string;
  readonly calls: Set<QueuedCall>;
  /** One at a time, also where that call has left. */
  attempted: QueuedCall | undefined;
  /** When a round last attempted its first call, by the monotonic clock. */
  attemptedAt: number;
}

interface QueuedCall {
  /** The session; empty: the call opens one. */
  readonly id: string;
  readonly queue: Queue;
  readonly since: number;
  inbound: Inbound;
  /** A time of the monotonic clock, in ms. */
  deadline: number;
  /** Why it waits. */
  cause: unknown;
  /** Failures of hooks. */
  failures: number;
  /** What it holds of the memory budget, where it waits on when its client has left. */
  held: Held | undefined;
  /** Resolves what `add` returned, where the call was placed with its end. */
  over(end?: Promise<void>): void;
}

export class WaitingRequests {
  readonly #given: LegacyParts;
  readonly #host: WaitingHost;
  /** Oldest first. */
  readonly #queues = new Map<string, Queue>();
  readonly #places: Budget;
  #timer: unknown = undefined;
  #isWaking = false;

  constructor(given: LegacyParts, host: WaitingHost) {
    this.#given = given;
    this.#host = host;
    this.#places = new Budget(given.options.limits.waitingRequests, USER_SHARE);
  }

  get size(): number {
    return this.#places.used;
  }

  get #now(): number {
    return this.#given.options.timeProvider.monotonic();
  }

  /** Whether calls of this session wait which a call of this kind must not overtake. */
  has(id: string, kind: Inbound['kind']): boolean {
    return this.#queues.has(keyOf(id, kind));
  }

  /** Resolves when the call has left the queue and is answered; `undefined`: it may not wait. */
  add(id: string, given: Inbound, cause: unknown): Promise<void> | undefined {
    const { caller } = given;
    const now = this.#now;
    const deadline = reads(given)
      ? Infinity
      : (given.waitUntil ?? now + this.#given.options.maxWaitMs);
    if (deadline <= now || this.#given.lifecycle.refusal !== undefined) return undefined;
    // No place is left for this user.
    if (!this.#places.take(1, shareOf(given))) return undefined;
    const key = keyOf(id, given.kind);
    const queue = this.#queues.get(key) ?? {
      key,
      calls: new Set(),
      attempted: undefined,
      attemptedAt: -Infinity,
    };
    return new Promise((over) => {
      const call: QueuedCall = {
        id,
        queue,
        since: now,
        inbound: reads(given) ? openHead(this.#given, given) : { ...given, waitUntil: deadline },
        deadline,
        cause,
        failures: isHookFailure(cause) ? 1 : 0,
        held: undefined,
        over,
      };
      this.#queues.set(key, queue);
      queue.calls.add(call);
      if (isSilent(given)) caller.heldBy({ holds: (held) => void (call.held = held) });
      if (this.#timer === undefined) this.#arm();
      this.#attemptWhenFreed(call);
      // Answers and notifications are delivered even if the client left.
      const left = (): void =>
        isSilent(given) ? this.#waitOn(call, 'accept') : this.#remove(call);
      if (given.isAccepted !== true) caller.onClose(left);
    });
  }

  /**
   * Drops a request that its user cancelled. `false`: no such request of that user waits, or it may run at an owner,
   * which must get the cancellation too.
   */
  cancel(id: string, requestId: RequestId, user: string | undefined): boolean {
    for (const call of this.#queues.get(keyOf(id, 'post'))?.calls ?? []) {
      const { inbound } = call;
      if (
        inbound.kind !== 'post' ||
        inbound.requestId !== requestId ||
        inbound.caller.userKey !== user
      )
        continue;
      inbound.sink.end();
      this.#remove(call);
      return inbound.mayHaveRun === undefined;
    }
    return false;
  }

  /** This instance is cut off from the store: clients of GETs that wait resume at another instance. */
  endToResumeElsewhere(): void {
    const retryMs = Math.min(SOON_MS, this.#given.options.retryMs);
    for (const call of this.#calls()) {
      if (!reads(call.inbound) || call.queue.attempted === call) continue;
      if (answerToResume(this.#given, call.inbound, retryMs)) this.#remove(call);
    }
  }

  /** Refuses every call that waits, once the endpoint has drained or closes. */
  refuseAll(): void {
    for (const call of this.#calls()) this.#expire(call);
  }

  *#calls(): Generator<QueuedCall> {
    for (const queue of this.#queues.values()) yield* queue.calls;
  }

  // ——— rounds ———

  #arm(): void {
    const { options, random, instance } = this.#given;
    // After a suspend the lease is renewed now instead of at its next tick.
    if (!instance.lease.valid) instance.lease.renewNow();
    const jitter = ((random(1)[0] ?? 0) / 256) * ROUND_MS;
    this.#timer = options.timeProvider.setTimeout(() => {
      this.#timer = undefined;
      const now = this.#now;
      for (const call of this.#calls()) if (now >= call.deadline) this.#expire(call);
      this.#attemptSome();
      if (this.size > 0 && this.#timer === undefined) this.#arm();
    }, ROUND_MS + jitter);
  }

  /** Attempts the sessions whose last attempt is a round ago, oldest first. `false`: there may be more of them. */
  #attemptSome(): boolean {
    if (!this.#given.instance.lease.valid) return true;
    const now = this.#now;
    let begun = 0;
    for (const queue of this.#queues.values()) {
      if (begun === PER_TURN) return false;
      if (now - queue.attemptedAt < ROUND_MS || !this.#attempt(queue)) continue;
      queue.attemptedAt = now;
      begun += 1;
    }
    return true;
  }

  /** The lease is valid again, or the store answers. */
  wake(): void {
    if (this.#isWaking || this.size === 0) return;
    this.#isWaking = true;
    afterTurn(() => {
      this.#isWaking = false;
      if (!this.#attemptSome()) this.wake();
    });
  }

  /** `false`: an attempt is under way. */
  #attempt(queue: Queue): boolean {
    const first = nextOf(queue.calls);
    if (first === undefined || queue.attempted !== undefined) return false;
    queue.attempted = first;
    void this.#place(first);
    return true;
  }

  async #place(call: QueuedCall): Promise<void> {
    const { id, inbound, queue } = call;
    try {
      const placed = await this.#host.attempt(id, inbound);
      // It keeps its place until the next round.
      if (placed === undefined) throw restoreFailed();
      queue.attempted = undefined;
      this.#remove(call, 'served', this.#host.follow(id, call.inbound, placed.outcome));
      // The call behind it need not wait for a round.
      this.#attempt(queue);
      this.wake();
    } catch (cause) {
      queue.attempted = undefined;
      call.cause = cause;
      if (isHookFailure(cause)) call.failures += 1;
      if (!mayWaitOn(cause, call.failures)) this.#refuse(call);
      else if (this.#now >= call.deadline) this.#expire(call);
      else this.#attemptWhenFreed(call);
    }
  }

  /** When another request of its session has ended, if it waits for that. */
  #attemptWhenFreed({ id, inbound, cause, queue }: QueuedCall): void {
    const session = isFull(cause) && !reads(inbound) ? this.#given.registry.get(id) : undefined;
    void session?.calls.running.freed().then(() => this.#attempt(queue));
  }

  // ——— how a call leaves ———

  /** Its time is over. An attempt that is under way may still serve it. If that fails, it is refused then. */
  #expire(call: QueuedCall): void {
    if (call.queue.attempted === call) return;
    const next = afterWait(call.inbound, this.#given.lifecycle.state);
    if (next === 'refuse') this.#refuse(call);
    else this.#waitOn(call, next);
  }

  /** `accept`: answers 202 to answers and notifications that have not reached their session. They wait on. */
  #waitOn(call: QueuedCall, next: 'accept' | 'waitOn'): void {
    if (!call.queue.calls.has(call) || call.inbound.isAccepted === true) return;
    // The endpoint has drained: refuse the call, so that another instance can deliver it.
    if (this.#given.lifecycle.refusal !== undefined) return this.#refuse(call);
    call.deadline = this.#now + ACCEPTED_MS;
    if (next === 'waitOn') return;
    call.inbound.sink.done(202);
    call.inbound = { ...call.inbound, isAccepted: true };
  }

  #refuse(call: QueuedCall): void {
    if (!call.queue.calls.has(call)) return;
    this.#host.refuse(call.inbound, call.cause);
    this.#remove(call, 'refused');
  }

  #remove(
    call: QueuedCall,
    outcome: StepNotice<'requestWaited'>['outcome'] = 'left',
    end?: Promise<void>,
  ): void {
    const { timeProvider, notices } = this.#given.options;
    const { calls, key } = call.queue;
    // It has left already.
    if (!calls.delete(call)) return;
    if (calls.size === 0) this.#queues.delete(key);
    this.#places.charge(-1, shareOf(call.inbound));
    if (this.size === 0) {
      timeProvider.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    call.held?.release();
    const reason = call.cause instanceof SojournError ? reasonOf(call.cause) : 'hook_failed';
    notices.emit({
      kind: 'requestWaited',
      reason,
      outcome,
      ms: this.#now - call.since,
      sessionId: call.id || undefined,
    });
    call.over(end);
  }
}

/** The oldest call. While that waits for a place in its session, answers pass it: a call that runs may wait for them. */
function nextOf(calls: Iterable<QueuedCall>): QueuedCall | undefined {
  const [first] = calls;
  if (first === undefined || !isFull(first.cause)) return first;
  for (const call of calls) if (isSilent(call.inbound) && !isFull(call.cause)) return call;
  return first;
}

/** Whose share of the places a call counts in. */
const shareOf = ({ caller }: Inbound): string => shareKey(caller.userKey, caller.clientAddress);

/** Readers of streams wait in a separate queue, so that no other call waits behind them. */
function keyOf(id: string, kind: Inbound['kind']): string {
  return reads({ kind }) ? `get ${id}` : id;
}
