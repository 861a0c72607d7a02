/** Every mode and era in which `auth.authorize` is asked, each as one way to send a request. */
import { completable, McpServer, requireScopes, ResourceTemplate, type AuthInfo } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { AuthOptions, McpEndpointContext, McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import type { RawHeaders } from '../kit/raw-client.ts';
import { bearer } from '../kit/issuer.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { callModern } from '../kit/modern.ts';
import { serve, type Face, type Served } from '../kit/serve.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';

const info = (token: string): AuthInfo => ({
  token,
  clientId: 'c',
  scopes: [],
  expiresAt: Math.floor(Date.now() / 1_000) + 600,
  extra: { sub: 'ada', role: token },
});

/** The caller `admin` may use everything; others nothing whose name says `secret`. */
const may = (name: string, { extra }: AuthInfo): boolean => extra?.['role'] === 'admin' || !name.includes('secret');

export const HOOKS: Readonly<Record<string, AuthOptions['authorize']>> = {
  'at once': (_kind, name, authInfo) => may(name, authInfo),
  later: async (_kind, name, authInfo) => {
    await new Promise((turn) => setImmediate(turn));
    return may(name, authInfo);
  },
  'by throwing': (_kind, name, authInfo) => {
    if (!may(name, authInfo)) throw new Error('the policy engine is away');
    return true;
  },
  'with what is not a boolean': ((_kind: string, name: string, authInfo: AuthInfo) =>
    may(name, authInfo) || 'no') as never,
};

export const optionsOf = (authorize: AuthOptions['authorize'], more: McpEndpointOptions = {}): McpEndpointOptions => ({
  auth: { verify: async (token) => info(token), authorize },
  ...more,
});

/** A server, and what ran of it that is secret. */
export interface Secrets {
  readonly ran: string[];
  readonly factory: McpEndpointFactory;
}

type Start = (authorize: AuthOptions['authorize'], secrets?: Secrets) => Promise<Mode>;

function secretServer(): Secrets {
  const ran: string[] = [];
  const factory: McpEndpointFactory = (ctx) => {
    const server = new McpServer(
      { name: 'secrets', version: '1' },
      { ...ctx.serverOptions, capabilities: { resources: { subscribe: true } } },
    );
    const run = (name: string) => {
      if (name.includes('secret')) ran.push(name);
      return said(name);
    };
    const inputSchema = z.looseObject({});
    server.registerTool('open', { inputSchema }, () => run('open'));
    server.registerTool('secret', { inputSchema, scopeChallenge: requireScopes('x') }, () => run('secret'));
    const read = (uri: URL) => {
      run(uri.href);
      return { contents: [{ uri: uri.href, text: uri.href }] };
    };
    server.registerResource('open', 'note://open', {}, read);
    server.registerResource('secret', 'note://secret', {}, read);
    server.registerResource('by id', new ResourceTemplate('vault://{id}', { list: undefined }), {}, read);
    server.registerResource(
      'secret by id',
      new ResourceTemplate('secret://{id}', {
        list: undefined,
        complete: { id: (text) => [run(`secret ${text}`).content.length.toString()] },
      }),
      {},
      read,
    );
    const message = { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'x' } }] };
    server.registerPrompt('open', {}, () => message);
    server.registerPrompt(
      'secret',
      { argsSchema: z.object({ a: completable(z.string(), () => [run('secret').content.length.toString()]) }) },
      () => {
        ran.push('secret prompt');
        return message;
      },
    );
    server.server.setRequestHandler('resources/subscribe', () => ({}));
    server.server.setRequestHandler('resources/unsubscribe', () => ({}));
    return server;
  };
  return { ran, factory };
}

export type Params = Record<string, unknown>;
type Ask = (
  method: string,
  params?: Params,
  role?: string,
  headers?: RawHeaders,
) => Promise<{ status: number; answer: unknown }>;
interface Mode {
  readonly ran: string[];
  readonly served: Served;
  readonly ask: Ask;
  readonly subscribes: boolean;
}

let ids = 1_000;
export const body = (method: string, params: Params) => ({ jsonrpc: '2.0', id: (ids += 1), method, params });
export const as = (role: string) => bearer(role);

export async function open(options: McpEndpointOptions, face: Face = 'listen', secrets = secretServer()) {
  const { ran, factory } = secrets;
  return { ran, served: await serve(factory, options, { face }) };
}

