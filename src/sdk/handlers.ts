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

/**
 * A table of the server of one session: the handlers of the definition under those of the session. Code that wraps the
 * handlers of a server in `connect()` finds them here, and what it sets stays in this session. Once such code has
 * looked through the table, or removed from it, it is a copy: what the definition registers later could not be wrapped.
 *
 * `get` also returns the fallback. A getter in place of the property would do the same, but V8 then keeps the whole
 * server as a hash table.
 */
class SessionTable extends HandlerTable {
  // A field of the class: V8 keeps it in the object.
  override [SEAM]: Seam;
  readonly #shared: SdkServer;
  #isCopy = false;

  /** `shared`: has the handlers of the definition. */
  constructor(shared: SdkServer, seam: Seam) {
    super();
    this.#shared = shared;
    this[SEAM] = seam;
    // What its server registered for itself alone: its options differ from those of the definition.
    for (const [method, handler] of seam.inner[TABLES[seam.kind]])
      if (!this.#stored.has(method)) this.set(method, handler);
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
    return super.found(method) ?? (this.#isCopy ? undefined : this.#stored.get(method));
  }

  override has(method: string): boolean {
    return this.found(method) !== undefined;
  }

  override get size(): number {
    this.copy();
    return super.size;
  }

  /** In the order of the definition, then those that this session alone has. */
  copy(): void {
    if (this.#isCopy) return;
    this.#isCopy = true;
    const own = [...super.entries()];
    for (const [method, handler] of [...this.#stored, ...own]) super.set(method, handler);
  }
}

/** What looks through a table, or removes from it. */
const COPYING = ['entries', 'keys', 'values', 'forEach', 'delete', 'clear', Symbol.iterator] as const;
for (const name of COPYING) {
  const of = Map.prototype[name] as (this: SessionTable, ...args: unknown[]) => unknown;
  Object.defineProperty(SessionTable.prototype, name, {
    configurable: true,
    writable: true,
    value(this: SessionTable, ...args: unknown[]) {
      this.copy();
      return of.apply(this, args);
    },
  });
}

/**
 * Gives the server of a session its tables: the handlers of `shared`, and its own ones that `shared` lacks. `made`: what
 * the application has as the server of all sessions.
 */
export function shareHandlers(inner: SdkServer, shared: SdkServer, made: object, enter: Enter): void {
  for (const kind of ['requests', 'notifications'] as const)
    inner[TABLES[kind]] = new SessionTable(shared, { inner, made, kind, enter });
}
