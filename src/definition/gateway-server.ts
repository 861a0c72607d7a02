/**
 * The server of a gateway, as code of the application has it: public members that lead to the session whose handler
 * runs. Outside of a handler, and for another session than its own, they do nothing or are refused.
 */
import { outsideHandler } from '../errors.ts';
import type { SdkServer } from '../sdk/sdk-server.ts';
import type { Announcements } from './announcements.ts';
import type { GatewaySession, Transport } from './gateway-session.ts';
import { connected, replaced } from './hosted.ts';

const GETTERS = {
  getClientCapabilities: (session: GatewaySession) => session.capabilities,
  getClientVersion: (session: GatewaySession) => session.clientInfo,
  getNegotiatedProtocolVersion: (session: GatewaySession) => session.version,
};

/** A handler that replaced one of them would do so for every session. */
const SENDS = ['notification', 'request', 'ping', 'createMessage', 'elicitInput', 'listRoots', 'sendResourceUpdated'];

interface ServingGateway {
  readonly announcements: Announcements;
  /** That of the one connection. */
  readonly transport: object;
  /** The session whose handler runs. */
  readonly presentSession: GatewaySession | undefined;
}

type AnyMethod = (...args: unknown[]) => unknown;

export function keepSessionsApart(server: SdkServer, gateway: ServingGateway): void {
  const replace = (name: string, wrap: (own: AnyMethod) => AnyMethod): void => {
    const own: unknown = Reflect.get(server, name);
    if (typeof own !== 'function') return;
    let value: unknown = wrap(own.bind(server) as AnyMethod);
    const set = (replacement: unknown): void => {
      if (gateway.presentSession !== undefined) throw replaced(name);
      value = replacement;
    };
    Object.defineProperty(server, name, { configurable: true, get: () => value, set });
  };
  replace('connect', (connect) => async (transport) => {
    if (transport === gateway.transport) return connect(transport);
    const session = gateway.presentSession;
    if (session === undefined || session.transport !== undefined) throw connected();
    return session.connect(transport as Transport);
  });
  replace('close', () => async () => {
    const session = gateway.presentSession;
    if (session === undefined) throw outsideHandler('close()');
    await session.close();
  });
  replace('sendLoggingMessage', (log) => async (params, sessionId) => {
    const isForClient = sessionId === undefined || sessionId === gateway.presentSession?.sessionId;
    return isForClient ? log(params, sessionId) : gateway.announcements.drop('notifications/message');
  });
  for (const [name, get] of Object.entries(GETTERS)) {
    replace(name, () => () => {
      const session = gateway.presentSession;
      return session && get(session);
    });
  }
  for (const name of SENDS) replace(name, (own) => own);
  for (const name of ['onclose', 'onerror'] as const) keepCallbacks(server, name, gateway);
}

/** What a handler sets belongs to its session. What is set outside of a handler is that of all other sessions. */
function keepCallbacks(server: SdkServer, name: 'onclose' | 'onerror', gateway: ServingGateway): void {
  let common: unknown = server[name];
  Object.defineProperty(server, name, {
    configurable: true,
    enumerable: true,
    get: () => {
      const { callbacks } = gateway.presentSession ?? {};
      return callbacks?.has(name) === true ? callbacks.get(name) : common;
    },
    set: (value: unknown) => {
      const session = gateway.presentSession;
      if (session === undefined) common = value;
      else session.callbacks.set(name, value);
    },
  });
}
