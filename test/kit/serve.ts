/**
 * An endpoint behind a real socket on a free port, for one test: `serve(server, options, { face })`. After the test
 * its clients are closed, then the endpoint, then the HTTP server.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { onTestFinished } from 'vitest';
import {
  createMcpEndpoint,
  type ConnectableServer,
  type McpEndpoint,
  type McpEndpointFactory,
  type McpEndpointOptions,
} from '../../src/index.ts';
import type { InitializeOptions, RawClient, RawClientOptions } from './raw-client.ts';
import { listening, openClient } from './listening.ts';
import { createLog, type Log } from './log.ts';
import { inMatrix } from './matrix.ts';
import { serverOf } from './making-servers.ts';
import './stuck.ts';

/** `listen`: the endpoint's own server. `node`, `fetch`: the face under a bare `node:http` server, on any path. */
export type Face = 'listen' | 'node' | 'fetch';

/** For `describe.each(faces)`: one table of cases, two faces. */
export const bothFaces = ['node', 'fetch'] as const satisfies readonly Face[];
/** The fetch face outside of the matrix is held by `test/http`, `test/repo/runtimes` and `test/property`. */
export const faces = inMatrix<(typeof bothFaces)[number]>(bothFaces, ['node']);

export interface ServeSettings {
  /** Default `listen`. */
  face?: Face;
  /** Default `/mcp`. */
  path?: string;
  /** The caller's authentication, from the request's headers. Not with `listen`, which has no middleware. */
  auth?: (headers: IncomingMessage['headers']) => AuthInfo | undefined;
  /** A middleware: calls `next`, which passes the request to the endpoint. Not with `listen`. */
  around?: (headers: IncomingMessage['headers'], next: () => void) => void;
}

/** For `auth`: the header `x-user` names the caller; without it the caller is anonymous. */
export const userHeader: NonNullable<ServeSettings['auth']> = ({ 'x-user': sub }) =>
  sub === undefined ? undefined : { token: 't', clientId: 'c', scopes: [], extra: { sub } };

export interface Served {
  readonly url: string;
  readonly port: number;
  readonly endpoint: McpEndpoint;
  /** The endpoint's log lines, unless the options name another logger. */
  readonly log: Log;
  /** A raw client for the endpoint that has sent nothing yet. */
  client(options?: RawClientOptions): RawClient;
  /** A raw client that has opened a session. */
  openSession(initialize?: InitializeOptions, options?: RawClientOptions): Promise<RawClient>;
}

export async function serve(
  server: McpEndpointFactory | ConnectableServer,
  options: McpEndpointOptions = {},
  { face = 'listen', path = '/mcp', ...middleware }: ServeSettings = {},
): Promise<Served> {
  if (face === 'listen' && Object.keys(middleware).length > 0)
    throw new Error('auth needs the face node or fetch');
  const log = createLog();
  const endpoint = createMcpEndpoint(serverOf(server), { logger: log, ...options });
  const close = () => endpoint.close({ timeoutMs: 0 });
  let port: number;
  if (face === 'listen') {
    onTestFinished(close);
    ({ port } = await endpoint.listen({ port: 0, path }));
  } else {
    port = Number(new URL(await listening(mounted(endpoint, face, middleware), close)).port);
  }
  const url = `http://127.0.0.1:${port}${path}`;
  const client = (clientOptions?: RawClientOptions): RawClient => openClient(url, clientOptions);
  const openSession = async (
    initialize?: InitializeOptions,
    clientOptions?: RawClientOptions,
  ): Promise<RawClient> => {
    const made = client(clientOptions);
    await made.initialize(initialize);
    return made;
  };
  return { url, port, endpoint, log, client, openSession };
}

function mounted(
  endpoint: McpEndpoint,
  face: 'node' | 'fetch',
  { auth, around = (_, next) => next() }: Omit<ServeSettings, 'face' | 'path'>,
): Server {
  const pass = (req: IncomingMessage, res: ServerResponse): void => {
    const authInfo = auth?.(req.headers);
    if (face === 'node') {
      if (authInfo !== undefined) Object.assign(req, { auth: authInfo });
      endpoint.node(req, res);
      return;
    }
    void getRequestListener(
      (request, { incoming }) => endpoint.fetch(request, { authInfo, incoming }),
      {
        overrideGlobalObjects: false,
      },
    )(req, res);
  };
  const server = createServer((req, res) => around(req.headers, () => pass(req, res)));
  // As `endpoint.listen()` has it: clients of long tests pause between their calls.
  server.keepAliveTimeout = 75_000;
  return server;
}