const inSession =
  (protocolVersion: string, more: McpEndpointOptions = {}, face?: Face) =>
  async (authorize: AuthOptions['authorize'], secrets?: Secrets): Promise<Mode> => {
    const { ran, served } = await open(optionsOf(authorize, more), face, secrets);
    const client = served.client();
    await client.initialize({ protocolVersion, ...as('user') });
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { response, message } = await client.call(method, params, as(role));
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served, ask, subscribes: true };
  };

const inModern =
  (more: McpEndpointOptions = {}, factoryOf?: (factory: McpEndpointFactory) => McpEndpointFactory) =>
  async (authorize: AuthOptions['authorize'], secrets = secretServer()): Promise<Mode> => {
    const { ran, factory } = secrets;
    const served = await serve(factoryOf?.(factory) ?? factory, optionsOf(authorize, more));
    const client = served.client();
    const ask: Ask = async (method, params = {}, role = 'user', headers = {}) => {
      const { response, message } = await callModern(client, method, params, {
        headers: { ...as(role).headers, ...headers },
      });
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served, ask, subscribes: false };
  };

/** The same server for every session: an endpoint takes one in place of a factory. */
function asOne({ ran, factory } = secretServer()): Secrets {
  return { ran, factory: factory({ serverOptions: {} } as McpEndpointContext) as unknown as McpEndpointFactory };
}

export const MODES: Readonly<Record<string, Start>> = {
  'sessions, 2025-11-25': inSession('2025-11-25'),
  'sessions alone, 2025-11-25': inSession('2025-11-25', { sessionMode: 'stateful' }),
  'sessions, 2025-06-18, node': inSession('2025-06-18', {}, 'node'),
  'sessions, 2025-03-26, JSON, fetch': inSession('2025-03-26', { responseMode: 'json' }, 'fetch'),
  'sessions of one server': (authorize, secrets) => inSession('2025-11-25')(authorize, asOne(secrets)),
  'a batch of 2025-03-26': async (authorize, secrets) => {
    const { ran, served } = await open(optionsOf(authorize), 'listen', secrets);
    const client = served.client();
    await client.initialize({ protocolVersion: '2025-03-26', ...as('user') });
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const request = body(method, params);
      const response = await client.post([body('ping', {}), request], as(role));
      const answer = await response.nextMessage((message) => (message as { id?: number }).id === request.id);
      return { status: response.status, answer: { ...(answer as object), id: 0 } };
    };
    return { ran, served, ask, subscribes: true };
  },
  'stateless, 2025-11-25': async (authorize, secrets) => {
    const { ran, served } = await open(optionsOf(authorize, { sessionMode: 'stateless' }), 'listen', secrets);
    const client = served.client();
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { response, message } = await client.call(method, params, { version: '2025-11-25', ...as(role) });
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served, ask, subscribes: true };
  },
  'legacy SSE': async (authorize, secrets) => {
    const { ran, served } = await open(optionsOf(authorize, { legacySse: true }), 'listen', secrets);
    const connection = await openSse(served.client(as('user')));
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { status } = await connection.post(body(method, params), as(role));
      return { status, answer: { ...((await connection.stream.nextMessage()) as object), id: 0 } };
    };
    return { ran, served, ask, subscribes: true };
  },
  '2026-07-28': inModern(),
  '2026-07-28, JSON': inModern({ responseMode: 'json' }),
  '2026-07-28, streams': inModern({ responseMode: 'sse' }),
  '2026-07-28, a factory that leaves ctx.serverOptions': inModern(
    {},
    (factory) => (ctx) => factory({ ...ctx, serverOptions: {} }),
  ),
  'relayed from another instance': async (authorize, secrets = secretServer()) => {
    const { ran, factory } = secrets;
    const store = sharedStore('sqlite');
    const owner = await serve(factory, optionsOf(authorize, { store: store() }));
    const served = await serve(factory, optionsOf(authorize, { store: store() }));
    const opener = owner.client();
    await opener.initialize({ protocolVersion: '2025-11-25', ...as('user') });
    const client = served.client();
    client.sessionId = opener.sessionId;
    client.protocolVersion = opener.protocolVersion;
    for (let n = 0; n < 100; n++) client.nextId();
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { response, message } = await client.call(method, params, as(role));
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served: owner, ask, subscribes: true };
  },
};
