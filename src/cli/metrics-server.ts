/** `--metrics [host:]port`: serves `/metrics` on its own address, so that no client of the endpoint reaches it. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf, isBearer } from '../base/digest.ts';
import { checkHost } from '../http/head-checks.ts';
import { isLoopback } from '../http/listen/exposure.ts';
import { PROMETHEUS_TYPE } from '../base/observe/prometheus-text.ts';
import { loopbackNames } from '../base/options/hosts.ts';
import type { Logger } from '../base/types.ts';
import { Failure, listenProblem, UsageError } from './failure.ts';
import { METRICS_AT, type OriginOf } from './flags.ts';

const ADDRESS = /^(?:(\[[\da-f:.]+\]|[\w.-]+):)?(\d{1,5})$/i;
const [DEFAULT_HOST = ''] = METRICS_AT.split(':');
const LARGEST_PORT = 65_535;

/** `undefined`: they are not served. `token`: what a scraper must send; `undefined`: nothing. */
export function metricsSettings(
  text: string | undefined,
  token: string | undefined,
  originOf: OriginOf,
) {
  const [origin, ofToken] = [originOf('metrics'), originOf('metricsToken')];
  if (text === undefined) {
    if (token === undefined) return undefined;
    throw new UsageError(`${ofToken} needs --metrics, which says where the metrics are served`);
  }
  const [, given = DEFAULT_HOST, digits] = ADDRESS.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= LARGEST_PORT))
    throw new UsageError(
      `${origin} takes a port, or host:port (${METRICS_AT}); got ${JSON.stringify(text)}`,
    );
  if (token === '') throw new UsageError(`${ofToken} is empty`);
  const host = given.replace(/^\[|\]$/g, '');
  if (token === undefined && host !== 'localhost' && !isLoopback(host)) {
    throw new UsageError(
      `${origin}: other machines reach ${host}, so the metrics need --metrics-token (or SOJOURN_METRICS_TOKEN)`,
    );
  }
  return { host, port, token };
}

/** More than scrapers need. Node closes a connection that sends no head within `HEAD_MS`. */
const MOST_CONNECTIONS = 32;
const HEAD_MS = 5_000;
/** How often Node looks for such connections. */
const CHECK_MS = 1_000;

/** Resolves when it listens, for as long as the process lives. */
export async function serveMetrics(
  settings: NonNullable<ReturnType<typeof metricsSettings>>,
  text: () => string | Promise<string>,
  logger: Logger,
): Promise<void> {
  const { host, port } = settings;
  const token = settings.token === undefined ? undefined : digestOf(settings.token);
  const server = createServer(
    { headersTimeout: HEAD_MS, requestTimeout: HEAD_MS, connectionsCheckingInterval: CHECK_MS },
    (req, res) => void answer(req, res),
  );
  server.maxConnections = MOST_CONNECTIONS;
  server.listen({ host, port });
  await once(server, 'listening').catch((cause: unknown) => {
    throw new Failure(`--metrics: ${listenProblem(cause, host, port, '--metrics')}`, { cause });
  });
  const { address, port: bound } = server.address() as AddressInfo;
  const shown = address.includes(':') ? `[${address}]` : address;
  const url = `http://${shown}:${bound}/metrics`;
  const names = isLoopback(address) ? loopbackNames(url) : undefined;
  logger.info({ url }, 'metrics are served');

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    // A page in a browser of this machine can reach a loopback address under another name.
    if (names !== undefined && checkHost(req.headers.host, names) !== undefined)
      return end(res, 403, `Use ${shown}\n`);
    if (token !== undefined && !isBearer(req.headers.authorization, token)) {
      res.setHeader('WWW-Authenticate', 'Bearer');
      return end(
        res,
        401,
        'The metrics need the token of --metrics-token: Authorization: Bearer <token>\n',
      );
    }
    if (req.url?.split('?', 1)[0] !== '/metrics')
      return end(res, 404, 'Not found. The metrics are at /metrics\n');
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      return end(res, 405, 'Use GET\n');
    }
    return end(res, 200, await text(), PROMETHEUS_TYPE);
  }
}

function end(
  res: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  res.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  res.end(text);
}
