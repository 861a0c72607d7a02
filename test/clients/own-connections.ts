/**
 * Connections that one client has for itself, as it has in a process of its own: `fetch` shares them among all clients of a
 * process, so that one which hardly anybody uses is still used by somebody at the worst moment.
 */
import { onTestFinished } from 'vitest';

interface Dispatcher {
  readonly constructor: new () => Dispatcher;
  destroy(): Promise<void>;
}

/** Where Node's `fetch` keeps the one it uses when no other is given. */
const DEFAULT = Symbol.for('undici.globalDispatcher.1');

/** A `fetch` over connections of its own, until the test ends. */
export async function ownConnections(): Promise<typeof fetch> {
  // It is made with the first request.
  await fetch('data:,');
  const shared = (globalThis as unknown as Record<symbol, Dispatcher | undefined>)[DEFAULT];
  if (shared === undefined) throw new Error('this Node keeps the connections of fetch elsewhere');
  const dispatcher = new shared.constructor();
  onTestFinished(() => dispatcher.destroy());
  return (url, init) => fetch(url, { ...init, dispatcher } as object);
}
