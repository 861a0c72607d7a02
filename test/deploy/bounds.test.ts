// @module-tag matrix
/** What the recipe of nginx bounds and what it passes on, in front of instances that are stand-ins. */
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { behindNginx, describeBehindNginx, ROUND_ROBIN } from './nginx.ts';
import { standIn } from './stand-in.ts';

/** Every limit of a header's or body's time becomes one second. */
const inOneSecond = (text: string): string => text.replaceAll(/(?<=client_(?:header|body)_timeout )\d+s/g, '1s');

/** Two connections of one client at once. */
const twoAtOnce = (text: string): string => text.replace('limit_conn mcp_clients 1024', 'limit_conn mcp_clients 2');

/** An open stream for each GET; `say` sends an event on all of them. A POST is answered when its body has arrived. */
async function streaming() {
  const open = new Set<ServerResponse>();
  const port = await standIn((request, response) => {
    if (request.method === 'POST') {
      request.resume().on('end', () => response.end());
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: opened\n\n');
    open.add(response);
    response.on('close', () => open.delete(response));
  });
  return { port, say: (text: string) => open.forEach((response) => response.write(`data: ${text}\n\n`)) };
}

/** What one connection got. */
interface Client {
  readonly socket: Socket;
  text(): string;
  isClosed(): boolean;
}

function client(port: number, sent: string): Client {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  let [text, isClosed] = ['', false];
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.on('close', () => (isClosed = true)).on('error', () => {});
  socket.write(sent);
  return { socket, text: () => text, isClosed: () => isClosed };
}

const GET = 'GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n';

describeBehindNginx('what nginx bounds and passes on', () => {
  const start = (ports: readonly number[], edit: (text: string) => string = (text) => text) =>
    behindNginx(ROUND_ROBIN, ports, { edit });

  test('a request that does not arrive in time is cut, and a stream outlasts that time', async () => {
    const instance = await streaming();
    const { port } = await start([instance.port], inOneSecond);
    const stream = client(port, GET);
    await until(() => stream.text().includes('opened'), { what: 'the first event' });
    const head = 'POST /mcp HTTP/1.1\r\nHost: a\r\n';
    const slow = [client(port, head), client(port, `${head}Content-Length: 9\r\n\r\n{`)];
    await until(() => slow.every(({ isClosed }) => isClosed()), { what: 'their end' });
    instance.say('later');
    await until(() => stream.text().includes('later'), { what: 'the second event' });
    expect(stream.isClosed()).toBe(false);
  });

  test('the number of open streams is bounded, and a closed one makes room', async () => {
    const instance = await streaming();
    const { port } = await start([instance.port], twoAtOnce);
    const opened = async (): Promise<Client> => {
      let stream: Client | undefined;
      // A connection that this test has closed may still count.
      await until(
        async () => {
          stream = client(port, GET);
          await until(() => stream?.isClosed() === true || stream?.text().includes('\r\n\r\n') === true);
          if (stream.text().includes('opened')) return true;
          stream.socket.destroy();
          return false;
        },
        { what: 'room for a stream' },
      );
      return stream as Client;
    };
    const [first] = [await opened(), await opened()];
    const third = client(port, GET);
    await until(() => third.isClosed() || third.text().includes('\r\n\r\n'));
    expect(third.text()).toMatch(/^HTTP\/1\.1 503 /);
    third.socket.destroy();
    first.socket.destroy();
    await opened();
  });

  test('an instance gets the Host that the client sent', async () => {
    const { port } = await start([await standIn((request, response) => response.end(`to ${request.headers.host}`))]);
    const { text } = client(port, 'GET /mcp HTTP/1.1\r\nHost: mcp.example\r\n\r\n');
    await until(() => text().includes('to mcp.example'), { what: 'the answer' });
  });

  test('while two of three instances refuse connections every POST and every stream is served', async () => {
    const port = await standIn((request, response) => {
      request.resume().on('end', () => response.end(request.method));
    });
    const proxy = await start([await freePort(), port, await freePort()]);
    for (const method of Array.from({ length: 30 }, (_, n) => (n % 2 === 0 ? 'POST' : 'GET'))) {
      const body = method === 'POST' ? { body: '{}' } : {};
      const response = await fetch(proxy.url, { method, ...body, headers: { connection: 'close' } });
      expect([response.status, await response.text()]).toEqual([200, method]);
    }
  });
});
