/**
 * The one table of messages that set a server's state: what is kept of them in the record, and how they are told again when
 * the session is restored, in this order. What else a server wants to keep belongs in `session.state`.
 */
import type { RpcNotification, RpcRequest } from '../protocol/jsonrpc.ts';
import type { RecordPatch, NewSessionRecord } from '../stores/store.ts';
import type { RecordKeeper } from './record-keeper.ts';

/** Subscriptions past this number work, but are not told again after a restore. */
const SUBSCRIPTIONS_KEPT = 1_000;

type Told = RpcRequest | RpcNotification;

interface StateSetting {
  readonly method: string;
  /** Called when the request succeeded; changes what is kept and returns what its record changes. */
  readonly remember?: (kept: RecordKeeper, message: RpcRequest) => RecordPatch;
  readonly replay?: (record: NewSessionRecord) => readonly Told[];
}

const STATE_SETTING: readonly StateSetting[] = [
  {
    method: 'initialize',
    // The version that was agreed on, not the one that was asked for: a server that still lists it agrees to it again.
    replay: ({ handshake, version }) => [
      {
        jsonrpc: '2.0',
        id: replayId('initialize'),
        method: 'initialize',
        params: { ...handshake, protocolVersion: version },
      },
    ],
  },
  {
    method: 'notifications/initialized',
    replay: (record) => (record.initialized ? [{ jsonrpc: '2.0', method: 'notifications/initialized' }] : []),
  },
  {
    method: 'logging/setLevel',
    remember: (kept, message) => {
      const level = message.params?.['level'];
      kept.logLevel = typeof level === 'string' ? level : null;
      return { logLevel: kept.logLevel };
    },
    replay: ({ logLevel }) =>
      logLevel === null
        ? []
        : [{ jsonrpc: '2.0', id: replayId('level'), method: 'logging/setLevel', params: { level: logLevel } }],
  },
  {
    method: 'resources/subscribe',
    remember: (kept, message) => {
      const uri = message.params?.['uri'];
      const uris = (kept.subscriptions ??= new Set());
      if (typeof uri === 'string' && uris.size < SUBSCRIPTIONS_KEPT) uris.add(uri);
      return { subscriptions: [...uris] };
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
    remember: (kept, message) => {
      const uri = message.params?.['uri'];
      if (typeof uri === 'string') kept.subscriptions?.delete(uri);
      return { subscriptions: [...(kept.subscriptions ?? [])] };
    },
  },
];

/** No client can be using it: a restored session runs nothing yet. */
function replayId(what: string): string {
  return `sojourn.replay.${what}`;
}

export const REMEMBERED: Readonly<Record<string, StateSetting['remember']>> = Object.assign(
  Object.create(null) as Record<string, StateSetting['remember']>,
  Object.fromEntries(STATE_SETTING.flatMap(({ method, remember }) => (remember ? [[method, remember]] : []))),
);

/** What a rebuilt server is told, in order. */
export function replayed(record: NewSessionRecord): Told[] {
  return STATE_SETTING.flatMap(({ replay }) => replay?.(record) ?? []);
}
