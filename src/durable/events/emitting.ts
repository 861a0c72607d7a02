/** How the application emits events: alone, or in a transaction of its own (`endpoint/endpoint-emit.ts`). */
import type { EventData, ResolvedEvents } from '../../base/options/events-options.ts';
import type { NewRecord } from '../../stores/store.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { EventStore, EventText } from './event-store.ts';
import { EVENT_BYTES } from './dispatcher.ts';

/** @experimental */
export interface EmitOptions {
  /** The same id again, while the first event is on its way, is one event. Default: a new id. */
  readonly eventId?: string | undefined;
  /** When it happened. Default: now. */
  readonly timestamp?: Date | undefined;
  /** The event is for subscriptions and polls of this user alone: a `session.userKey`. Default: of all users. */
  readonly userKey?: string | undefined;
}

export class Emitting {
  readonly #store: EventStore;
  readonly #events: ResolvedEvents;
  readonly #dispatcher: Dispatcher;

  constructor(store: EventStore, events: ResolvedEvents, dispatcher: Dispatcher) {
    this.#store = store;
    this.#events = events;
    this.#dispatcher = dispatcher;
  }

  /** What is to be stored. `isLater`: by a transaction. Throws a `TypeError`. */
  recordOf(name: string, data: EventData, options: EmitOptions, isLater = false): NewRecord {
    const { eventId, timestamp, userKey = null } = options;
    const type = this.#events.types.get(name);
    if (type === undefined) throw new TypeError(`emit(): the option events has no type ${name}`);
    const why = type.checkData(data);
    if (why !== undefined) throw new TypeError(`emit(): the data of ${name} is wrong: ${why}`);
    if (eventId === '') throw new TypeError('emit(): eventId has no character');
    const i = eventId ?? `evt_${Buffer.from(this.#store.random(12)).toString('hex')}`;
    const at = timestamp ?? new Date(this.#store.options.timeProvider.now());
    const event: EventText = { n: name, d: data, i, t: at.toISOString() };
    const record = this.#store.emitRecord(event, userKey, isLater);
    if (Buffer.byteLength(record.body) > EVENT_BYTES)
      throw new TypeError(`emit(): an event of ${name} is larger than ${EVENT_BYTES} bytes`);
    return record;
  }

  /** Resolves when it is stored. */
  async emit(record: NewRecord): Promise<void> {
    await this.#store.emit(record);
    this.#dispatcher.ring();
  }
}

export const eventIdOf = ({ body }: NewRecord): string => (JSON.parse(body) as EventText).i;
