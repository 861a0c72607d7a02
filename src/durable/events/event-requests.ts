/**
 * The methods of MCP Events: any instance answers from the store. In sessions they are handlers of the session's server,
 * so `authorize` and limits hold for them. Requests of 2026-07-28 are answered before a server is made.
 */
import type { CallerRequest } from '../../http/caller-request.ts';
import type { EventData, EventType, ResolvedEvents } from '../../base/options/events-options.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { type Role, roleOf } from '../../base/protocol/methods.ts';
import { clientCapabilitiesOf, serveMethods } from '../../sdk/sdk-server.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import type { OwnedParts } from '../records/owned-records.ts';
import { Deliveries } from './deliveries.ts';
import { Dispatcher } from './dispatcher.ts';
import { Emitting } from './emitting.ts';
import {
  eventRecordId,
  EventStore,
  type EventText,
  groupOfName,
  isReadable,
  numberOf,
  sentEvent,
} from './event-store.ts';
import {
  capabilitiesIn,
  declaresEvents,
  deliveryStatus,
  EVENT_CAPABILITIES,
  EVENT_METHODS,
  EventError,
  invalid,
} from './event-wire.ts';
import { Subscribing } from './subscribing.ts';
import { cursorOf } from './subscription.ts';
import { createPost, type Post } from './webhook.ts';

const ABOUT_EVENTS: ReadonlySet<Role | undefined> = new Set(EVENT_METHODS.map(roleOf));
const POLL_MS = 5_000;
const PAGE = 100;
const MOST = 1_000;
const MOST_CHARACTERS = 4_194_304;
const CURSOR = /^e([0-9a-z]{1,11})$/;
const US_IN_MS = 1_000;

type EventParams = Readonly<Record<string, unknown>>;

/** What `post` is for the instances of a simulation. */
export interface EventParts extends OwnedParts {
  readonly post?: Post | undefined;
}

export class EventRequests {
  readonly store: EventStore;
  readonly events: ResolvedEvents;
  readonly dispatcher: Dispatcher;
  readonly subscribing: Subscribing;
  readonly emitting: Emitting;

  constructor(given: EventParts, events: ResolvedEvents) {
    const { post = createPost(given.options.timeProvider) } = given;
    this.events = events;
    this.store = new EventStore(given);
    const deliveries = new Deliveries(this.store, events, post);
    this.dispatcher = new Dispatcher(this.store, events, deliveries);
    this.emitting = new Emitting(this.store, events, this.dispatcher);
    this.subscribing = new Subscribing(this.store, events, deliveries);
  }

  serves({ method }: RpcRequest): boolean {
    return ABOUT_EVENTS.has(roleOf(method));
  }

  /** Gives a server of a session the methods. */
  serveAt(server: AnyServer, { userKey }: CallerRequest): void {
    serveMethods(server, EVENT_CAPABILITIES, EVENT_METHODS, async ({ method, params = {} }) => {
      try {
        return await this.#answer(method, params, userKey);
      } catch (cause) {
        if (!(cause instanceof EventError)) throw cause;
        const { message, ...rest } = cause.json(declaresEvents(clientCapabilitiesOf(server)));
        throw Object.assign(new Error(message), rest);
      }
    });
  }

  /** The result of a request without a session, or the error that its client gets: the members of the response. */
  async answer(request: RpcRequest, { userKey }: CallerRequest): Promise<object> {
    const { method, params = {} } = request;
    try {
      const result = await this.#answer(method, params, userKey);
      return { result: { resultType: 'complete', ...result } };
    } catch (cause) {
      if (!(cause instanceof EventError)) throw cause;
      return { error: cause.json(declaresEvents(capabilitiesIn(request))) };
    }
  }

