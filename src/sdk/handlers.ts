/**
 * The seam of this library in a server: the two tables in which the SDK looks handlers up. Each handler, the fallback
 * too, comes out of them inside `enter`. The SDK tells a transport nothing about a handler of a notification, or of a
 * request that was cancelled.
 *
 * The tables of a server that a factory made get another prototype; a definition gives the server of each session
 * tables of its own. Idle sessions are many, so their tables share each function.
 */
import { isObject } from '../base/protocol/jsonrpc.ts';
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

type TableKind = keyof typeof TABLES;

const FALLBACKS = {
  requests: 'fallbackRequestHandler',
  notifications: 'fallbackNotificationHandler',
} as const;

interface Seam extends Entered {
  readonly kind: TableKind;
  readonly enter: Enter;
  /** Has the handlers of the definition, under those of the table. `undefined`: a factory made the server. */
  readonly shared?: SdkServer;
  isCopy?: boolean;
}

const SEAM = Symbol('sojourn.seam');

/**
 * `get` also returns the fallback. A getter in place of the property would do the same, but V8 then keeps the whole
 * server as a hash table.
 *
 * Code that wraps the handlers of a session in `connect()` finds those of the definition here, and what it sets stays
 * in this session. Once such code has looked through the table, or removed from it, it is a copy: what the definition
 * registers later could not be wrapped.
 */
class HandlerTable extends Map<string, Handler> {
  declare [SEAM]: Seam;

  /** For the server of a session. V8 keeps a field that the constructor sets in the object. */
  constructor(seam: Seam) {
    super();
    this[SEAM] = seam;
  }

  override get(method: string): Handler | undefined {
    const seam = this[SEAM];
    const handler =
      super.get(method) ?? storedIn(seam)?.get(method) ?? fallbackOf(seam) ?? missingIn(seam);
    return handler && ((message, given) => seam.enter.enter(seam, handler, message, given));
  }

  override has(method: string): boolean {
    return super.has(method) || storedIn(this[SEAM])?.has(method) === true;
  }

  override get size(): number {
    this.copy();
    return super.size;
  }

  /** In the order of the definition, then those that this session alone has. */
  copy(): void {
    const stored = storedIn(this[SEAM]);
    if (stored === undefined) return;
    this[SEAM].isCopy = true;
    const own = [...super.entries()];
    for (const [method, handler] of [...stored, ...own]) super.set(method, handler);
  }
}

const storedIn = ({ shared, kind, isCopy }: Seam): ReadonlyMap<string, Handler> | undefined =>
  isCopy === true ? undefined : shared?.[TABLES[kind]];

const fallbackOf = ({ inner, shared, kind }: Seam): Handler | undefined =>
  inner[FALLBACKS[kind]] ?? shared?.[FALLBACKS[kind]];

const missingIn = ({ kind, enter }: Seam): Handler | undefined =>
  kind === 'requests' ? enter.missing() : undefined;

/** What looks through a table, or removes from it. */
const COPYING = [
  'entries',
  'keys',
  'values',
  'forEach',
  'delete',
  'clear',
  Symbol.iterator,
] as const;
for (const name of COPYING) {
  const of = Map.prototype[name] as (this: HandlerTable, ...args: unknown[]) => unknown;
  Object.defineProperty(HandlerTable.prototype, name, {
    configurable: true,
    writable: true,
    value(this: HandlerTable, ...args: unknown[]) {
      this.copy();
      return of.apply(this, args);
    },
  });
}

/** `false`: the server has no table of requests where this version of the SDK has it, or has replaced it. */
export function enterHandlers(made: unknown, enter: Enter): boolean {
  const inner = innerServer(made);
  if (!isObject(inner)) return false;
  const watch = (kind: TableKind): boolean => {
    const table = inner[TABLES[kind]];
    if (
      !(table instanceof Map) ||
      Object.getPrototypeOf(table) !== Map.prototype ||
      Object.hasOwn(table, 'get')
    )
      return false;
    Object.setPrototypeOf(table, HandlerTable.prototype);
    (table as HandlerTable)[SEAM] = {
      inner: inner as unknown as SdkServer,
      made: made as object,
      kind,
      enter,
    };
    return true;
  };
  watch('notifications');
  return watch('requests');
}

/** What the application has as this server; `undefined`: it has no seam. */
export function madeOf(server: unknown): object | undefined {
  const inner = innerServer(server);
  const table = isObject(inner) ? inner[TABLES.requests] : undefined;
  return table instanceof HandlerTable ? table[SEAM].made : undefined;
}

/**
 * Gives the server of a session its tables: the handlers of `shared`, and its own which `shared`
 * lacks, where its options differ from those of the definition. `made`: what the application has as
 * the server of all sessions.
 */
export function shareHandlers(
  inner: SdkServer,
  shared: SdkServer,
  made: object,
  enter: Enter,
): void {
  for (const kind of ['requests', 'notifications'] as const) {
    const seam = { inner, made, kind, enter, shared };
    const table = new HandlerTable(seam);
    for (const [method, handler] of inner[TABLES[kind]])
      if (!shared[TABLES[kind]].has(method)) table.set(method, handler);
    inner[TABLES[kind]] = table;
    // Middleware may wrap the fallback as well.
    const { [FALLBACKS[kind]]: first } = shared;
    if (first !== undefined)
      inner[FALLBACKS[kind]] = (message, given) =>
        enter.enter(seam, shared[FALLBACKS[kind]] ?? first, message, given);
  }
}
