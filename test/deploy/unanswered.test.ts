// @module-tag matrix
/**
 * Requests that an instance leaves unanswered, and large ones, behind the load balancers as the deployment page has
 * them: no call is sent twice, and behind nginx and HAProxy a GET of a stream ends with a closed connection. Clients
 * open such a stream again; some end for good at a 502, 503 or 504.
 */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { DEFAULTS } from '../../src/options/table.ts';
import { freePort } from '../kit/servers/index.ts';
import { describeBehind, ROUND_ROBIN, startProxy, type ProxyKind } from './proxies.ts';

const RECIPES: ReadonlyArray<readonly [ProxyKind, readonly string[]]> = [
  ...ROUND_ROBIN,
  ['nginx', ['nginx/mcp.conf', 'nginx/upstream-affinity.conf']],
  ['haproxy', ['haproxy/haproxy.cfg', 'haproxy/backend-affinity.cfg']],
];

/** Envoy and Traefik cannot close the connection of a request without an answer. */
const GET_FAILS = { nginx: /^$/, haproxy: /^$/, envoy: /^HTTP\/1\.1 503 /, traefik: /^HTTP\/1\.1 502 / };
const SENT_FAILS = { nginx: 502, haproxy: 502, envoy: 503, traefik: 502 };

/** An instance that is healthy until it has read a request of a client: it closes that connection. */
async function dyingInstance(seen: string[]): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (!text.includes('\r\n\r\n')) return;
      if (/ \/(readyz|mcp-ready) /.test(text)) {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      seen.push(text.split(' ', 1)[0] ?? '');
      socket.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** What one request gets: the first line of its answer; `''`: its connection is closed without one. */
async function ask(port: number, method: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => {});
  const body = method === 'POST' ? '{"jsonrpc":"2.0","id":1,"method":"ping"}' : '';
  const length = method === 'POST' ? `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n` : '';
  socket.write(`${method} /mcp HTTP/1.1\r\nHost: a\r\nMcp-Session-Id: s\r\nConnection: close\r\n${length}\r\n${body}`);
  await once(socket, 'close');
  return text.split('\r\n', 1)[0] ?? '';
}

for (const [kind, files] of RECIPES) {
  describeBehind(kind, `requests without an answer behind ${files.join(' and ')}`, () => {
    const start = async (ports: readonly number[]) => {
      const proxy = await startProxy(kind, files, ports);
      onTestFailed(() => console.log(proxy.output()));
      onTestFinished(() => proxy.close());
      return proxy;
    };

    test('a POST or DELETE that an instance has read is not sent to another one; a GET ends with a closed connection', async () => {
      const seen: string[] = [];
      const { port } = await start([await dyingInstance(seen), await dyingInstance(seen), await dyingInstance(seen)]);
      expect(await ask(port, 'GET')).toMatch(GET_FAILS[kind]);
      for (const method of ['POST', 'DELETE'])
        expect([method, await ask(port, method)]).toEqual([
          method,
          expect.stringContaining(`HTTP/1.1 ${SENT_FAILS[kind]} `),
        ]);
      // nginx cannot tell a GET that was sent from one whose connection was refused. It has no effect twice.
      expect(seen).toEqual([...(kind === 'nginx' ? ['GET', 'GET'] : []), 'GET', 'POST', 'DELETE']);
    });

    test('a body above limits.bodyBytes reaches the instance: some clients end for good at a 413 of the proxy', async () => {
      const bytes = DEFAULTS.limits.bodyBytes + 2 ** 20;
      const instance = createHttpServer((request, response) => {
        let length = 0;
        request.on('data', (chunk: Buffer) => (length += chunk.length)).on('end', () => response.end(String(length)));
      }).listen(0, '127.0.0.1');
      await once(instance, 'listening');
      onTestFinished(() => void instance.close());
      const one = (instance.address() as AddressInfo).port;
      const { url } = await start([one, one, one]);
      const response = await fetch(url, {
        method: 'POST',
        body: Buffer.alloc(bytes),
        headers: { connection: 'close' },
      });
      expect([response.status, await response.text()]).toEqual([200, String(bytes)]);
    });

    test('with no instance that accepts, a GET fails in the same way, and a POST is answered', async () => {
      const { port } = await start([await freePort(), await freePort(), await freePort()]);
      expect(await ask(port, 'GET')).toMatch(GET_FAILS[kind]);
      expect(await ask(port, 'POST')).toMatch(/^HTTP\/1.1 50[23] /);
    });
  });
}