  async #answer(method: string, params: EventParams, user: string | undefined): Promise<object> {
    const role = roleOf(method);
    if (role === 'listEvents')
      return { events: [...this.events.types.values()].map(({ shown }) => shown) };
    const { arguments: args = {} } = params;
    if (!isObject(args)) throw invalid('arguments', 'it must be an object');
    switch (role) {
      case 'unsubscribeEvents':
        await this.#unsubscribe(args, user, params);
        return {};
      case 'subscribeEvents':
        return this.#subscribe(args, user, params);
      case 'pollEvents':
        return this.#poll(args, user, params);
      default:
        throw new EventError('Unsupported', { feature: 'deliveryMode', value: 'push' });
    }
  }

  async #typeOf(
    { name }: EventParams,
    args: EventData,
    user: string | undefined,
    mode: 'webhook' | 'poll',
  ): Promise<EventType> {
    const type = this.events.types.get(String(name));
    if (type === undefined) throw new EventError('NotFound', { kind: 'event' });
    const why = type.checkArguments(args);
    if (why !== undefined) throw invalid('arguments', why);
    if (!type.options.delivery.includes(mode))
      throw new EventError('Unsupported', { feature: 'deliveryMode', value: mode });
    if ((await type.options.authorize?.(args, user)) === false) throw new EventError('Forbidden');
    return type;
  }

  async #subscribe(
    args: EventData,
    user: string | undefined,
    params: EventParams,
  ): Promise<object> {
    const type = await this.#typeOf(params, args, user, 'webhook');
    if (user === undefined) throw new EventError('Forbidden', { reason: 'webhooks need a user' });
    const given = type.keepMs > 0 ? numberIn(params['cursor']) : undefined;
    const isReplay = given !== undefined;
    const from = isReplay
      ? Math.max(given, this.#oldest(type, params['maxAgeMs']))
      : (await this.store.numbers()).tail;
    const subscribe = { type, args, user, params, from, isReplay };
    const { id, expiresAt, failure } = await this.subscribing.subscribe(subscribe);
    this.dispatcher.ring();
    const cursor = type.keepMs > 0 ? cursorOf(from) : null;
    const refreshBefore = new Date(expiresAt).toISOString();
    const truncated = isReplay && from > given;
    const status = failure && { deliveryStatus: deliveryStatus(failure) };
    return { id, refreshBefore, cursor, truncated, ...status };
  }

  async #unsubscribe(
    args: EventData,
    user: string | undefined,
    params: EventParams,
  ): Promise<void> {
    if (user === undefined) throw new EventError('Forbidden', { reason: 'webhooks need a user' });
    await this.subscribing.unsubscribe(String(params['name']), args, user, params['delivery']);
    this.dispatcher.ring();
  }

  async #poll(args: EventData, user: string | undefined, params: EventParams): Promise<object> {
    const type = await this.#typeOf(params, args, user, 'poll');
    const given = type.keepMs > 0 ? numberIn(params['cursor']) : undefined;
    // Read before the events: those up to it are all stored.
    const numbers = await this.store.numbers();
    const { tail } = numbers;
    const rest = { truncated: false, hasMore: false, nextPollMs: POLL_MS };
    if (given === undefined)
      return { events: [], cursor: type.keepMs > 0 ? cursorOf(tail) : null, ...rest };
    const from = Math.max(given, this.#oldest(type, params['maxAgeMs']));
    const after = eventRecordId(type.name, from);
    const { records } = await this.store.reach(() =>
      this.store.events.list(MOST, after, groupOfName(type.name)),
    );
    const most = mostOf(params['maxEvents']);
    const events: object[] = [];
    let last = from;
    let characters = 0;
    let isLast = records.length < MOST;
    for (const record of records) {
      const { body, user: owner } = record;
      if (!isReadable(numbers, record)) continue;
      const event = JSON.parse(body) as EventText;
      const isFor = owner === null || owner === user;
      if (isFor && this.#matches(type, args, event, user)) {
        characters += body.length;
        if (events.length === most || (events.length > 0 && characters > MOST_CHARACTERS)) {
          isLast = false;
          break;
        }
        events.push(sentEvent(event));
      }
      last = numberOf(record.id);
    }
    const truncated = from > given && given > 0;
    // All up to the tail were looked at.
    if (isLast) last = Math.max(last, tail);
    return { events, cursor: cursorOf(last), ...rest, truncated, hasMore: !isLast };
  }

  #matches(type: EventType, args: EventData, event: EventText, user: string | undefined): boolean {
    try {
      return type.matches(args, sentEvent(event), user);
    } catch (err) {
      this.store.logger.warn({ err, event: event.n }, 'match() of an event threw: not delivered');
      return false;
    }
  }

  /** The number before the oldest event that is kept. */
  #oldest({ keepMs }: EventType, age: unknown): number {
    const most = typeof age === 'number' && age >= 0 ? Math.min(age, keepMs) : keepMs;
    return Math.floor(this.store.options.timeProvider.now() - most) * US_IN_MS;
  }

  /** `false`: the subscription had ended. */
  async end(subscription: string): Promise<boolean> {
    const isEnded = await this.subscribing.end(subscription);
    this.dispatcher.ring();
    return isEnded;
  }

  close(): Promise<void> {
    return this.dispatcher.close();
  }
}

/** The number in a cursor; `undefined`: from now on. */
function numberIn(cursor: unknown): number | undefined {
  if (cursor === undefined || cursor === null) return undefined;
  const [, text] = (typeof cursor === 'string' && CURSOR.exec(cursor)) || [];
  if (text === undefined) throw invalid('cursor', 'invalid');
  return parseInt(text, 36);
}

function mostOf(given: unknown): number {
  return Number.isSafeInteger(given) && Number(given) > 0 ? Math.min(Number(given), MOST) : PAGE;
}
