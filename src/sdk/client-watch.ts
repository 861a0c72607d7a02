/**
 * Notices that a server which is being connected asks who its client is. Servers that were written for transports which
 * deliver messages during `connect()` poll these two methods in it, until the client's `initialize` has arrived.
 *
 * The first slow `connect()` wraps the two methods of the class of its server, and of the SDK's classes where an object
 * of the application hides its server. A wrapped method looks for the transport of its server. The methods stay
 * wrapped: a tool may have wrapped them in turn, and a class that changes with each `connect()` is slow.
 */
import { Server } from '@modelcontextprotocol/server';
import { isObject } from '../protocol/jsonrpc.ts';
import { innerServer, isOfSdk, propertyWithServer } from './server-shape.ts';

/** The two methods, and the objects whose method is wrapped. */
const GETTERS = { getClientVersion: new WeakSet<object>(), getClientCapabilities: new WeakSet<object>() };

/** What is called when the server that is connected to this transport asks. */
const listeners = new WeakMap<object, () => void>();

export interface ClientWatch {
  /** Resolves when the server asks. */
  readonly asked: Promise<void>;
  end(): void;
}

/** Watches the server that is, or will be, connected to `transport`. */
export function watchClient(made: unknown, transport: object): ClientWatch {
  const asked = new Promise<void>((resolve) => listeners.set(transport, resolve));
  const property = propertyWithServer(made);
  if (isOfSdk(made)) wrapGetters(innerServer(made));
  else {
    if (isObject(made) && property !== undefined) wrapGetters(innerServer(made[property]));
    wrapGetters(Server.prototype);
    void olderClass().then(wrapGetters);
  }
  return { asked, end: () => void listeners.delete(transport) };
}

/** In the object of the prototype chain that has them: once for a class. A frozen class stays as it is. */
function wrapGetters(server: unknown): void {
  for (const [name, wrapped] of Object.entries(GETTERS)) {
    let owner = server;
    while (isObject(owner) && !Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner);
    if (!isObject(owner) || wrapped.has(owner)) continue;
    wrapped.add(owner);
    wrap(owner, name);
  }
}

function wrap(owner: object, name: string): void {
  const descriptor = Object.getOwnPropertyDescriptor(owner, name);
  const method: unknown = descriptor?.value;
  if (typeof method !== 'function') return;
  function asking(this: { readonly transport: object }, ...args: unknown[]): unknown {
    listeners.get(this.transport)?.();
    return Reflect.apply(method as () => unknown, this, args);
  }
  Reflect.defineProperty(owner, name, { ...descriptor, value: asking });
}

let older: Promise<object | undefined> | undefined;

/** The class of SDK 1 that applications find, where it is installed. */
const olderClass = (): Promise<object | undefined> => (older ??= importOlder());

async function importOlder(): Promise<object | undefined> {
  try {
    return (await import('@modelcontextprotocol/sdk/server/index.js')).Server.prototype;
  } catch {
    return undefined;
  }
}
