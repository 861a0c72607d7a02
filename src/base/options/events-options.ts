/** The option `events`: the types of events, as their author declares them and as `events/list` shows them. */
import { optionInvalid } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { checkFunction, checkNames, checkNumber } from './checks.ts';
import { value, type Values, valuesIn } from './value-kinds.ts';

const HOUR_MS = 3_600_000;
const DELIVERIES = ['webhook', 'poll'] as const;
const NAME = /^[\w./:-]{1,128}$/;

export type EventData = Readonly<Record<string, unknown>>;

/** An event as its subscribers get it. */
export interface SentEvent {
  readonly eventId: string;
  readonly name: string;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly data: EventData;
}

/** @experimental */
export interface EventTypeOptions {
  description?: string | undefined;
  /** The arguments of a subscription: a JSON Schema, or a schema of Zod, ArkType or Valibot, which checks them too. */
  arguments?: object | undefined;
  /** The data of an event, likewise. */
  data?: object | undefined;
  /** `'webhook'`, `'poll'` or both. Default: both. */
  delivery?: ReadonlyArray<'webhook' | 'poll'> | undefined;
  /**
   * How long events can be polled and replayed, in ms. 0: not at all. Webhooks that are down get what happened within
   * this time, and within 15 minutes at least. Default 1 h.
   */
  keepMs?: number | undefined;
  /**
   * Names of arguments that are equal to the member of the data with their name, where they are given. Saves a call of
   * `match` for each subscription.
   */
  by?: readonly string[] | undefined;
  /** Whether a subscription gets an event. Must answer at once. Default: it does. `user`: as `session.userKey`. */
  match?: ((args: EventData, event: SentEvent, user: string | undefined) => boolean) | undefined;
  /**
   * Whether a user may subscribe or poll, and may still get events: asked again before deliveries, once a minute at
   * most. Default: every user may.
   */
  authorize?:
    | ((args: EventData, user: string | undefined) => boolean | Promise<boolean>)
    | undefined;
}

/** @experimental */
export interface EventsOptions {
  /** The types of events, by their names. */
  types: Readonly<Record<string, EventTypeOptions>>;
  /** The longest time to live of a subscription, in ms; clients refresh before its end. Default 24 h. */
  maxTtlMs?: number | undefined;
  /** Callbacks that may have private addresses and `http:`, such as those of a test. Default: none. */
  trustedCallback?: ((url: URL) => boolean) | undefined;
}

interface ShapeResult {
  readonly issues?: ReadonlyArray<{ readonly message: string }>;
}

/** A JSON Schema that is shown, or a schema of a library that also checks. */
class Shape {
  readonly json: unknown;
  readonly #validate: ((given: unknown) => ShapeResult | Promise<ShapeResult>) | undefined;

  constructor(schema: object = { type: 'object' }) {
    const standard: unknown = Reflect.get(schema, '~standard');
    if (!isObject(standard)) {
      this.json = schema;
      return;
    }
    const { jsonSchema, validate } = standard as {
      jsonSchema?: { input(given: { target: string }): unknown };
      validate(given: unknown): ShapeResult;
    };
    this.json = jsonSchema?.input({ target: 'draft-2020-12' }) ?? { type: 'object' };
    this.#validate = (given) => validate(given);
  }

  /** Why it is wrong; `undefined`: it is not. */
  check(given: unknown): string | undefined {
    if (!isObject(given)) return 'it must be an object';
    const found = this.#validate?.(given);
    if (found instanceof Promise) return 'its schema must answer at once';
    return found?.issues?.[0]?.message;
  }
}

export class EventType {
  readonly name: string;
  readonly options: Values<typeof TYPE>;
  readonly #arguments: Shape;
  readonly #data: Shape;

  constructor(name: string, options: Values<typeof TYPE>) {
    this.name = name;
    this.options = options;
    this.#arguments = new Shape(options.arguments);
    this.#data = new Shape(options.data);
  }

  get keepMs(): number {
    return this.options.keepMs;
  }

  /** The entry of this type in `events/list`. */
  get shown(): object {
    const { description, delivery } = this.options;
    return {
      name: this.name,
      ...(description !== undefined && { description }),
      delivery,
      inputSchema: this.#arguments.json,
      payloadSchema: this.#data.json,
    };
  }

  checkArguments(given: unknown): string | undefined {
    return this.#arguments.check(given);
  }

  checkData(given: unknown): string | undefined {
    return this.#data.check(given);
  }

  matches(args: EventData, event: SentEvent, user: string | undefined): boolean {
    for (const name of this.options.by)
      if (args[name] !== undefined && args[name] !== event.data[name]) return false;
    return this.options.match?.(args, event, user) ?? true;
  }
}

const text = (option: string, given: unknown): string => {
  if (typeof given === 'string') return given;
  throw optionInvalid('type', option, given, 'a string');
};
const schema = (option: string, given: unknown): object => {
  if (given instanceof Object) return given;
  throw optionInvalid(
    'type',
    option,
    given,
    'a JSON Schema, or a schema of Zod, ArkType or Valibot',
  );
};
const hook = (takes: string) => (option: string, given: unknown) =>
  checkFunction(option, given as never, takes);
const time = (least: number) => (option: string, given: unknown) =>
  checkNumber(option, given, { min: least, max: 720 * HOUR_MS, unit: 'ms', integer: true });

function names(allowed?: readonly string[]) {
  return (option: string, given: unknown): readonly string[] => {
    const isList =
      Array.isArray(given) &&
      given.every((name) => typeof name === 'string' && (allowed?.includes(name) ?? true));
    if (isList && (allowed === undefined || given.length > 0)) return given as string[];
    throw optionInvalid('type', option, given, `a list of ${allowed?.join(', ') ?? 'names'}`);
  };
}

const TYPE = {
  description: value<string | undefined>(undefined, text),
  arguments: value<object | undefined>(undefined, schema),
  data: value<object | undefined>(undefined, schema),
  delivery: value<readonly string[]>(DELIVERIES, names(DELIVERIES)),
  keepMs: value(HOUR_MS, time(0)),
  by: value<readonly string[]>(Object.freeze([]), names()),
  match: value<EventTypeOptions['match']>(undefined, hook('a function (args, event, user)')),
  authorize: value<EventTypeOptions['authorize']>(undefined, hook('a function (args, user)')),
} satisfies Record<keyof EventTypeOptions, unknown>;

const EVENTS = {
  types: value<ReadonlyMap<string, EventType>>(new Map(), typesIn),
  maxTtlMs: value(24 * HOUR_MS, time(60_000)),
  trustedCallback: value<EventsOptions['trustedCallback']>(undefined, hook('a function (url)')),
} satisfies Record<keyof EventsOptions, unknown>;
export type ResolvedEvents = Values<typeof EVENTS>;

function typesIn(option: string, given: unknown): ReadonlyMap<string, EventType> {
  const types = new Map<string, EventType>();
  for (const [name, of] of Object.entries(checkNames(option, given, Object.keys(given ?? {})))) {
    if (!NAME.test(name))
      throw optionInvalid('range', option, name, 'names of 1 to 128 letters, digits and _ . / : -');
    types.set(name, new EventType(name, valuesIn(`${option}.${name}`, of, TYPE)));
  }
  return types;
}

/** `false`: there are none. */
export function parseEvents(option: string, given: unknown): ResolvedEvents | false {
  return given === false ? false : valuesIn(option, given, EVENTS);
}
