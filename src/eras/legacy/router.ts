/**
 * Brings a call to where its session lives: here, or over the relay to its owner. An owner that dies with the call leaves it
 * to be brought to the next one, in the response that its client is reading already:
 *
 *     lost, an event id had gone out ─▶ its stream is resumed from there
 *     lost before                    ─▶ the call again, marked: whoever serves it knows by the marker whether it may run
 *     refused                        ─▶ the same call: it never ran
 *
 * A call that was handed over is served here or given back; it never goes on to a third instance.
 */
import type { RequestId } from '@modelcontextprotocol/server';
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
import type { Exchange } from '../../http/exchange.ts';
import type { ResolvedOptions } from '../../options/options.ts';
import type { Registry } from '../../session/registry.ts';
import type { LiveSession } from '../../session/session.ts';
import type { SessionRecord } from '../../stores/store.ts';
import { elapse, type RandomSource } from '../../options/system.ts';
import { ContinuedExchange } from '../../relay/continued-exchange.ts';
import type { LegacyCall, Relay, RelayOutcome } from '../../relay/relay.ts';

export interface RouterOptions {
  readonly options: ResolvedOptions;
  readonly registry: Registry;
  readonly finder: Finder;
  readonly instance: Instance;
  readonly relay: Relay;
  readonly random: RandomSource;
  /** A call whose session is live here, and whose user and version are right. */
  serve(session: LiveSession, call: LegacyCall, echoed: RequestId | null): void;
}

const SESSION_ID = /^[\x21-\x7e]+$/;
/** Some 600 ms in all: as long as two instances may take to agree whose a session is. */
const TRIES = 9;
const PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

/** Sessions of which a router remembers the owner; past it the one that was found the longest ago is forgotten. */
const OWNERS_KEPT = 10_000;

export class SessionRouter {
  readonly #options: RouterOptions;
  /** Where sessions of other instances were live when they were last asked for, and whose they are. */
  readonly #owners = new Map<string, { readonly owner: string; readonly user: string | undefined }>();
  /** On their way to a session, or with its owner; streams of GET are not waited for. */
  readonly #underWay = new Set<Exchange>();

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Requests that no session of this instance counts among its own. */
  get running(): number {
    return this.#underWay.size;
  }

  /** Until `work` ends, a drain waits for this request. */
  async during<T>(exchange: Exchange, work: () => Promise<T>): Promise<T> {
    this.#underWay.add(exchange);
    try {
      return await work();
    } finally {
      this.#underWay.delete(exchange);
    }
  }

  route(id: string, call: LegacyCall, echoed: RequestId | null): void {
    const { exchange } = call;
    const { options, instance, registry } = this.#options;
    const limit = options.limits.sessionIdLength;
    if (id.length > limit || !SESSION_ID.test(id)) return refuse(exchange, sessionIdInvalid(limit), echoed);
    // Without a lease nobody knows whether what is live here is still ours.
    if (!instance.valid) {
      if (exchange.handedOver !== undefined) return exchange.handedOver.back();
      return refuse(exchange, lapsed(), echoed);
    }
    const live = registry.get(id);
    if (live !== undefined) return this.#serve(live, call, echoed);
    void this.find(id, call, echoed);
  }

  /** Looks for the session in the store. Whatever comes of it is answered. */
  find(id: string, call: LegacyCall, echoed: RequestId | null): Promise<void> {
    const finding = () => this.#find(id, call, echoed);
    return call.kind === 'get' ? finding() : this.during(call.exchange, finding);
  }

  async #find(id: string, call: LegacyCall, echoed: RequestId | null): Promise<void> {
    const { options, instance } = this.#options;
    let known = call;
    let patience = -Infinity;
    for (let tries = 0; ; tries++) {
      try {
        if (tries > 1) await this.#pause(tries);
        if (isOrphaned(known)) return;
        if (instance.valid) {
          const next = await this.#bring(id, known, echoed);
          if (next === undefined) return;
          if (next.again && !known.again) patience = options.timeProvider.monotonic() + options.leaseMs;
          known = next;
        }
        if (tries < TRIES - 1 || this.#waits(known, patience)) continue;
        throw instance.valid ? restoreFailed() : lapsed();
      } catch (cause) {
        if (isRetryable(cause) && this.#waits(known, patience)) continue;
        // Whoever was to end it did, before it died.
        if (known.kind === 'delete' && known.again && isNotFound(cause)) known.exchange.respond(200, []);
        else this.fail(known.exchange, outcomeOf(known, cause), echoed);
        return;
      }
    }
  }

  /**
   * "Try again" cannot be said of a call that may have run. Its client is told that it may have only when this instance could
   * not find out better for as long as it takes to get a lease back, or the store.
   */
  #waits({ exchange }: LegacyCall, patience: number): boolean {
    const { options, relay } = this.#options;
    return options.timeProvider.monotonic() < patience && !relay.closed && !exchange.closed;
  }

