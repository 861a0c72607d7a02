/**
 * The way of one call to its session. Each attempt locates the session and serves the call there; what an attempt could not
 * finish, it returns as the call for the next one:
 *
 *     live here       → served here: answered, or (its owner changed, its store was away) the next attempt
 *     live elsewhere  → relayed: answered,
 *                         or refused there: the same call, it never ran,
 *                         or lost with its owner before an event id went out: the same call, marked `again`,
 *                         or lost after one: a GET that resumes its stream, in the response that its client reads already
 *     ended, unknown  → 404
 *
 * A call that another instance relayed is served here or refused to that instance; no third instance gets it.
 */
import type { Finder } from '../../cluster/finder.ts';
import type { Instance } from '../../cluster/instance.ts';
import {
  lapsed,
  otherUser,
  ownerLost,
  restoreFailed,
  sessionIdInvalid,
  SojournError,
  versionChanged,
} from '../../errors.ts';
import { answerable, refuse } from '../../http/answer.ts';
import { attempt } from '../../http/attempt.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { ResolvedOptions } from '../../options/options.ts';
import { elapse, type RandomSource } from '../../options/system.ts';
import { type Call, continued, type NextAttempt } from '../../relay/call.ts';
import { ContinuedExchange } from '../../relay/continued-exchange.ts';
import type { Relay, RelayOutcome } from '../../relay/relay.ts';
import type { Registry } from '../../session/registry.ts';
import type { LiveSession } from '../../session/session.ts';
import type { Await, SessionRecord } from '../../stores/store.ts';
import { KnownOwners } from './known-owners.ts';

export interface CallLoopOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly finder: Finder;
  readonly instance: Instance;
  readonly relay: Relay;
  readonly random: RandomSource;
  /** Serves a call whose session is live here, and whose user and version are right. Throws what it could not serve. */
  serve(session: LiveSession, call: Call): Await<NextAttempt>;
}

const SESSION_ID = /^[\x21-\x7e]+$/;
/** About 600 ms in all: as long as two instances may take to agree on the owner of a session. */
const TRIES = 9;
const PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

export class CallLoop {
  readonly #options: CallLoopOptions;
  readonly #owners: KnownOwners;
  /** Calls that no live session counts: under way to a session, or with its owner. GET streams are not among them. */
  readonly #tracked = new Set<Exchange>();

  constructor(options: CallLoopOptions) {
    this.#options = options;
    this.#owners = new KnownOwners(options.instance);
  }

  /** Requests that no session of this instance counts among its running ones. */
  get running(): number {
    return this.#tracked.size;
  }

  /** Until `work` ends, a drain waits for this exchange. */
  async track<T>(exchange: Exchange, work: () => Promise<T>): Promise<T> {
    this.#tracked.add(exchange);
    try {
      return await work();
    } finally {
      this.#tracked.delete(exchange);
    }
  }

  /** Answers a call, whatever becomes of it. A call on a session that is live here is dispatched before this returns. */
  run(id: string, call: Call): void {
    const { exchange } = call;
    const { options, instance, registry } = this.#options;
    const limit = options.limits.sessionIdLength;
    if (id.length > limit || !SESSION_ID.test(id)) return this.fail(call, sessionIdInvalid(limit));
    const live = registry.get(id);
    if (live?.serves !== true) {
      // Without a lease this instance cannot know whether the sessions in its memory are still its own.
      if (instance.valid) return this.#start(id, call);
      if (exchange.handedOver !== undefined) return exchange.handedOver.back();
      return this.fail(call, lapsed());
    }
    try {
      const next = this.#serve(live, call);
      if (next instanceof Promise) attempt(exchange, () => this.#follow(id, call, next));
      else if (next !== undefined) this.#start(id, next);
    } catch (cause) {
      this.fail(call, cause);
    }
  }

  async #follow(id: string, call: Call, first: Promise<NextAttempt>): Promise<void> {
    try {
      const next = await first;
      if (next !== undefined) this.#start(id, next);
    } catch (cause) {
      this.fail(call, cause);
    }
  }

