/**
 * Calls that wait for a lease or a store, in order within their session:
 *
 *     request              → waits up to `waitMs`, then its error says what was missing
 *     answer, notification → the same. After the wait, or when its client leaves, it is accepted (202) and waits on,
 *                            because a client sends an answer once. While the endpoint drains it waits without being
 *                            accepted, and the end of the drain refuses it: what was accepted would be lost then
 *     GET                  → waits as long as its client does. After 250 ms it gets its head, so that the client does
 *                            not take the connection for broken
 *
 * A request past `limits.requestsPerSession` waits too, until another request of its session ends.
 *
 * A call that arrives while earlier calls of its session wait, waits behind them. A call leaves when its client
 * disconnects, and a request also when its client cancels it.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { SojournError } from '../../errors.ts';
import { reasonOf } from '../../http/answer.ts';
import { shareKey } from '../../base/budget.ts';
import type { WaitedNotice } from '../../observe/step-notices.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import {
  type Inbound,
  type InboundKind,
  isAbandoned,
  isRequest,
  type NextAttempt,
  reads,
} from '../../inbound/inbound.ts';
import { afterWait, isHookFailure, mayWaitOn } from '../../inbound/retries.ts';
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { WaitingRoom, Ticket } from '../../session/ownership/waiting-room.ts';
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

export interface WaitingOptions {
  readonly options: ResolvedOptions;
  readonly waitingRoom: WaitingRoom;
  readonly lifecycle: Lifecycle;
  readonly gets: LegacyGets;
}

interface QueuedCall {
  /** The session. */
  readonly id: string;
  inbound: Inbound;
  ticket: Ticket | undefined;
  /** What it holds of the memory budget, where it waits on when its client has left. */
  bytes: { release(): void } | undefined;
  /** Why it waits. */
  cause: unknown;
  /** A time of the monotonic clock, in ms. */
  readonly since: number;
  /** Failures of hooks. */
  failures: number;
  state: 'waiting' | 'attempting' | 'left';
  headTimer: unknown;
  left(): void;
}

export class WaitingRequests {
  readonly #options: WaitingOptions;
  readonly #router: WaitingHost;
  /** The key is session and kind. The oldest call is first. */
  readonly #queues = new Map<string, Set<QueuedCall>>();

  constructor(options: WaitingOptions, router: WaitingHost) {
    this.#options = options;
    this.#router = router;
  }

  /** Whether calls of this session wait which a call of this kind must not overtake. */
  has(id: string, kind: InboundKind): boolean {
    return this.#queues.has(keyOf(id, kind));
  }

