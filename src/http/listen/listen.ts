/**
 * `endpoint.listen()`: an HTTP server around the node face, ready for a load balancer. It has `/healthz`, `/readyz`, a
 * keep-alive longer than the balancer's, and no timeout on streams.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PLAIN_HEADERS } from '../answer.ts';
import { type ExchangeHost, guarded, JSON_HEADERS } from '../exchange.ts';
import { closeIdle } from '../host-servers.ts';
import { NodeExchange } from '../node-exchange.ts';
import { isExposed, isLoopback } from './exposure.ts';
import { type ListenOptions, resolveListen } from './listen-options.ts';
import { ListeningSocket } from './listening-socket.ts';
import { loopbackNames } from '../../base/options/hosts.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import type { EndpointHealth, Logger } from '../../base/types.ts';

export interface Listening extends AsyncDisposable {
  /** Where clients connect, e.g. `http://127.0.0.1:3000/mcp`. */
  readonly url: string;
  readonly port: number;
  /** The address that is bound, e.g. `127.0.0.1`; `0.0.0.0` and `::` are every network interface. */
  readonly address: string;
  /** Stops listening; resolves when its connections are closed. */
  close(): Promise<void>;
}

export interface ManagedListening extends Listening {
  /** Call after every stream has ended. `close` waits for connections, and Node keeps idle connections for a while. */
  closeIdle(): void;
  readonly socket: ListeningSocket;
}

/** What `sojourn serve` serves on the socket of the endpoint, whose own paths come first: the dashboard. */
export interface ServedBeside {
  /** This path, and everything below it. */
  readonly path: string;
  serve(req: IncomingMessage, res: ServerResponse): void;
}

export interface ListenTarget {
  readonly options: ResolvedOptions;
  handle(exchange: NodeExchange, allowedHosts: readonly string[] | undefined): void;
  readonly exchanges: ExchangeHost;
  /** `serve` returns `false` for a path of another kind. */
  readonly wellKnown: { serve(exchange: NodeExchange): boolean };
  beside(): ServedBeside | undefined;
  health(): EndpointHealth;
  /**
   * Takes the connections of the server: other processes serve the same socket. A connection that sends nothing for
   * `silentMs` is closed, as `node:http` does not know of it. Returns what closes all of these.
   */
  readonly passConnections:
    | ((server: Server, sessions: SessionsHere, silentMs: number) => () => void)
    | undefined;
  readonly sessions: SessionsHere;
}

/** The sessions of this process. */
export interface SessionsHere {
  has(id: string): boolean;
}

/** Descriptors that are no connection of a client: of the store, of files, of calls to other servers. */
const OTHER_FILES = 256;
/** Clients send the head in one piece. */
const HEADERS_TIMEOUT_MS = 15_000;
/** A body of 4 MiB at 70 KiB/s. It does not limit answers and streams. */
const REQUEST_TIMEOUT_MS = 60_000;
/** How often Node looks for requests past these two. */
const CHECK_MS = 5_000;
/** Above the 60 s that load balancers commonly keep idle connections, so that the balancer closes first. */
export const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** Time for a client to read the end of its streams when the server closes. */
const CLOSE_GRACE_MS = 1_000;