  #start(id: string, call: Call): void {
    const driving = (): Promise<void> => this.#drive(id, call);
    attempt(call.exchange, () => (call.kind === 'get' ? driving() : this.track(call.exchange, driving)));
  }

  /** Attempts until the call is answered. Pauses between attempts let two instances agree on an owner. */
  async #drive(id: string, first: Call): Promise<void> {
    const { options, instance } = this.#options;
    let call = first;
    let patience = -Infinity;
    for (let tries = 0; ; tries++) {
      try {
        if (tries > 1) await this.#pause(tries);
        if (relayLost(call)) return;
        if (instance.valid) {
          const next: NextAttempt = await this.#attempt(id, call);
          if (next === undefined) return;
          if (next.again && !call.again) patience = options.timeProvider.monotonic() + options.leaseMs;
          call = next;
        }
        if (tries < TRIES - 1 || this.#waits(call, patience)) continue;
        throw instance.valid ? restoreFailed() : lapsed();
      } catch (cause) {
        if (isRetryable(cause) && this.#waits(call, patience)) continue;
        // The owner that was to end the session did so before it crashed.
        if (call.kind === 'delete' && call.again && isNotFound(cause)) call.exchange.respond(200, []);
        else this.fail(call, outcomeOf(call, cause));
        return;
      }
    }
  }

  /**
   * A client must not be told to retry a call that may have run. It is told that its call may have run only when this
   * instance could not find out more for as long as it takes to get a lease, or the store, back.
   */
  #waits({ exchange }: Call, patience: number): boolean {
    const { options, relay } = this.#options;
    return options.timeProvider.monotonic() < patience && !relay.closed && !exchange.closed;
  }

  /** One attempt: locates the session and serves the call there. */
  async #attempt(id: string, call: Call): Promise<NextAttempt> {
    const { registry, relay } = this.#options;
    const { exchange } = call;
    const found = await this.#locate(id, call);
    if ('record' in found) return (await this.#deleteRecord(found.record, exchange)) ? undefined : call;
    if ('here' in found) {
      // The session may have left between the find and this turn, or the lease may have run out.
      if (registry.get(id) !== found.here || !found.here.serves || relayLost(call)) return call;
      return this.#serve(found.here, call);
    }
    if (exchange.handedOver !== undefined) {
      exchange.handedOver.back();
      return undefined;
    }
    const outcome = await relay.send(found.there, call);
    if (outcome.relayed === 'done') {
      this.#owners.learn(id, found.there, exchange.user);
      return undefined;
    }
    this.#owners.forget(id);
    const next = outcome.relayed === 'lost' ? afterLoss(call, outcome) : call;
    return next.exchange.closed ? undefined : next;
  }

  #locate(id: string, { kind, exchange }: Call): ReturnType<Finder['findToEnd']> | { readonly there: string } {
    const { finder } = this.#options;
    const owner = exchange.handedOver === undefined ? this.#owners.of(id, exchange.user) : undefined;
    if (owner !== undefined) return { there: owner };
    return kind === 'delete' ? finder.findToEnd(id, exchange) : finder.find(id, exchange);
  }

  fail(call: Pick<Call, 'exchange' | 'requestId'>, cause: unknown): undefined {
    const error = answerable(cause, this.#options.options.logger, 'A request could not be served');
    refuse(call.exchange, error, call.requestId);
  }

  #serve(session: LiveSession, call: Call): Await<NextAttempt> {
    const { exchange } = call;
    if (session.user !== exchange.user) return this.fail(call, otherUser());
    const header = exchange.header('mcp-protocol-version');
    if (header !== undefined && header !== session.version)
      return this.fail(call, versionChanged(header, session.version));
    if (call.kind !== 'delete') exchange.sessionId = session.id;
    return this.#options.serve(session, call);
  }

  /** Ends a session that is live nowhere; `false`: another instance claimed it first. */
  async #deleteRecord(record: SessionRecord, exchange: Exchange): Promise<boolean> {
    const header = exchange.header('mcp-protocol-version');
    if (header !== undefined && header !== record.version) throw versionChanged(header, record.version);
    if (!(await this.#options.finder.end(record, 'deleted'))) return false;
    exchange.respond(200, []);
    return true;
  }

  #pause(tries: number): Promise<void> {
    const { options, random } = this.#options;
    const jitter = 0.5 + (random(1)[0] ?? 0) / 256;
    const ms = Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** (tries - 2)) * jitter;
    return elapse(options.timeProvider, ms);
  }
}

type Lost = Extract<RelayOutcome, { relayed: 'lost' }>;

/** The call as the next owner is to get it. */
function afterLoss(call: Call, { opened, lastEventId }: Lost): Call {
  const { exchange: before, kind, requestId } = call;
  const seen = lastEventId ?? (before instanceof ContinuedExchange ? before.lastEventId : undefined);
  const exchange = opened ? new ContinuedExchange(before, seen, kind === 'get', requestId) : before;
  return seen === undefined ? continued(call, exchange) : { kind: 'get', exchange, requestId, again: true };
}

/** A client must not be told to retry a call that may have run: `owner_lost` says so. */
function outcomeOf({ again, exchange, post }: Call, cause: unknown): unknown {
  if (!again && !(exchange instanceof ContinuedExchange)) return cause;
  const calls = post?.messages.some((one) => one.kind === 'request' && one.message.method === 'tools/call');
  return calls === true && isRetryable(cause) ? ownerLost(true) : cause;
}

/**
 * The link to the relaying instance failed before the requests of this call began. That instance, or the client's next one,
 * sends them again, marked, to the owner of the session. So no instance runs them as this attempt.
 */
function relayLost({ exchange, post }: Call): boolean {
  return exchange.handedOver?.lost === true && post?.messages.some(({ kind }) => kind === 'request') === true;
}

function isRetryable(cause: unknown): boolean {
  return !(cause instanceof SojournError) || cause.retryable;
}

function isNotFound(cause: unknown): boolean {
  return cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND';
}
