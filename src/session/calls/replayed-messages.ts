/**
 * The messages that set a server's state: what the record keeps of each, and what a restore sends to the rebuilt
 * server, in this order. Any other state of a server belongs in `session.state`.
 */
import type { RpcNotification, RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { methodOf } from '../../base/protocol/methods.ts';
import type { Handshake } from '../record/handshake.ts';
import type { RecordKeeper } from '../record/record-keeper.ts';

/** A server may write into what it gets, so each gets its own. */
export const initializedMessage = (): RpcNotification => ({
  jsonrpc: '2.0',
  method: 'notifications/initialized',
});

type Keep = (record: RecordKeeper, params: RpcRequest['params']) => void;

/** What saves the effect of a request of this method, when it has succeeded. */
export function keeperOf(method: string): Keep | undefined {
  switch (methodOf(method).replays) {
    case 'level':
      return keepLevel;
    case 'subscribed':
      return (record, params) => record.subscribe(params?.['uri']);
    case 'unsubscribed':
      return (record, params) => record.unsubscribe(params?.['uri']);
    default:
      return undefined;
  }
}

const keepLevel: Keep = (record, params) => {
  const level = params?.['level'];
  record.change({ logLevel: typeof level === 'string' ? level : null });
};

/** The messages for a rebuilt server, in order. */
export function replayed(
  handshake: Handshake,
  record: RecordKeeper,
): Array<RpcRequest | RpcNotification> {
  const { version, initialized, logLevel } = record.head;
  // The negotiated version, not the requested version: a server that still supports it agrees to it again.
  const initialize = { ...handshake.copy(), protocolVersion: version };
  const messages: Array<RpcRequest | RpcNotification> = [
    replay('initialize', 'initialize', initialize),
  ];
  if (initialized) messages.push(initializedMessage());
  if (logLevel !== null) messages.push(replay('level', 'logging/setLevel', { level: logLevel }));
  for (const [n, uri] of record.subscribed.entries())
    messages.push(replay(`subscribe.${n}`, 'resources/subscribe', { uri }));
  return messages;
}

/** The id cannot collide with an id of the client, because a restored session runs no request yet. */
function replay(id: string, method: string, params: NonNullable<RpcRequest['params']>): RpcRequest {
  return { jsonrpc: '2.0', id: `sojourn.replay.${id}`, method, params };
}