export async function listen(
  given: ListenOptions | undefined,
  target: ListenTarget,
): Promise<ManagedListening> {
  const resolved = resolveListen(given);
  const { port, host, paths, fd, allowAnyone } = resolved;
  const maxConnections = withinOpenFiles(resolved.maxConnections, target.options.logger);
  const bases = paths.map(withoutSlashes);
  const [base = ''] = bases;
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_MS,
  });
  // Node.js would leave out the fields behind the first 1,000. It still refuses a head of more than 16 KiB.
  server.maxHeadersCount = 0;
  server.maxConnections = maxConnections;
  server.on('drop', () =>
    target.options.logger.warn(
      { maxConnections },
      'A connection was closed at once: maxConnections is reached',
    ),
  );
  const closeUnread = target.passConnections?.(server, target.sessions, HEADERS_TIMEOUT_MS);
  const socket = new ListeningSocket(server, target.options.timeProvider, fd !== undefined);
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.listen(fd === undefined ? { port, host } : { fd });
  // Rejects when the server cannot listen.
  await once(server, 'listening');
  const { port: bound = port, address: at = host } = (server.address() ??
    {}) as Partial<AddressInfo>;
  const url = `http://${reachable(fd === undefined ? host : at)}:${bound}${base === '' ? '/' : base}`;
  const hosts = target.options.allowedHosts ?? (isLoopback(at) ? loopbackNames(url) : undefined);
  if (isExposed(at, target.options, allowAnyone)) {
    target.options.logger.warn(
      { address: at, port: bound },
      'Every machine that reaches this address may call this endpoint: give the option auth, bind 127.0.0.1, or say allowAnyone',
    );
  }
  // Early enough: nothing is accepted before the event loop turns.
  server.on('request', (req, res) => {
    const exchange = new NodeExchange(req, res, undefined, target.exchanges);
    guarded(exchange, () => route(exchange, bases, hosts, target));
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= stop(server, target, closeUnread));
  return {
    address: at,
    url,
    port: bound,
    close,
    [Symbol.asyncDispose]: close,
    socket,
    closeIdle: () => closeIdle(server),
  };
}

/** In a process without a free file descriptor, Node closes each new connection without any event. */
function withinOpenFiles(maxConnections: number, logger: Logger): number {
  const limits = orUndefined(() => readFileSync('/proc/self/limits', 'latin1')) ?? '';
  const openFiles = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  const fits = openFiles - Math.min(OTHER_FILES, Math.floor(openFiles / 2));
  if (maxConnections <= fits) return maxConnections;
  logger.warn(
    { maxConnections: fits, openFiles },
    'The limit of open files lowers maxConnections: raise it (ulimit -n, LimitNOFILE)',
  );
  return fits;
}

function stop(
  server: Server,
  { options: { timeProvider } }: ListenTarget,
  closeUnread: (() => void) | undefined,
): Promise<void> {
  return new Promise((resolve) => {
    const timer = timeProvider.setTimeout(() => {
      closeUnread?.();
      server.closeAllConnections();
    }, CLOSE_GRACE_MS);
    server.close(() => {
      timeProvider.clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function route(
  exchange: NodeExchange,
  bases: readonly string[],
  hosts: readonly string[] | undefined,
  target: ListenTarget,
): void {
  const { url, node } = exchange;
  const [whole = ''] = url.split('?', 1);
  const path = withoutSlashes(whole);
  if (path === '/healthz' || path === '/readyz') return health(exchange, path, target);
  const served = bases.find((base) => serves(path, base, target.options));
  if (served === undefined) {
    if (target.wellKnown.serve(exchange)) return;
    const beside = target.beside();
    if (!exchange.open()) return;
    if (node !== undefined && beside !== undefined && `${path}/`.startsWith(`${beside.path}/`)) {
      // It answers by itself, and its request counts on its connection until then.
      node.res.once('close', () => exchange.connectionClosed());
      return beside.serve(node.req, node.res);
    }
    const shown = bases.map((base) => (base === '' ? '/' : base)).join(', ');
    const why = `Not found. The MCP endpoint is ${shown}`;
    exchange.refused({ status: 404, reason: 'path', why });
    return exchange.respond(404, PLAIN_HEADERS, `${why}\n`);
  }
  exchange.served = { path: served, paths: bases };
  target.handle(exchange, hosts);
}

/** A loop, because the time of `/\/+$/` grows with the square of a path. */
function withoutSlashes(path: string): string {
  let end = path.length;
  while (path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}

function serves(path: string, base: string, { legacySse }: ResolvedOptions): boolean {
  if (path === base) return true;
  return legacySse && [`${base}/sse`, `${base}/message`, '/sse', '/message'].includes(path);
}

function health(exchange: NodeExchange, path: string, target: ListenTarget): void {
  if (!exchange.open()) return;
  const state = target.health();
  const status = path === '/healthz' || state.ready ? 200 : 503;
  exchange.respond(status, [...JSON_HEADERS, ['Cache-Control', 'no-store']], JSON.stringify(state));
}

/** An address that a client on this machine can use. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
