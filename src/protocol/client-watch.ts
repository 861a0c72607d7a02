/**
 * Notices that a server which is being connected asks who its client is. Servers that were written for transports which
 * deliver messages during `connect()` poll these two methods in it, until the client's `initialize` has arrived.
 *
 * While such a `connect()` is watched, the methods are wrapped: on the server, or where an object of the application
 * hides it, on the classes of the SDK. A wrapped method of a class looks for the transport of its server.
 */
import { Server } from '@modelcontextprotocol/server';
import { isObject } from './jsonrpc.ts';
import { innerServer, isOfSdk, propertyWithServer } from './server-shape.ts';

const GETTERS = ['getClientVersion', 'getClientCapabilities'];

/** What is called when the server of a transport asks. */
type Listeners = Map<unknown, () => void>;

interface Wrapped {
  readonly listeners: Listeners;
  unwrap(): void;
}

/** The key is a server, or the prototype of a class. */
const wrapped = new WeakMap<object, Wrapped>();

export interface ClientWatch {
  /** Resolves when the server asks. */
  readonly asked: Promise<void>;
  end(): void;
}

/** Watches the server that is, or will be, connected to `transport`. */
export function watchClient(made: unknown, transport: object): ClientWatch {
  let isOver = false;
  const ends: Array<() => void> = [];
  const end = (): void => {
    isOver = true;
    for (const endOne of ends.splice(0)) endOne();
  };
  const asked = new Promise<void>((resolve) => {
    const listener = (): void => {
      end();
      resolve();
    };
    const watch = (holder: unknown): void => {
      if (!isOver && isObject(holder)) ends.push(listen(holder, transport, listener));
    };
    const property = propertyWithServer(made);
    if (isOfSdk(made)) return watch(innerServer(made));
    if (isObject(made) && property !== undefined) watch(innerServer(made[property]));
    watch(Server.prototype);
    void olderClass().then(watch);
  });
  return { asked, end };
}

function listen(holder: object, transport: object, asked: () => void): () => void {
  const found = wrapped.get(holder) ?? wrap(holder);
  const { listeners, unwrap } = found;
  listeners.set(transport, asked);
  return () => {
    listeners.delete(transport);
    if (listeners.size > 0 || wrapped.get(holder) !== found) return;
    wrapped.delete(holder);
    unwrap();
  };
}

function wrap(holder: object): Wrapped {
  const listeners: Listeners = new Map();
  const unwraps = GETTERS.map((name) => wrapMethod(holder, name, listeners));
  const added = {
    listeners,
    // The reverse order: V8 keeps an object fast whose newest properties are deleted.
    unwrap: () => {
      for (const unwrap of unwraps.toReversed()) unwrap();
    },
  };
  wrapped.set(holder, added);
  return added;
}

function wrapMethod(holder: object, name: string, listeners: Listeners): () => void {
  const method: unknown = Reflect.get(holder, name);
  if (typeof method !== 'function') return () => {};
  const before = Object.getOwnPropertyDescriptor(holder, name);
  function asking(this: { readonly transport?: unknown }, ...args: unknown[]): unknown {
    listeners.get(this.transport)?.();
    return Reflect.apply(method as () => unknown, this, args);
  }
  Reflect.defineProperty(holder, name, { ...WRAPPER, value: asking });
  return () => {
    // A tool may have wrapped it in turn.
    if (Object.getOwnPropertyDescriptor(holder, name)?.value !== asking) return;
    if (before === undefined) Reflect.deleteProperty(holder, name);
    else Reflect.defineProperty(holder, name, before);
  };
}

const WRAPPER = { configurable: true, enumerable: false, writable: true };

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
