/** For the command line: what an endpoint does when `sojourn instances drain` orders its instance to drain. */
export { markServed, nameHost } from '../cluster/this-process.ts';

const keys = new WeakMap<object, object>();
const handlers = new WeakMap<object, () => void>();

/** `endpoint`: what `createMcpEndpoint` returns. `key`: an object of the same endpoint. */
export function takeDrainOrders(endpoint: object, key: object): void {
  keys.set(endpoint, key);
}

/** Instead of `endpoint.drain()`: the process ends as at a signal. */
export function onDrainOrder(endpoint: object, handler: () => void): void {
  const key = keys.get(endpoint);
  if (key !== undefined) handlers.set(key, handler);
}

export const drainOrderHandler = (key: object): (() => void) | undefined => handlers.get(key);
