/** What the short way of a request relies on (docs/adr/transport.md), in a class of servers of any version of the SDK. */

interface EnteredServer {
  readonly transport: unknown;
  connect(transport: object): Promise<void>;
}

export type ServerClass = new (info: object, options: object) => EnteredServer;
type OnMessage = (message: unknown, extra: unknown) => void;

const MESSAGES: readonly object[] = [
  { jsonrpc: '2.0', id: 1, method: 'ping' },
  {
    jsonrpc: '2.0',
    id: 'one',
    method: 'tools/call',
    params: { name: 'none', _meta: { progressToken: 1 } },
  },
  { jsonrpc: '2.0', id: 2, method: 'vendor/unknown', params: {} },
];

/** Its own properties, and how much each map, set and list holds. */
function stateOf(server: object): Map<PropertyKey, unknown> {
  return new Map(
    Reflect.ownKeys(server).map((key) => {
      const value: unknown = Reflect.get(server, key);
      return [key, value instanceof Map || value instanceof Set ? value.size : value];
    }),
  );
}

/** A connected server whose entry only notes what it is called with, and the `onmessage` that `connect` set. */
export async function entered(Server: ServerClass) {
  const server = new Server({ name: 'pins', version: '1.0.0' }, { capabilities: {} });
  let assigned = 0;
  let sent = 0;
  let set: OnMessage = () => {};
  const transport = {
    get onmessage(): OnMessage | undefined {
      return undefined;
    },
    set onmessage(listener: OnMessage) {
      assigned += 1;
      set = listener;
    },
    start: async () => {},
    send: async () => void (sent += 1),
    close: async () => {},
  };
  const calls: unknown[][] = [];
  Object.defineProperty(server, '_onrequest', {
    value: (...args: unknown[]) => void calls.push(args),
  });
  await server.connect(transport);
  const isConnected = assigned === 1 && server.transport === transport;
  return { server, onmessage: set, calls, isConnected, sends: () => sent };
}

/**
 * Passes requests to `onmessage`. Each must reach the entry at once, as it is, and change nothing else of the server.
 */
export async function shortWayOf(Server: ServerClass) {
  const { server, onmessage, calls, isConnected, sends } = await entered(Server);
  const before = stateOf(server);
  const passed = MESSAGES.map((message) => {
    const extra = {};
    calls.length = 0;
    onmessage(message, extra);
    const [called, ...more] = calls;
    // The first versions take no `extra`.
    const given = called?.[1] ?? extra;
    return more.length === 0 && called?.[0] === message && given === extra;
  });
  const after = stateOf(server);
  const changed = [...after.keys()].filter((key) => !Object.is(after.get(key), before.get(key)));
  return { connected: isConnected, passed: !passed.includes(false), changed, sent: sends() };
}
