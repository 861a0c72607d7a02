/**
 * The table of messages that set a server's state: what the record keeps of each, and how a restore sends them to the
 * rebuilt server, in this order. Any other state of a server belongs in `session.state`.
 */
import type { RpcNotification, RpcRequest } from '../../protocol/jsonrpc.ts';
import { handshakeCopy } from '../record/handshake.ts';
import type { RecordKeeper } from '../record/record-keeper.ts';
import type { SessionRecord } from '../record/session-record.ts';

type Replayed = RpcRequest | RpcNotification;

interface StateSetting {
  readonly method: string;
  /** Saves the effect of a request that succeeded. */
  readonly keep?: (record: RecordKeeper, message: RpcRequest) => void;
  readonly replay?: (record: SessionRecord) => readonly Replayed[];
}

const STATE_SETTING: readonly StateSetting[] = [
  {
    method: 'initialize',
    // The negotiated version, not the requested version: a server that still supports it agrees to it again.
    replay: ({ handshake, version }) => [
      {
        jsonrpc: '2.0',
        id: replayId('initialize'),
        method: 'initialize',
        params: { ...handshakeCopy(handshake), protocolVersion: version },
      },
    ],
  },
  {
    method: 'notifications/initialized',
    replay: (record) => (record.initialized ? [{ jsonrpc: '2.0', method: 'notifications/initialized' }] : []),
  },
  {
    method: 'logging/setLevel',
    keep: (record, message) => {
      const level = message.params?.['level'];
      record.setLogLevel(typeof level === 'string' ? level : null);
    },
    replay: ({ logLevel }) =>
      logLevel === null
        ? []
        : [{ jsonrpc: '2.0', id: replayId('level'), method: 'logging/setLevel', params: { level: logLevel } }],
  },
  {
    method: 'resources/subscribe',
    // A renamed request subscribes to nothing.
    keep: (record, message) => {
      record.subscribe(message.params?.['uri']);
    },
    replay: ({ subscriptions }) =>
      subscriptions.map((uri, n) => ({
        jsonrpc: '2.0',
        id: replayId(`subscribe.${n}`),
        method: 'resources/subscribe',
        params: { uri },
      })),
  },
  {
    method: 'resources/unsubscribe',
    keep: (record, message) => record.unsubscribe(message.params?.['uri']),
  },
];

/** Cannot collide with an id of the client, because a restored session runs no request yet. */
function replayId(what: string): string {
  return `sojourn.replay.${what}`;
}

/** Saves the effect of a request that succeeded. The key is its method. */
export const REPLAYED_MESSAGES: Readonly<Record<string, StateSetting['keep']>> = Object.assign(
  Object.create(null) as Record<string, StateSetting['keep']>,
  Object.fromEntries(STATE_SETTING.flatMap(({ method, keep }) => (keep ? [[method, keep]] : []))),
);

/** The messages for a rebuilt server, in order. */
export function replayed(record: SessionRecord): Replayed[] {
  return STATE_SETTING.flatMap(({ replay }) => replay?.(record) ?? []);
}
