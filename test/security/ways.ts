/** Every mode and era in which a call is checked, each as one way to send a request. */
import type { McpEndpointContext, McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import type { RawHeaders } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { postModern } from '../kit/modern.ts';
import { serve, type Face, type Served, type ServeSettings } from '../kit/serve.ts';
import { sharedStore } from '../kit/shared-stores.ts';

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

export interface Sent {
  readonly response: RawResponse;
  readonly status: number;
  /** The answer with the id 0. */
  answer(): Promise<unknown>;
}

export interface Way {
  readonly ran: string[];
  readonly served: Served;
  readonly subscribes: boolean;
  send(method: string, params: Params, caller: string, headers?: RawHeaders): Promise<Sent>;
}

export type Start = (callers: Callers, guarded: Guarded) => Promise<Way>;

let ids = 1_000;
export const body = (method: string, params: Params) => ({ jsonrpc: '2.0', id: (ids += 1), method, params });

/** Middleware says who calls on a face that is mounted. */
export function openTo({ options, auth }: Callers, more: McpEndpointOptions, face: Face, { factory }: Guarded) {
  const mounted = auth !== undefined && face === 'listen' ? 'node' : face;
  return serve(factory, { ...options, ...more }, { face: mounted, ...(auth && { auth }) });
}

const withId0 = (answer: unknown): unknown => ({ ...(answer as object), id: 0 });

/** The answer in the response, among those of the other requests of a batch. `undefined`: its first message. */
const sent = (response: RawResponse, id: unknown): Sent => ({
  response,
  status: response.status,
  answer: async () => {
    const isOwn = (message: unknown): boolean => id === undefined || (message as { id?: unknown }).id === id;
    if (response.sse) return withId0(await response.nextMessage(isOwn));
    await response.ended;
    const all: unknown = response.json();
    return withId0(Array.isArray(all) ? all.find(isOwn) : all);
  },
});

const inSession =
  (protocolVersion: string, more: McpEndpointOptions = {}, face: Face = 'listen'): Start =>
  async (callers, guarded) => {
    const served = await openTo(callers, more, face, guarded);
    const client = served.client();
    await client.initialize({ protocolVersion, ...callers.headersOf(callers.opener) });
    const send: Way['send'] = async (method, params, caller) => {
      const message = body(method, params);
      return sent(await client.post(message, callers.headersOf(caller)), message.id);
    };
    return { ran: guarded.ran, served, subscribes: true, send };
  };

const stateless =
  (more: McpEndpointOptions = {}, face: Face = 'listen'): Start =>
  async (callers, guarded) => {
    const served = await openTo(callers, { sessionMode: 'stateless', ...more }, face, guarded);
    const client = served.client();
    const send: Way['send'] = async (method, params, caller) => {
      const message = body(method, params);
      return sent(await client.post(message, { version: '2025-11-25', ...callers.headersOf(caller) }), message.id);
    };
    return { ran: guarded.ran, served, subscribes: true, send };
  };

const modern =
  (more: McpEndpointOptions = {}): Start =>
  async (callers, guarded) => {
    const served = await openTo(callers, more, 'listen', guarded);
    const client = served.client();
    const send: Way['send'] = async (method, params, caller, headers = {}) => {
      const response = await postModern(client, method, params, {
        headers: { ...callers.headersOf(caller).headers, ...headers },
      });
      return sent(response, undefined);
    };
    return { ran: guarded.ran, served, subscribes: false, send };
  };

/** The same server for every session: an endpoint takes one in place of a factory. */
const asOne = ({ ran, factory }: Guarded): Guarded => ({
  ran,
  factory: factory({ serverOptions: {} } as McpEndpointContext) as unknown as McpEndpointFactory,
});

const HOOKS: McpEndpointOptions = {
  perSessionExecutionContext: true,
  runSessionHandler: async (_request, _session, run) => void (await run()),
};

export const WAYS: Readonly<Record<string, Start>> = {
  'sessions, 2025-11-25': inSession('2025-11-25'),
  'sessions alone, hooks and a separate context': inSession('2025-11-25', { sessionMode: 'stateful', ...HOOKS }),
  'sessions, 2025-06-18, fetch': inSession('2025-06-18', {}, 'fetch'),
  'sessions, 2025-03-26, JSON, node': inSession('2025-03-26', { responseMode: 'json' }, 'node'),
  'sessions of one server': (callers, guarded) => inSession('2025-11-25')(callers, asOne(guarded)),
  '2026-07-28 of one server': (callers, guarded) => modern()(callers, asOne(guarded)),
  'a batch of 2025-03-26': async (callers, guarded) => {
    const served = await openTo(callers, {}, 'listen', guarded);
    const client = served.client();
    await client.initialize({ protocolVersion: '2025-03-26', ...callers.headersOf(callers.opener) });
    const send: Way['send'] = async (method, params, caller) => {
      const message = body(method, params);
      const notification = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };
      const batch = [body('ping', {}), notification, message];
      return sent(await client.post(batch, callers.headersOf(caller)), message.id);
    };
    return { ran: guarded.ran, served, subscribes: true, send };
  },
  'stateless, 2025-11-25': stateless(),
  'stateless, 2025-11-25, JSON, fetch': stateless({ responseMode: 'json' }, 'fetch'),
  'legacy SSE': async (callers, guarded) => {
    const served = await openTo(callers, { legacySse: true }, 'listen', guarded);
    const connection = await openSse(served.client(callers.headersOf(callers.opener)));
    const send: Way['send'] = async (method, params, caller) => {
      const message = body(method, params);
      const response = await connection.post(message, callers.headersOf(caller));
      const answer = async () => withId0(await connection.stream.nextMessage());
      return { response, status: response.status, answer };
    };
    return { ran: guarded.ran, served, subscribes: true, send };
  },
  '2026-07-28': modern(),
  '2026-07-28, JSON': modern({ responseMode: 'json' }),
  '2026-07-28, streams': modern({ responseMode: 'sse' }),
  '2026-07-28, stateless, hooks and a separate context': modern({ sessionMode: 'stateless', ...HOOKS }),
  '2026-07-28, a factory that leaves ctx.serverOptions': (callers, { ran, factory }) =>
    modern()(callers, { ran, factory: (ctx) => factory({ ...ctx, serverOptions: {} }) }),
  'relayed from another instance': async (callers, guarded) => {
    const store = sharedStore('sqlite');
    const owner = await openTo(callers, { store: store() }, 'listen', guarded);
    const relaying = await openTo(callers, { store: store() }, 'listen', guarded);
    const opener = owner.client();
    await opener.initialize({ protocolVersion: '2025-11-25', ...callers.headersOf(callers.opener) });
    const client = relaying.client();
    client.sessionId = opener.sessionId;
    client.protocolVersion = opener.protocolVersion;
    const send: Way['send'] = async (method, params, caller) => {
      const message = body(method, params);
      return sent(await client.post(message, callers.headersOf(caller)), message.id);
    };
    return { ran: guarded.ran, served: owner, subscribes: true, send };
  },
};
