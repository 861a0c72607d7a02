/**
 * The proxy in front of the instances: it spreads requests and sends them again as `examples/deploy/nginx/mcp.conf`
 * does. A refused connection leads to the next instance. When a connection breaks before its answer began, a POST of a
 * session goes to the next instance under the same `X-Request-Id`, and so does what only reads in 2026-07-28.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { base64url, systemRandom } from '../../base/system.ts';

export const ATTEMPT_HEADER = 'x-request-id';
const TRIES = 3;
const READS = /^(tools\/list|prompts\/(list|get)|resources\/(list|read|templates\/list))$/;
const OF_CONNECTION = /^(connection|keep-alive|transfer-encoding|expect)$/;

type FrontOutcome = 'answered' | 'refused' | 'broken';

const without = (headers: IncomingMessage['headers']) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_CONNECTION.test(name)));

export class Front {
  readonly #ports: () => readonly number[];
  readonly #server = createServer();
  #turn = 0;

  /** `ports`: where the instances listen now. */
  constructor(ports: () => readonly number[]) {
    this.#ports = ports;
    this.#server.on('request', (req, res) => void this.#serve(req, res).catch(() => res.destroy()));
  }

  /** Resolves with the URL for clients. */
  async listen(): Promise<URL> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await buffer(req);
    const headers = { ...without(req.headers), [ATTEMPT_HEADER]: base64url(systemRandom(12)) };
    const first = (this.#turn += 1);
    for (let tries = 0; tries < TRIES; tries++) {
      const ports = this.#ports();
      const port = ports[(first + tries) % ports.length] ?? 0;
      const outcome = await ask(req, { port, headers, body }, res);
      if (outcome === 'answered' || res.destroyed) return;
      if (outcome === 'broken' && !mayGoOn(req)) break;
    }
    // A client opens its stream again; some end for good at a 502.
    if (req.method === 'GET') res.destroy();
    else res.writeHead(502).end();
  }
}

function mayGoOn({ method, headers }: IncomingMessage): boolean {
  const { 'mcp-method': named, 'mcp-session-id': session } = headers;
  if (method === 'GET') return true;
  return (
    method === 'POST' && (named === undefined ? session !== undefined : READS.test(String(named)))
  );
}

interface Forwarded {
  readonly port: number;
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
}

/** Resolves when the whole answer has passed, or why none did. */
function ask(req: IncomingMessage, { port, headers, body }: Forwarded, res: ServerResponse) {
  return new Promise<FrontOutcome>((resolve) => {
    const { method, url: path } = req;
    const host = '127.0.0.1';
    // A kept connection may be closed in the moment of its next request, which was then lost.
    const asked = request({ host, port, method, path, headers: headers as never, agent: false });
    const left = (): void => void asked.destroy();
    res.once('close', left);
    asked.once('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, without(answer.headers)).flushHeaders();
      pipeline(answer, res, () => resolve('answered'));
    });
    asked.once('error', ({ code }: NodeJS.ErrnoException) => {
      res.off('close', left);
      resolve(code === 'ECONNREFUSED' ? 'refused' : 'broken');
    });
    asked.end(body);
  });
}
