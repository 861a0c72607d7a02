/**
 * Children for calls of 2026-07-28, which have no session:
 *
 *     caller           its child
 *     a user           those of the user: what callers can be asked and `userEnv` tell them apart
 *     without a user   one for this call, which ends with it; lists have a child for each set of
 *                      variables, which serves no call
 *     --one-child      the one of all
 *
 * A call whose client can be asked has its child alone, because on stdio a question names no call.
 */
import { every } from '../base/system.ts';
import { digestText } from '../base/digest.ts';
import { methodOf } from '../base/protocol/methods.ts';
import type { McpEndpointContext, McpListen } from '../base/types.ts';
import type { RpcParams } from './child.ts';
import type { Place, Watcher } from './place.ts';
import type { Described } from './probe.ts';
import type { Program } from './program.ts';
import { type ChildHandshake, clientIn, ownHandshake } from './wire.ts';

/** A place that a call has. */
export interface TakenPlace {
  readonly place: Place;
  /** The call is over. */
  giveBack(): void;
}

export interface Watched {
  readonly ctx: McpEndpointContext;
  readonly described: Described;
  readonly listen: McpListen;
  /** The resources to which the child is subscribed. */
  readonly uris: readonly string[];
}

export interface Wanted {
  readonly ctx: McpEndpointContext;
  readonly described: Described;
  readonly envelope: RpcParams;
  readonly method: string;
  /** No other call may use the child at the same time. */
  readonly alone: boolean;
}

const PRUNE_MS = 60_000;
/** Callers between two looks: one may name another header in each request. */
const PRUNE_SIZE = 1_000;

/** A user with the same variables, or callers without a user who have the same, for lists. */
class CallerPlaces {
  readonly places = new Set<Place>();
  readonly watchers = new Map<Watcher, readonly string[]>();
}

/** Passes what changes in children to a `subscriptions/listen`. */
const watcherOf = (listen: McpListen): Watcher => ({
  changed(method, params) {
    const { changes } = methodOf(method);
    if (changes !== undefined) listen.publish({ kind: changes });
    else listen.publish({ kind: 'resource_updated', uri: String(params?.['uri']) });
  },
});

export class CallerChildren {
  readonly #program: Program;
  readonly #callers = new Map<string, CallerPlaces>();
  readonly #alone = new Set<Place>();
  readonly stop: () => void;

  constructor(program: Program) {
    this.#program = program;
    this.stop = every(program.pool.options.time, PRUNE_MS, () => this.#prune());
  }

  take(wanted: Wanted): TakenPlace {
    const { described, ctx, method } = wanted;
    const shared = this.#program.shared(described);
    if (shared !== undefined) return { place: shared, giveBack: () => {} };
    const { userKey } = this.#program.callerOf(ctx);
    if (userKey === undefined && methodOf(method).lists === undefined) return this.#ofCall(wanted);
    return this.#ofCaller(wanted);
  }

  /**
   * A `subscriptions/listen` hears of each child that its caller has now or later, and starts one.
   * `false`: a child would have too many subscriptions, so it hears of lists alone.
   */
  watch({ ctx, described, listen, uris }: Watched): boolean {
    if (listen.signal.aborted) return false;
    const shared = this.#program.shared(described);
    const caller = shared === undefined ? this.#callerOf(ctx) : new CallerPlaces();
    if (shared !== undefined) caller.places.add(shared);
    const [place = this.#newPlace(caller, ctx, described, {})] = caller.places;
    const fits = place.hasRoomFor(uris);
    const watcher = watcherOf(listen);
    const watched = fits ? uris : [];
    caller.watchers.set(watcher, watched);
    for (const one of caller.places) one.watch(watcher, watched);
    const leave = (): void => {
      caller.watchers.delete(watcher);
      for (const one of caller.places) one.unwatch(watcher);
    };
    listen.signal.addEventListener('abort', leave, { once: true });
    this.#program.start(place, listen.signal);
    return fits;
  }

  #ofCall({ ctx, described, envelope }: Wanted): TakenPlace {
    const place = this.#program.place(ctx, handshakeOf(described, envelope), true);
    return { place, giveBack: () => void this.#program.pool.remove(place) };
  }

  #ofCaller({ ctx, described, envelope, alone }: Wanted): TakenPlace {
    const caller = this.#callerOf(ctx);
    const asked = askedIn(handshakeOf(described, envelope));
    const fits = [...caller.places].find(
      (one) => askedIn(one.handshake) === asked && (alone ? !one.isLeased : !this.#alone.has(one)),
    );
    const place = fits ?? this.#newPlace(caller, ctx, described, envelope);
    if (!alone) return { place, giveBack: () => {} };
    this.#alone.add(place);
    return { place, giveBack: () => void this.#alone.delete(place) };
  }

  #callerOf(ctx: McpEndpointContext): CallerPlaces {
    const { userKey } = this.#program.callerOf(ctx);
    const key = digestText(JSON.stringify([userKey ?? null, this.#program.variablesOf(ctx)]));
    if (this.#callers.size >= PRUNE_SIZE) this.#prune();
    const caller = this.#callers.get(key) ?? new CallerPlaces();
    this.#callers.set(key, caller);
    return caller;
  }

  #newPlace(
    caller: CallerPlaces,
    ctx: McpEndpointContext,
    described: Described,
    envelope: RpcParams,
  ): Place {
    const place = this.#program.place(ctx, handshakeOf(described, envelope), true);
    caller.places.add(place);
    for (const [watcher, uris] of caller.watchers) place.watch(watcher, uris);
    return place;
  }

  /** A user who is away for long is forgotten. */
  #prune(): void {
    for (const [key, caller] of this.#callers) {
      for (const place of caller.places) {
        if (place.isWarm || place.isLeased || this.#alone.has(place)) continue;
        caller.places.delete(place);
        void this.#program.pool.remove(place);
      }
      if (caller.places.size + caller.watchers.size === 0) this.#callers.delete(key);
    }
  }
}

function handshakeOf({ era }: Described, envelope: RpcParams): ChildHandshake | undefined {
  if (era === 'modern') return undefined;
  const { capabilities, info } = clientIn(envelope);
  return ownHandshake(capabilities, info);
}

/** What callers can be asked, as its child knows it. */
const askedIn = (handshake: ChildHandshake | undefined): string =>
  JSON.stringify(handshake?.capabilities);
