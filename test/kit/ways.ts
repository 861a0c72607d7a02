/** Every mode and era in which a call is checked, each as one way to send a request. */
import type {
  McpEndpointContext,
  McpEndpointFactory,
  McpEndpointOptions,
} from '../../src/index.ts';
import type { JsonRpcAnswer, RawClient, RawHeaders } from './raw-client.ts';
import type { RawResponse } from './raw-response.ts';
import { openSse } from './legacy-sse.ts';
import { postModern } from './modern.ts';
import { serve, type Face, type Served, type ServeSettings } from './serve.ts';
import { sharedStore } from './shared-stores.ts';

export type Params = Readonly<Record<string, unknown>>;

/** A server, and what ran of it that is guarded. */
export interface Guarded {
  readonly ran: string[];
  readonly factory: McpEndpointFactory;
}

/** How callers are known. */
export interface Callers {
  readonly options?: McpEndpointOptions;
  readonly auth?: ServeSettings['auth'];
  /** The caller who opens sessions; others speak in them too. */
  readonly opener: string;
  headersOf(caller: string): { readonly headers: RawHeaders };
}

/** Callers whom nothing tells apart. */
export const anyone = (options: McpEndpointOptions): Callers => ({
  options,
  opener: '',
  headersOf: () => ({ headers: {} }),
});

export interface Sent {
  readonly response: RawResponse;
  readonly status: number;
  /** The answer with the id 0. */
  answer(): Promise<JsonRpcAnswer>;
  /** The client gives the call up: it cancels it, or disconnects where that is how. */
  leave(): Promise<unknown>;
}

export interface Way {
  readonly ran: string[];
  readonly served: Served;
  readonly subscribes: boolean;
  /** `headers`: only 2026-07-28 sends them. */
  send(method: string, params: Params, caller: string, headers?: RawHeaders): Promise<Sent>;
}

export type Start = (callers: Callers, guarded: Guarded) => Promise<Way>;

let ids = 1_000;
export const body = (method: string, params: Params) => ({
  jsonrpc: '2.0',
  id: (ids += 1),
  method,
  params,
});

export interface Kind {
  readonly options?: McpEndpointOptions;
  readonly face?: Face;
  /** The version of the session. Without it the client opens none. */
  readonly version?: string;
  /** The version that it names without a session. */
  readonly names?: string;
  readonly transport?: 'legacy SSE' | '2026-07-28';
  /** The client is connected to another instance than the owner of its session. */
  readonly isRelayed?: true;
  readonly isBatch?: true;
  /** What the endpoint gets in place of the factory. */
  readonly give?: (factory: McpEndpointFactory) => McpEndpointFactory;
}

const withId0 = (answer: unknown): JsonRpcAnswer => ({ ...(answer as object), id: 0 });

/** The answer in the response, among those of the other requests of a batch. `undefined`: its first message. */
const sent = (
  response: RawResponse,
  id?: unknown,
  leave: Sent['leave'] = async () => response.abort(),
): Sent => ({
  response,
  status: response.status,
  leave,
  answer: async () => {
    const isOwn = (message: unknown): boolean =>
      id === undefined || (message as { id?: unknown }).id === id;
    if (response.sse) return withId0(await response.nextMessage(isOwn));
    await response.ended;
    const all: unknown = response.json();
    return withId0(Array.isArray(all) ? all.find(isOwn) : all);
  },
});

export const cancelOf = ({ id }: { readonly id: number }) => ({
  jsonrpc: '2.0',
  method: 'notifications/cancelled',
  params: { requestId: id },
});

/** How a client of this kind sends. */
async function sending(
  kind: Kind,
  client: RawClient,
  { headersOf }: Callers,
): Promise<Way['send']> {
  if (kind.transport === '2026-07-28') {
    return async (method, params, caller, headers = {}) =>
      sent(
        await postModern(client, method, params, {
          headers: { ...headersOf(caller).headers, ...headers },
        }),
      );
  }
  if (kind.transport === 'legacy SSE') {
    const { post, stream } = await openSse(client);
    return async (method, params, caller) => {
      const message = body(method, params);
      const response = await post(message, headersOf(caller));
      const answer = async () => withId0(await stream.nextMessage());
      const leave = () => post(cancelOf(message), headersOf(caller));
      return { response, status: response.status, answer, leave };
    };
  }
  const before = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };
  return async (method, params, caller) => {
    const message = body(method, params);
    const posted = kind.isBatch ? [body('ping', {}), before, message] : message;
    const cancel = () => client.post(cancelOf(message), headersOf(caller));
    const leave = kind.version === undefined ? undefined : cancel;
    return sent(await client.post(posted, headersOf(caller)), message.id, leave);
  };
}

