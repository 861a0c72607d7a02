/**
 * A load balancer: every request goes to the next instance, over a separate connection. Where a connection is refused
 * the next one is tried, as nginx does with `proxy_next_upstream error` and one `proxy_pass` per request; everything
 * else that goes wrong reaches the client. It names in `X-Instance` who it asked last.
 */
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Upstream {
  readonly port: number;
  /** The name of its start. */
  readonly start: string;
}

/** The text of its answer where no instance took the request. */
export const NO_INSTANCE = 'no instance';

/** The client's connection and the instance's are two. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding']);

export class Proxy {
  readonly url: string;
  readonly #server: Server;
  readonly #upstreams: readonly Upstream[];
  #next = 0;

  private constructor(server: Server, upstreams: readonly Upstream[]) {
    this.#server = server;
    this.#upstreams = upstreams;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    server.on('request', (req, res) => this.#serve(req, res));
  }

  /** Requests go to where the upstreams listen at that time. */
  static async listen(upstreams: readonly Upstream[]): Promise<Proxy> {
    const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0, headersTimeout: 0 });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return new Proxy(server, upstreams);
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const body: Buffer[] = [];
    req.on('data', (chunk: Buffer) => body.push(chunk));
    req.on('end', () => this.#forward(req, res, Buffer.concat(body), this.#next++, 0));
    req.on('error', () => res.destroy());
  }

  #forward(req: IncomingMessage, res: ServerResponse, body: Buffer, first: number, tried: number): void {
    const upstream = this.#upstreams[(first + tried) % this.#upstreams.length];
    if (tried === this.#upstreams.length || upstream === undefined) return badGateway(res, NO_INSTANCE);
    const { port, start } = upstream;
    const headers = fieldsOf(req).concat('connection', 'close');
    const asked = httpRequest({ host: '127.0.0.1', port, method: req.method, path: req.url, headers, agent: false });
    const leave = (): void => void asked.destroy();
    res.once('close', leave);
    asked.once('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, fieldsOf(answer).concat('x-instance', start));
      res.flushHeaders();
      answer.on('error', () => res.destroy());
      answer.on('close', () => (answer.complete ? undefined : res.destroy()));
      answer.pipe(res);
    });
    asked.once('error', (error: NodeJS.ErrnoException) => {
      res.off('close', leave);
      if (error.code === 'ECONNREFUSED') this.#forward(req, res, body, first, tried + 1);
      else if (!res.headersSent) badGateway(res, start);
      else res.destroy();
    });
    asked.end(body);
  }
}

function badGateway(res: ServerResponse, start: string): void {
  if (!res.destroyed) res.writeHead(502, { 'x-instance': start, 'content-type': 'text/plain' }).end('Bad gateway\n');
}

function fieldsOf({ rawHeaders }: IncomingMessage): string[] {
  const fields: string[] = [];
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const [name = '', value = ''] = rawHeaders.slice(n, n + 2);
    if (!HOP_BY_HOP.has(name.toLowerCase())) fields.push(name, value);
  }
  return fields;
}