  /** One try. `undefined`: the call is answered, or will be; else what is to be brought there now. */
  async #bring(id: string, call: LegacyCall, echoed: RequestId | null): Promise<LegacyCall | undefined> {
    const { registry, finder, instance, relay } = this.#options;
    const { exchange } = call;
    const found =
      this.#remembered(id, exchange) ??
      (await (call.kind === 'delete' ? finder.findToEnd(id, exchange) : finder.find(id, exchange)));
    if ('record' in found) return (await this.#deleteRecord(found.record, exchange)) ? undefined : call;
    if ('here' in found) {
      // It may have left between the find and this turn, or the lease run out.
      if (registry.get(id) !== found.here || !instance.valid || isOrphaned(call)) return call;
      this.#serve(found.here, call, echoed);
      return undefined;
    }
    if (exchange.handedOver !== undefined) {
      exchange.handedOver.back();
      return undefined;
    }
    const outcome = await relay.send(found.there, call);
    if (outcome.relayed === 'done') {
      this.#remember(id, found.there, exchange.user);
      return undefined;
    }
    this.#owners.delete(id);
    const next = outcome.relayed === 'lost' ? goOn(call, outcome) : call;
    return next.exchange.closed ? undefined : next;
  }

  /**
   * Saves a read of the store per call: an owner that has just spoken knows better than the record whether the session is its
   * own, and gives the call back if not.
   */
  #remembered(id: string, { handedOver, user }: Exchange): { there: string } | undefined {
    const known = handedOver === undefined ? this.#owners.get(id) : undefined;
    if (known === undefined || known.user !== user || !this.#options.instance.hears(known.owner)) return undefined;
    return { there: known.owner };
  }

  #remember(id: string, owner: string, user: string | undefined): void {
    const known = this.#owners.get(id);
    if (known?.owner === owner && known.user === user) return;
    this.#owners.set(id, { owner, user });
    if (this.#owners.size <= OWNERS_KEPT) return;
    const [oldest] = this.#owners.keys();
    if (oldest !== undefined) this.#owners.delete(oldest);
  }

  fail(exchange: Exchange, cause: unknown, id: RequestId | null): void {
    refuse(exchange, answerable(cause, this.#options.options.logger, 'A request could not be served'), id);
  }

  #serve(session: LiveSession, call: LegacyCall, echoed: RequestId | null): void {
    const { exchange } = call;
    if (session.user !== exchange.user) return refuse(exchange, otherUser(), echoed);
    const header = exchange.header('mcp-protocol-version');
    if (header !== undefined && header !== session.version) {
      return refuse(exchange, versionChanged(header, session.version), echoed);
    }
    if (call.kind !== 'delete') exchange.sessionId = session.id;
    this.#options.serve(session, call, echoed);
  }

  /** Of a session that is live nowhere; `false`: it was claimed meanwhile. */
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
function goOn(call: LegacyCall, { opened, lastEventId }: Lost): LegacyCall {
  const { exchange: before, kind } = call;
  const seen = lastEventId ?? (before instanceof ContinuedExchange ? before.lastEventId : undefined);
  const exchange = opened ? new ContinuedExchange(before, seen, kind === 'get') : before;
  if (seen !== undefined) return { kind: 'get', exchange, again: true };
  return { kind, exchange, again: true, ...(call.post !== undefined && { post: { ...call.post, exchange } }) };
}

/** An error that says "try again" must not be said of a call that may have run. */
function outcomeOf({ again, exchange, post }: LegacyCall, cause: unknown): unknown {
  if (!again && !(exchange instanceof ContinuedExchange)) return cause;
  const calls = post?.messages.some((one) => one.kind === 'request' && one.message.method === 'tools/call');
  return calls === true && isRetryable(cause) ? ownerLost(true) : cause;
}

/**
 * Requests of an instance that is gone, or lost to this one, and that have not begun: it asks for them again, marked, of
 * whoever has the session then. So nobody runs them under the first try.
 */
function isOrphaned({ exchange, post }: LegacyCall): boolean {
  return exchange.handedOver?.lost === true && post?.messages.some(({ kind }) => kind === 'request') === true;
}

function isRetryable(cause: unknown): boolean {
  return !(cause instanceof SojournError) || cause.retryable;
}

function isNotFound(cause: unknown): boolean {
  return cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND';
}
