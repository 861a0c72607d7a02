/**
 * The messages that set a server's state: what the record keeps of each, and what a restore sends to the rebuilt
 * server, in this order. Any other state of a server belongs in `session.state`.
 */
import type { RpcNotification, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { Handshake } from '../record/handshake.ts';
import type { RecordKeeper } from '../record/record-keeper.ts';

type Keep = (record: RecordKeeper, params: RpcRequest['params']) => void;

/** Saves the effect of a request that succeeded. The key is its method. */
export const KEPT_MESSAGES: ReadonlyMap<string, Keep> = new Map<string, Keep>([
  [
    'logging/setLevel',
    (record, params) => {
      const level = params?.['level'];
      record.change({ logLevel: typeof level === 'string' ? level : null });
    },
  ],
  ['resources/subscribe', (record, params) => record.subscribe(params?.['uri'])],
  ['resources/unsubscribe', (record, params) => record.unsubscribe(params?.['uri'])],
]);

/** The messages for a rebuilt server, in order. */
export function replayed(handshake: Handshake, record: RecordKeeper): Array<RpcRequest | RpcNotification> {
  const { version, initialized, logLevel } = record.head;
  // The negotiated version, not the requested version: a server that still supports it agrees to it again.
  const initialize = { ...handshake.copy(), protocolVersion: version };
  const messages: Array<RpcRequest | RpcNotification> = [replay('initialize', 'initialize', initialize)];
  if (initialized) messages.push({ jsonrpc: '2.0', method: 'notifications/initialized' });
  if (logLevel !== null) messages.push(replay('level', 'logging/setLevel', { level: logLevel }));
  for (const [n, uri] of record.subscribed.entries())
    messages.push(replay(`subscribe.${n}`, 'resources/subscribe', { uri }));
  return messages;
}

/** The id cannot collide with an id of the client, because a restored session runs no request yet. */
function replay(id: string, method: string, params: NonNullable<RpcRequest['params']>): RpcRequest {
  return { jsonrpc: '2.0', id: `sojourn.replay.${id}`, method, params };
}
