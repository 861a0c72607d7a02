/** The subscriptions of the deployment, as the dispatcher asks them: by the name of an event, its user, and `by`. */
import type { EventData, EventType, ResolvedEvents } from '../../base/options/events-options.ts';
import { isEnded, type StoredRecord } from '../../stores/store.ts';
import type { Deliveries } from './deliveries.ts';
import type { EventText } from './event-store.ts';
import { bodyOf } from './subscription-record.ts';
import { Subscription, type SubscriptionState } from './subscription.ts';

/** How long the end of an endpoint waits for callbacks. */
const CLOSING_MS = 1_000;

/** `undefined`: not all of `by` are there, so any event may match. */
function keyOf({ name, options: { by } }: EventType, values: EventData): string | undefined {
  if (by.length === 0 || by.some((member) => values[member] === undefined)) return undefined;
  return JSON.stringify([name, ...by.map((member) => values[member])]);
}

export class SubscriptionIndex {
  readonly #deliveries: Deliveries;
  readonly #types: ResolvedEvents['types'];
  readonly #byId = new Map<string, Subscription>();
  /** One map has users as keys, the other names, with the values of `by` where there are some. */
  readonly #byUser = new Map<string, Set<Subscription>>();
  readonly #byKey = new Map<string, Set<Subscription>>();

  constructor(deliveries: Deliveries, events: ResolvedEvents) {
    this.#deliveries = deliveries;
    this.#types = events.types;
    deliveries.index = this;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** How many are in which state. */
  get states(): Readonly<Record<SubscriptionState, number>> {
    const states = { live: 0, behind: 0, suspended: 0 };
    for (const { state } of this.#byId.values()) states[state] += 1;
    return states;
  }

  all(): Iterable<Subscription> {
    return this.#byId.values();
  }

  /** The subscription where it is new; `undefined`: it was known. */
  set(stored: StoredRecord): Subscription | undefined {
    const known = this.#byId.get(stored.id);
    known?.renew(stored);
    const type = this.#types.get(bodyOf(stored).name);
    if (known !== undefined || type === undefined) return undefined;
    const made = new Subscription(stored, type, this.#userOf(stored), this.#deliveries);
    this.#byId.set(made.record, made);
    for (const [map, key] of this.#places(made))
      map.set(key, (map.get(key) ?? new Set()).add(made));
    made.tells('added');
    return made;
  }

  /** One text for all subscriptions of a user. */
  #userOf({ user }: StoredRecord): string {
    for (const { user: known } of this.#byUser.get(user ?? '') ?? []) return known;
    return user ?? '';
  }

  #places(of: Subscription): ReadonlyArray<[Map<string, Set<Subscription>>, string]> {
    return [
      [this.#byUser, of.user],
      [this.#byKey, keyOf(of.type, of.args) ?? of.type.name],
    ];
  }

  /** There are news about it. */
  async load(record: string): Promise<Subscription | undefined> {
    const { store } = this.#deliveries;
    const found = await store.lasting(() => store.subscriptions.read(record));
    if (found !== undefined && !isEnded(found)) return this.set(found);
    this.drop(record);
    return undefined;
  }

  /** It has ended. */
  drop(record: string): void {
    const known = this.#byId.get(record);
    known?.end();
    if (known === undefined) return;
    this.#remove(known);
    known.tells('ended');
  }

  /** `user`: the event is for this one alone. */
  *wanting(no: number, event: EventText, user: string | null): Generator<Subscription> {
    const type = this.#types.get(event.n);
    if (type === undefined) return;
    const key = keyOf(type, event.d);
    const sets =
      user === null
        ? [this.#byKey.get(event.n), key === undefined ? undefined : this.#byKey.get(key)]
        : [this.#byUser.get(user)];
    for (const set of sets) for (const one of set ?? []) if (one.wants(no, event, user)) yield one;
  }

  #remove(of: Subscription): void {
    this.#byId.delete(of.record);
    for (const [map, key] of this.#places(of)) {
      const set = map.get(key);
      set?.delete(of);
      if (set?.size === 0) map.delete(key);
    }
  }

  /** Resolves when no POST is under way, or after a second. */
  async close(): Promise<void> {
    const running = [...this.#byId.values()].map(async (one) => one.stop());
    this.#byId.clear();
    this.#byUser.clear();
    this.#byKey.clear();
    const over = Promise.all(running).then(() => undefined);
    await new Promise<void>((resolve) => {
      this.#deliveries.after(CLOSING_MS, resolve);
      void over.finally(resolve);
    });
    this.#deliveries.close();
  }

  clear(): void {
    for (const one of this.#byId.values()) void one.stop();
    this.#byId.clear();
    this.#byUser.clear();
    this.#byKey.clear();
  }
}
