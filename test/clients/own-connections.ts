/**
 * Connections that only one client uses, as if it ran alone in its process: `fetch` shares connections among all
 * clients of a process, so a connection that is about to be cut may be in use by another client.
 */
import { onTestFinished } from 'vitest';

interface Dispatcher {
  readonly constructor: new () => Dispatcher;
  destroy(): Promise<void>;
}

/** Where Node's `fetch` keeps the one it uses when no other is given. Node 26 has a wrapper in the older place. */
const DEFAULTS = [2, 1].map((place) => Symbol.for(`undici.globalDispatcher.${place}`));

/** A `fetch` over separate connections, until the test ends. */
export async function ownConnections(): Promise<typeof fetch> {
  // It is made with the first request.
  await fetch('data:,');
  const kept = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  const [shared] = DEFAULTS.flatMap((place) => kept[place] ?? []);
  if (shared === undefined) throw new Error('this Node keeps the connections of fetch elsewhere');
  const dispatcher = new shared.constructor();
  onTestFinished(() => dispatcher.destroy());
  return (url, init) => fetch(url, { ...init, dispatcher } as object);
}