  /** Resolves when the call has left the queue and is answered; `undefined`: it may not wait. */
  add(id: string, given: Inbound, cause: unknown): Promise<void> | undefined {
    const { waitingRoom, options } = this.#options;
    const silent = given.post !== undefined && !given.post.messages.some(isRequest);
    const now = options.timeProvider.monotonic();
    const until = reads(given) ? Infinity : (given.waitUntil ?? now + options.waitMs);
    if (until <= now) return undefined;
    const inbound: Inbound = { ...given, waitUntil: until };
    const entry: QueuedCall = {
      id,
      inbound,
      ticket: undefined,
      bytes: undefined,
      cause,
      since: now,
      failures: isHookFailure(cause) ? 1 : 0,
      state: 'waiting',
      headTimer: undefined,
      left: () => {},
    };
    entry.ticket = waitingRoom.enter(userOf(given), given.post?.text?.length ?? 0, until, () => this.#expired(entry));
    if (entry.ticket === undefined) return undefined;
    if (silent) inbound.caller.heldBy({ holds: (bytes) => void (entry.bytes = bytes) });
    return new Promise((resolve) => {
      entry.left = resolve;
      const key = keyOf(id, inbound.kind);
      const queue = this.#queues.get(key);
      if (queue !== undefined) queue.add(entry);
      else {
        const started = new Set([entry]);
        this.#queues.set(key, started);
        void this.#pump(started);
      }
      if (reads(inbound)) this.#openHeadLater(entry, now);
      // Answers and notifications are delivered even if the client left.
      if (inbound.isAccepted !== true)
        inbound.caller.onClose(() => (silent ? this.#accept(entry) : this.#remove(entry)));
    });
  }

  /**
   * Drops a request that its user cancelled. `false`: no such request of that user waits, or it may run at an owner,
   * which must get the cancellation too.
   */
  cancel(id: string, requestId: RequestId, user: string | undefined): boolean {
    for (const entry of this.#queues.get(keyOf(id, 'post')) ?? []) {
      const { inbound } = entry;
      if (inbound.kind !== 'post' || inbound.requestId !== requestId || inbound.caller.user !== user) continue;
      inbound.sink.end();
      this.#remove(entry);
      return inbound.mayHaveRun !== true;
    }
    return false;
  }

  /** This instance is cut off from the store: clients of GETs that wait resume at another instance. */
  endToResumeElsewhere(): void {
    for (const queue of this.#queues.values()) {
      for (const entry of queue) {
        if (!reads(entry.inbound) || entry.state !== 'waiting') continue;
        if (this.#options.gets.answerToResumeElsewhere(entry.inbound)) this.#remove(entry);
      }
    }
  }

  /** Tries the oldest call of a session until it is placed or refused, then the next. */
  async #pump(queue: Set<QueuedCall>): Promise<void> {
    const { waitingRoom } = this.#options;
    // Once one call is placed, the calls behind it need not wait for their turn.
    let placed = false;
    for (let [entry] = queue; entry !== undefined; [entry] = queue) {
      if (entry.ticket === undefined || !(placed || (await this.#turn(entry, entry.ticket)))) continue;
      // The call left after its turn came, and before this microtask.
      if (!queue.has(entry)) continue;
      entry.state = 'attempting';
      try {
        const { outcome } = await this.#router.attempt(entry.id, entry.inbound);
        placed = true;
        waitingRoom.wake();
        this.#follow(entry, outcome);
      } catch (cause) {
        placed = false;
        entry.cause = cause;
        if (isHookFailure(cause)) entry.failures += 1;
        const over = this.#options.options.timeProvider.monotonic() >= entry.ticket.deadline;
        if (!mayWaitOn(cause, entry.failures)) this.#refuse(entry);
        else if (over) this.#over(entry);
        else if (queue.has(entry)) {
          entry.state = 'waiting';
          this.#openDueHead(entry);
        }
      }
    }
  }

  #turn({ id, cause }: QueuedCall, ticket: Ticket): Promise<boolean> {
    const turn = this.#options.waitingRoom.next(ticket);
    const freed = this.#router.freed(id, cause);
    return freed === undefined ? turn : Promise.race([turn, freed]);
  }

  #follow(entry: QueuedCall, outcome: MaybePromise<NextAttempt>): void {
    const { id, inbound, left } = entry;
    entry.left = () => {};
    this.#remove(entry, 'served');
    void this.#router.follow(id, inbound, outcome).then(left);
  }

  /** An attempt that is under way may still serve the call. If it fails, the call is refused then. */
  #expired(entry: QueuedCall): void {
    if (entry.state === 'waiting') this.#over(entry);
  }

  #over(entry: QueuedCall): void {
    const next = afterWait(entry.inbound, this.#options.lifecycle.state);
    if (next === 'accept') this.#accept(entry);
    else if (next === 'refuse' || !this.#enterAgain(entry)) this.#refuse(entry);
  }

  /** Answers 202 to answers and notifications that have not reached their session. They wait on. */
  #accept(entry: QueuedCall): void {
    if (entry.state === 'left' || entry.inbound.isAccepted === true) return;
    // The endpoint has drained: refuse the call, so that another instance can deliver it.
    if (!this.#enterAgain(entry)) return this.#refuse(entry);
    entry.inbound.sink.done(202);
    entry.inbound = { ...entry.inbound, isAccepted: true };
  }

  /** `false`: the endpoint has drained. */
  #enterAgain(entry: QueuedCall): boolean {
    const { waitingRoom, options } = this.#options;
    const { ticket } = entry;
    if (ticket !== undefined) waitingRoom.remove(ticket);
    const until = options.timeProvider.monotonic() + ACCEPTED_MS;
    entry.ticket = waitingRoom.enter(userOf(entry.inbound), ticket?.bytes ?? 0, until, () => this.#expired(entry));
    entry.state = 'waiting';
    return entry.ticket !== undefined;
  }

  #refuse(entry: QueuedCall): void {
    if (entry.state !== 'left') this.#router.refuse(entry.inbound, entry.cause);
    this.#remove(entry, 'refused');
  }

  #remove(entry: QueuedCall, outcome: WaitedNotice['outcome'] = 'left'): void {
    if (entry.state === 'left') return;
    entry.state = 'left';
    const { options, waitingRoom } = this.#options;
    options.timeProvider.clearTimeout(entry.headTimer);
    const key = keyOf(entry.id, entry.inbound.kind);
    const queue = this.#queues.get(key);
    queue?.delete(entry);
    if (queue?.size === 0) this.#queues.delete(key);
    if (entry.ticket !== undefined) waitingRoom.remove(entry.ticket);
    entry.bytes?.release();
    noteWait(options, entry, outcome);
    entry.left();
  }

  /** Counts from when the call first waited, because attempts may fail often, each after less than `HEAD_MS`. */
  #openHeadLater(entry: QueuedCall, now: number): void {
    const headAt = entry.inbound.headAt ?? now + HEAD_MS;
    entry.inbound = { ...entry.inbound, headAt };
    if (headAt <= now) return this.#openDueHead(entry);
    const { timeProvider } = this.#options.options;
    entry.headTimer = timeProvider.setTimeout(() => this.#openDueHead(entry), headAt - now);
  }

  /** Not during an attempt, which may answer in another way. */
  #openDueHead(entry: QueuedCall): void {
    const { inbound, state } = entry;
    const due = inbound.headAt !== undefined && this.#options.options.timeProvider.monotonic() >= inbound.headAt;
    if (due && state === 'waiting' && !isAbandoned(inbound)) entry.inbound = this.#options.gets.openHead(inbound);
  }
}

/** Readers of streams wait in a separate queue, so that no other call waits behind them. */
function keyOf(id: string, kind: InboundKind): string {
  return reads({ kind }) ? `get ${id}` : id;
}

function noteWait(
  { notices, timeProvider }: ResolvedOptions,
  entry: QueuedCall,
  outcome: WaitedNotice['outcome'],
): void {
  const { id: sessionId, since, cause } = entry;
  const reason = cause instanceof SojournError ? reasonOf(cause) : 'hook_failed';
  notices.emit({ kind: 'waited', reason, outcome, ms: timeProvider.monotonic() - since, sessionId });
}

const userOf = ({ caller }: Inbound): string => shareKey(caller.user, caller.clientAddress);
