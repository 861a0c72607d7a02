/**
 * The seam of this library in a server: the two tables in which the SDK looks handlers up. Each handler, the fallback
 * too, comes out of them inside `enter`. The SDK tells a transport nothing about a handler of a notification, or of a
 * request that was cancelled.
 *
 * The tables of a server that a factory made get another prototype; a definition gives the server of each session
 * tables of its own (`SessionTable`). Idle sessions are many, so their tables share each function.
 */
import { isObject } from '../protocol/jsonrpc.ts';
import { type Handler, type SdkServer, TABLES } from './sdk-server.ts';
import { innerServer } from './server-shape.ts';

/** What runs around handlers. */
export interface Enter {
  enter(server: Entered, handler: Handler, message: unknown, given: unknown): unknown;
  /** Runs in place of a handler of a request that the server lacks. `undefined`: the SDK refuses the method at once. */
  missing(): Handler | undefined;
}

/** The low-level server of a handler. */
export interface Entered {
  readonly inner: SdkServer;
  /** What the application has as its server, with the tables of its tools. */
  readonly made: object;
}

type Kind = keyof typeof TABLES;

const FALLBACKS = { requests: 'fallbackRequestHandler', notifications: 'fallbackNotificationHandler' } as const;

interface Seam extends Entered {
  readonly kind: Kind;
  readonly enter: Enter;
}

const SEAM = Symbol('sojourn.seam');

class HandlerTable extends Map<string, Handler> {
  declare [SEAM]: Seam;

  protected found(method: string): Handler | undefined {
    return super.get(method);
  }

  protected get fallback(): Handler | undefined {
    const { inner, kind } = this[SEAM];
    return inner[FALLBACKS[kind]];
  }

  override get(method: string): Handler | undefined {
    const seam = this[SEAM];
    const handler =
      this.found(method) ?? this.fallback ?? (seam.kind === 'requests' ? seam.enter.missing() : undefined);
    return handler && ((message, given) => seam.enter.enter(seam, handler, message, given));
  }
}

/** `false`: the server has no table of requests where this version of the SDK has it, or has replaced it. */
export function enterHandlers(made: unknown, enter: Enter): boolean {
  const inner = innerServer(made);
  if (!isObject(inner)) return false;
  const watch = (kind: Kind): boolean => {
    const table = inner[TABLES[kind]];
    if (!(table instanceof Map) || Object.getPrototypeOf(table) !== Map.prototype || Object.hasOwn(table, 'get'))
      return false;
    Object.setPrototypeOf(table, HandlerTable.prototype);
    (table as HandlerTable)[SEAM] = { inner: inner as unknown as SdkServer, made: made as object, kind, enter };
    return true;
  };
  watch('notifications');
  return watch('requests');
}

const NONE: ReadonlyMap<string, Handler> = new Map();

/** In place of a handler: the definition has one, and this session has none. */
const REMOVED: Handler = () => undefined;

/**
 * A table of the server of one session: the handlers of the definition under those of the session. Code that wraps the
 * handlers of a server in `connect()` finds them here, and what it sets stays in this session.
 *
 * `get` also returns the fallback. A getter in place of the property would do the same, but V8 then keeps the whole
 * server as a hash table.
 */
class SessionTable extends HandlerTable {
  // A field of the class: V8 keeps it in the object.
  override [SEAM]: Seam;
  readonly #shared: SdkServer;
  /** What its server registered for itself, such as `initialize`. */
  readonly #builtIn: ReadonlyMap<string, Handler>;

  /** `shared`: has the handlers of the definition. */
  constructor(shared: SdkServer, builtIn: ReadonlyMap<string, Handler>, seam: Seam) {
    super();
    this.#shared = shared;
    this.#builtIn = builtIn;
    this[SEAM] = seam;
    this.#showFallback(seam);
  }

  /** Middleware may wrap the fallback as well. */
  #showFallback(seam: Seam): void {
    const name = FALLBACKS[seam.kind];
    const first = this.#shared[name];
    if (first === undefined) return;
    seam.inner[name] = (message, given) => seam.enter.enter(seam, this.#shared[name] ?? first, message, given);
  }

  get #stored(): ReadonlyMap<string, Handler> {
    return this.#shared[TABLES[this[SEAM].kind]];
  }

  protected override get fallback(): Handler | undefined {
    return super.fallback ?? this.#shared[FALLBACKS[this[SEAM].kind]];
  }

  protected override found(method: string): Handler | undefined {
    const own = super.found(method);
    return own === REMOVED ? undefined : (own ?? this.#stored.get(method) ?? this.#builtIn.get(method));
  }

  override has(method: string): boolean {
    return this.found(method) !== undefined;
  }

  override delete(method: string): boolean {
    const had = this.has(method);
    if (this.#stored.has(method) || this.#builtIn.has(method)) super.set(method, REMOVED);
    else super.delete(method);
    return had;
  }

  override clear(): void {
    for (const method of this.keys()) this.delete(method);
  }

  override get size(): number {
    return this.#all().size;
  }

  override entries(): MapIterator<[string, Handler]> {
    return this.#all().entries();
  }

  override [Symbol.iterator](): MapIterator<[string, Handler]> {
    return this.entries();
  }

  override keys(): MapIterator<string> {
    return this.#all().keys();
  }

  override values(): MapIterator<Handler> {
    return this.#all().values();
  }

  override forEach(run: (handler: Handler, method: string, table: Map<string, Handler>) => void, of?: unknown): void {
    for (const [method, handler] of this.#all()) run.call(of, handler, method, this);
  }

  /** In the order of the definition, then those that this session alone has. */
  #all(): Map<string, Handler> {
    const all = [...this.#stored.keys(), ...this.#builtIn.keys(), ...super.keys()];
    const methods = all.filter((method) => this.has(method));
    return new Map(methods.map((method) => [method, super.found(method) ?? (this.get(method) as Handler)]));
  }
}

/**
 * Gives the server of a session its tables: the handlers of `shared`, and its own ones that `shared` lacks. `made`: what
 * the application has as the server of all sessions.
 */
export function shareHandlers(inner: SdkServer, shared: SdkServer, made: object, enter: Enter): void {
  const { [TABLES.requests]: requests } = inner;
  inner[TABLES.requests] = new SessionTable(shared, requests, { inner, made, kind: 'requests', enter });
  inner[TABLES.notifications] = new SessionTable(shared, NONE, { inner, made, kind: 'notifications', enter });
}
