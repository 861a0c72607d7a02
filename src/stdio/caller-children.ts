/**
 * Children for calls of 2026-07-28, which have no session:
 *
 *     caller           its child
 *     a user           those of the user: what callers can be asked and `userEnv` tell them apart
 *     without a user   one for this call, which ends with it; lists have one that serves no call
 *     --one-child      the one of all
 *
 * A call whose client can be asked has its child alone, because on stdio a question names no call.
 */
import { every } from '../base/system.ts';
import { digestText } from '../base/digest.ts';
import { methodOf } from '../base/protocol/methods.ts';
import type { McpEndpointContext } from '../base/types.ts';
import type { RpcParams } from './child.ts';
import type { Place } from './place.ts';
import type { Described } from './probe.ts';
import type { Program } from './program.ts';
import { clientIn, ownHandshake } from './wire.ts';

/** A place that a call has. */
export interface TakenPlace {
  readonly place: Place;
  /** The call is over. */
  giveBack(): void;
}

export interface Wanted {
  readonly ctx: McpEndpointContext;
  readonly described: Described;
  readonly envelope: RpcParams;
  readonly method: string;
  /** No other call may use the child at the same time. */
  readonly alone: boolean;
}

const LISTS = 'lists';
const PRUNE_MS = 60_000;
/** Keys between two looks: a caller may name another header in each request. */
const PRUNE_SIZE = 1_000;

export class CallerChildren {
  readonly #program: Program;
  readonly #places = new Map<string, Set<Place>>();
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
    const { user } = this.#program.callerOf(ctx);
    if (user !== undefined) return this.#ofKey(wanted, user);
    return methodOf(method).lists !== undefined ? this.#ofKey(wanted, LISTS) : this.#ofCall(wanted);
  }

  #ofCall(wanted: Wanted): TakenPlace {
    const place = this.#newPlace(wanted);
    return { place, giveBack: () => void this.#program.pool.remove(place) };
  }

  #ofKey(wanted: Wanted, of: string): TakenPlace {
    const { ctx, envelope, alone } = wanted;
    const isLists = of === LISTS;
    const variables = isLists ? {} : this.#program.variablesOf(ctx);
    const { capabilities } = clientIn(envelope);
    const key = digestText(JSON.stringify([of, isLists, capabilities, variables]));
    if (this.#places.size >= PRUNE_SIZE) this.#prune();
    const places = this.#places.get(key) ?? new Set<Place>();
    this.#places.set(key, places);
    const fits = [...places].find((one) => (alone ? !one.isLeased : !this.#alone.has(one)));
    const place = fits ?? this.#newPlace(wanted);
    places.add(place);
    if (!alone) return { place, giveBack: () => {} };
    this.#alone.add(place);
    return { place, giveBack: () => void this.#alone.delete(place) };
  }

  #newPlace({ ctx, described, envelope }: Wanted): Place {
    const { capabilities, info } = clientIn(envelope);
    const handshake = described.era === 'legacy' ? ownHandshake(capabilities, info) : undefined;
    return this.#program.place(ctx, handshake, true);
  }

  /** A user who is away for long is forgotten. */
  #prune(): void {
    for (const [key, places] of this.#places) {
      for (const place of places) {
        if (place.isWarm || place.isLeased || this.#alone.has(place)) continue;
        places.delete(place);
        void this.#program.pool.remove(place);
      }
      if (places.size === 0) this.#places.delete(key);
    }
  }
}