export async function start(kind: Kind, callers: Callers, { ran, factory }: Guarded): Promise<Way> {
  const { face = 'listen', version, isRelayed = false, give = (one) => one } = kind;
  const store = isRelayed ? sharedStore('sqlite') : undefined;
  const { auth } = callers;
  const given = give(factory);
  const open = () =>
    serve(
      given,
      { ...callers.options, ...kind.options, ...(store && { store: store() }) },
      // Middleware says who calls on a face that is mounted.
      { face: auth !== undefined && face === 'listen' ? 'node' : face, ...(auth && { auth }) },
    );
  const served = await open();
  // A stream of the 2024-11-05 transport is opened by a GET without further headers.
  const opener = served.client(
    kind.transport === 'legacy SSE' ? callers.headersOf(callers.opener) : {},
  );
  if (version !== undefined) {
    await opener.initialize({ protocolVersion: version, ...callers.headersOf(callers.opener) });
  } else opener.protocolVersion = kind.names;
  const client = isRelayed ? (await open()).client() : opener;
  Object.assign(client, { sessionId: opener.sessionId, protocolVersion: opener.protocolVersion });
  const send = await sending(kind, client, callers);
  return { ran, served, subscribes: kind.transport !== '2026-07-28', send };
}

/** The same server for every session: an endpoint takes one in place of a factory. */
const asOne = (factory: McpEndpointFactory) =>
  factory({ serverOptions: {} } as McpEndpointContext) as unknown as McpEndpointFactory;

const HOOKS: McpEndpointOptions = {
  perSessionExecutionContext: true,
  runSessionHandler: async (_request, _session, run) => void (await run()),
};
const STATELESS: McpEndpointOptions = { sessionMode: 'stateless' };
const SESSION = { version: '2025-11-25' } as const;
const MODERN = { transport: '2026-07-28' } as const;

const KINDS: Readonly<Record<string, Kind>> = {
  'sessions, 2025-11-25': SESSION,
  'sessions alone, hooks and a separate context': {
    ...SESSION,
    options: { sessionMode: 'stateful', ...HOOKS },
  },
  'sessions, 2025-06-18, fetch': { version: '2025-06-18', face: 'fetch' },
  'sessions, 2025-03-26, JSON, node': {
    version: '2025-03-26',
    face: 'node',
    options: { responseMode: 'json' },
  },
  'sessions of one server': { ...SESSION, give: asOne },
  '2026-07-28 of one server': { ...MODERN, give: asOne },
  'a batch of 2025-03-26': { version: '2025-03-26', isBatch: true },
  'stateless, 2025-11-25': { options: STATELESS, names: '2025-11-25' },
  'stateless, 2025-11-25, JSON, fetch': {
    options: { ...STATELESS, responseMode: 'json' },
    names: '2025-11-25',
    face: 'fetch',
  },
  'legacy SSE': { transport: 'legacy SSE', options: { legacySse: true } },
  '2026-07-28': MODERN,
  '2026-07-28, JSON': { ...MODERN, options: { responseMode: 'json' } },
  '2026-07-28, streams': { ...MODERN, options: { responseMode: 'sse' } },
  '2026-07-28, stateless, hooks and a separate context': {
    ...MODERN,
    options: { ...STATELESS, ...HOOKS },
  },
  '2026-07-28, a factory that leaves ctx.serverOptions': {
    ...MODERN,
    give: (factory) => (ctx) => factory({ ...ctx, serverOptions: {} }),
  },
  'relayed from another instance': { ...SESSION, isRelayed: true },
};

export const WAYS: Readonly<Record<string, Start>> = Object.fromEntries(
  Object.entries(KINDS).map(([name, kind]) => [
    name,
    (callers, guarded) => start(kind, callers, guarded),
  ]),
);
