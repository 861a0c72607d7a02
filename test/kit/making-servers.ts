/**
 * `SOJOURN_ONE_DEFINITION=1` makes the server of a test once and passes that server to the endpoint, where the fixture
 * allows it. Without the switch an endpoint gets the factory. A fixture allows it when its server needs nothing of the
 * context that a factory gets, and keeps nothing of one session.
 */
import type { ConnectableServer, McpEndpointFactory } from '../../src/index.ts';

const ONE_DEFINITION = process.env['SOJOURN_ONE_DEFINITION'] === '1';
const shareable = new WeakSet<object>();

/** Marks a factory whose server may serve every session. */
export function shared<Factory extends object>(factory: Factory): Factory {
  shareable.add(factory);
  return factory;
}

/** What an endpoint of a test gets. */
export function serverOf(given: McpEndpointFactory | ConnectableServer): McpEndpointFactory | ConnectableServer {
  if (!ONE_DEFINITION || typeof given !== 'function' || !shareable.has(given)) return given;
  return (given as (ctx: object) => ConnectableServer)({ serverOptions: {} });
}
