/** The events of the fleet, with the sentences that pages get: each id once, the newest of the last hour. */
import type { FleetEvent } from '../wire.ts';
import { type NotedEvent, sentenceOf } from './fleet-events.ts';

const EVENTS = 200;

interface Names {
  nameOf(id: string): string | undefined;
}

/** Several instances see that one is dead, and what started its process says more. A lapsed instance lives. */
const ENDS: Partial<Record<FleetEvent['kind'], number>> = { gone: 1, lapsed: 2 };
const weight = ({ kind, end }: NotedEvent): number => (end === undefined ? (ENDS[kind] ?? 0) : 3);

export class ToldEvents {
  readonly #names: Names;
  readonly #events = new Map<string, { readonly noted: NotedEvent; readonly event: FleetEvent }>();
  /** Events of instances that the leases did not name yet. */
  #unnamed: NotedEvent[] = [];

  constructor(names: Names) {
    this.#names = names;
  }

  /** What pages get. `undefined`: nothing new, or not yet. */
  take(noted: NotedEvent): FleetEvent | undefined {
    const { at, kind, instance, by } = noted;
    const id = weight(noted) > 0 ? `gone.${instance ?? noted.id}` : noted.id;
    const known = this.#events.get(id)?.noted;
    if (known !== undefined && weight(known) > 0 && weight(known) >= weight(noted)) return undefined;
    if (this.#names.nameOf(by) === undefined && !this.#unnamed.includes(noted)) {
      this.#unnamed = [...this.#unnamed, noted].slice(-EVENTS);
      return undefined;
    }
    const text = sentenceOf(noted, (of) => this.#names.nameOf(of) ?? of);
    const event: FleetEvent = { id, at, kind, text, ...(instance !== undefined && { instance }) };
    this.#events.set(id, { noted, event });
    for (const [oldest] of this.#events) {
      if (this.#events.size <= EVENTS) break;
      this.#events.delete(oldest);
    }
    return event;
  }

  /** The leases were read: events that waited for names, with those or without. */
  named(): FleetEvent[] {
    const events = this.#unnamed.flatMap((noted) => this.take(noted) ?? []);
    this.#unnamed = [];
    return events;
  }

  /** Oldest first. */
  get all(): FleetEvent[] {
    return [...this.#events.values()].map(({ event }) => event).toSorted((one, other) => one.at - other.at);
  }

  clear(): void {
    this.#events.clear();
    this.#unnamed = [];
  }
}
