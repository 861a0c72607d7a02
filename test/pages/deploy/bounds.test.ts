// @module-tag matrix
/**
 * What the recipe of nginx bounds and what it passes on, in front of stand-ins of instances. A request that an instance
 * leaves unanswered is not sent twice, and a GET of a stream ends with a closed connection: clients open such a stream
 * again, and some end for good at a 502, 503 or 504.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { get } from 'node:https';
import { connect, type Socket } from 'node:net';
import { text as bodyOf } from 'node:stream/consumers';
import { connect as secured } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { DEFAULTS } from '../../../src/base/options/table.ts';
import { newCertificate } from '../../kit/certificate.ts';
import { listening, openClient } from '../../kit/listening.ts';
import { freePort } from '../../kit/free-port.ts';
import { until } from '../../kit/until.ts';
import {
  AFFINITY,
  behindHaproxy,
  behindNginx,
  describeBehindHaproxy,
  describeBehindNginx,
  ROUND_ROBIN,
} from './nginx.ts';

/** Answers requests of `/mcp` as given, and others, such as health checks, with 200. Resolves with its port. */
async function standIn(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url === '/mcp') answer(request, response);
    else response.end();
  });
  return Number(new URL(await listening(server)).port);
}

/** Every limit of a header's or body's time becomes one second. */
const inOneSecond = (text: string): string =>
  text.replaceAll(/(?<=client_(?:header|body)_timeout )\d+s/g, '1s');

/** Two connections of one client at once. */
const twoAtOnce = (text: string): string =>
  text.replace('limit_conn mcp_clients 1024', 'limit_conn mcp_clients 2');

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
  return {
    port,
    say: (text: string) => open.forEach((response) => response.write(`data: ${text}\n\n`)),
  };
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

/** The version of TLS that the proxy agrees to. */
function agreed(
  port: number,
  ca: string,
  version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3',
): Promise<string> {
  return new Promise((resolve) => {
    const options = { port, host: '127.0.0.1', ca, minVersion: version, maxVersion: version };
    const socket = secured({ ...options, ciphers: 'DEFAULT@SECLEVEL=0' }, () => {
      resolve(socket.getProtocol() ?? 'none');
      socket.destroy();
    });
    socket.on('error', () => resolve('refused'));
  });
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
          await until(
            () => stream?.isClosed() === true || stream?.text().includes('\r\n\r\n') === true,
          );
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
    const { port } = await start([
      await standIn((request, response) => response.end(`to ${request.headers.host}`)),
    ]);
    const { text } = client(port, 'GET /mcp HTTP/1.1\r\nHost: mcp.example\r\n\r\n');
    await until(() => text().includes('to mcp.example'), { what: 'the answer' });
  });

  test('TLS 1.2 and later end here, and nothing is served without TLS', async () => {
    const certificate = newCertificate();
    const port = await standIn((request, response) => response.end(`to ${request.headers.host}`));
    const secure = await behindNginx([...ROUND_ROBIN, 'nginx/tls.conf'], [port], { certificate });
    const ca = readFileSync(certificate.certificate, 'utf8');
    const [response] = (await once(get(secure.url, { ca }), 'response')) as [IncomingMessage];
    expect([response.statusCode, await bodyOf(response)]).toEqual([200, 'to 127.0.0.1']);
    expect(await agreed(secure.port, ca, 'TLSv1.1')).toBe('refused');
    expect(await agreed(secure.port, ca, 'TLSv1.2')).toBe('TLSv1.2');
    expect(await agreed(secure.port, ca, 'TLSv1.3')).toBe('TLSv1.3');
    expect((await fetch(secure.url.replace('https', 'http'))).status).toBe(400);
  });

  test('while two of three instances refuse connections every POST and every stream is served', async () => {
    const port = await standIn((request, response) => {
      request.resume().on('end', () => response.end(request.method));
    });
    const proxy = await start([await freePort(), port, await freePort()]);
    for (const method of Array.from({ length: 30 }, (_, n) => (n % 2 === 0 ? 'POST' : 'GET'))) {
      const body = method === 'POST' ? { body: '{}' } : {};
      for (const fields of [{}, { 'mcp-session-id': 's' }]) {
        const response = await fetch(proxy.url, {
          method,
          ...body,
          headers: { connection: 'close', ...fields },
        });
        expect([response.status, await response.text()]).toEqual([200, method]);
      }
    }
  });
});

/** An instance that closes the connection of each request that it has read. */
const dyingInstance = (seen: string[], ids = new Set<unknown>()): Promise<number> =>
  standIn((request) => {
    seen.push(String(request.method));
    ids.add(request.headers['x-request-id']);
    request.socket.destroy();
  });

/** What one request gets: the first line of its answer; `''`: its connection is closed without one. */
async function ask(
  url: string,
  method: string,
  fields = ['Mcp-Session-Id: s'],
  posted = '{"jsonrpc":"2.0","id":1,"method":"ping"}',
): Promise<string> {
  const body = method === 'POST' ? posted : '';
  const length =
    method === 'POST' ? `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n` : '';
  const sent = ['Host: a', 'X-Request-Id: of-the-client', 'Connection: close', ...fields].join(
    '\r\n',
  );
  const head = `${method} /mcp HTTP/1.1\r\n${sent}\r\n${length}`;
  return (await openClient(url).bytes(`${head}\r\n${body}`)).split('\r\n', 1)[0] ?? '';
}

/** Whether other instances get a POST too that each of them reads and does not answer. */
const POSTS: ReadonlyMap<string, boolean> = new Map([
  ['Mcp-Session-Id: s', true],
  ['', false],
  ['Mcp-Method: tools/list', true],
  ['Mcp-Method: resources/read', true],
  ['Mcp-Method: prompts/get', true],
  ['Mcp-Method: tools/call', false],
  ['Mcp-Method: subscriptions/listen', false],
  // 2026-07-28 ignores the session.
  ['Mcp-Method: tools/call, Mcp-Session-Id: s', false],
  ['Mcp-Method: tools/call tools/list', false],
]);

for (const files of [ROUND_ROBIN, AFFINITY]) {
  describeBehindNginx(`requests without an answer behind ${files.join(' and ')}`, () => {
    test('a DELETE that an instance has read is not sent to another one; a GET ends with a closed connection', async () => {
      const seen: string[] = [];
      const { url } = await behindNginx(files, [
        await dyingInstance(seen),
        await dyingInstance(seen),
        await dyingInstance(seen),
      ]);
      expect(await ask(url, 'GET')).toBe('');
      expect(await ask(url, 'DELETE')).toContain('HTTP/1.1 502 ');
      // nginx cannot tell a GET that was sent from one whose connection was refused. It has no effect twice.
      expect(seen).toEqual(['GET', 'GET', 'GET', 'DELETE']);
    });

    test('a POST that an instance has read is sent to the others where that is safe, under one id of nginx', async () => {
      const tries: Array<[number, string]> = [];
      for (const fields of POSTS.keys()) {
        const seen: string[] = [];
        const ids = new Set<unknown>();
        const dying = [
          await dyingInstance(seen, ids),
          await dyingInstance(seen, ids),
          await dyingInstance(seen, ids),
        ];
        const { url, close } = await behindNginx(files, dying);
        expect(await ask(url, 'POST', fields.split(', ').filter(Boolean))).toContain(
          'HTTP/1.1 502 ',
        );
        await close();
        tries.push([seen.length, fields]);
        expect([...ids]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
      }
      expect(tries).toEqual([...POSTS].map(([fields, isSafe]) => [isSafe ? 3 : 1, fields]));
    });

    test('a body above limits.bodyBytes reaches the instance: some clients end for good at a 413 of the proxy', async () => {
      const bytes = DEFAULTS.limits.bodyBytes + 2 ** 20;
      const one = await standIn((request, response) => {
        let length = 0;
        request
          .on('data', (chunk: Buffer) => (length += chunk.length))
          .on('end', () => response.end(String(length)));
      });
      const { url } = await behindNginx(files, [one, one, one]);
      const response = await fetch(url, {
        method: 'POST',
        body: Buffer.alloc(bytes),
        headers: { connection: 'close' },
      });
      expect([response.status, await response.text()]).toEqual([200, String(bytes)]);
    });

    test('with no instance that accepts, a GET fails in the same way, and a POST is answered', async () => {
      const { url } = await behindNginx(files, [
        await freePort(),
        await freePort(),
        await freePort(),
      ]);
      expect(await ask(url, 'GET')).toBe('');
      expect(await ask(url, 'POST')).toMatch(/^HTTP\/1.1 50[23] /);
    });
  });
}

describeBehindHaproxy('requests without an answer behind HAProxy', () => {
  test('go to one more instance where that is safe, under one id of HAProxy, if the buffer holds them', async () => {
    const tries: Array<[number, string]> = [];
    const counted = async (method: string, fields: string, body?: string): Promise<number> => {
      const seen: string[] = [];
      const ids = new Set<unknown>();
      const dying = [
        await dyingInstance(seen, ids),
        await dyingInstance(seen, ids),
        await dyingInstance(seen, ids),
      ];
      const { url, close } = await behindHaproxy(dying);
      await ask(url, method, fields.split(', ').filter(Boolean), body);
      await close();
      expect([...ids]).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]);
      return seen.length;
    };
    for (const fields of POSTS.keys()) tries.push([await counted('POST', fields), fields]);
    expect(tries).toEqual([...POSTS].map(([fields, isSafe]) => [isSafe ? 2 : 1, fields]));
    expect(await counted('DELETE', 'Mcp-Session-Id: s')).toBe(1);
    expect(await counted('GET', 'Mcp-Session-Id: s')).toBe(2);
    expect(await counted('POST', 'Mcp-Session-Id: s', 'x'.repeat(70_000))).toBe(1);
  });

  test('a refused connection leads to the next instance, for every method', async () => {
    const port = await standIn((request, response) => {
      request.resume().on('end', () => response.end(request.method));
    });
    const { url } = await behindHaproxy([await freePort(), port]);
    for (const method of ['POST', 'GET', 'DELETE', 'POST', 'GET', 'DELETE'])
      expect([method, await ask(url, method, [])]).toEqual([method, 'HTTP/1.1 200 OK']);
  });
});

describeBehindNginx('affinity by Mcp-Session-Id', () => {
  test('every request of a session arrives at one instance; those that have no session yet are spread', async () => {
    const instances = [0, 1, 2].map((n) => standIn((_request, response) => response.end(`${n}`)));
    const { url } = await behindNginx(AFFINITY, await Promise.all(instances));
    const many = <T>(count: number, one: (n: number) => Promise<T>) =>
      Promise.all(Array.from({ length: count }, (_, n) => one(n)));
    const arrival = async (session?: string) =>
      (
        await fetch(url, { headers: session === undefined ? {} : { 'mcp-session-id': session } })
      ).text();
    const sessions = await many(24, (n) => many(4, () => arrival(`session-${n}`)));
    expect(sessions.map((arrivals) => new Set(arrivals).size)).toEqual(sessions.map(() => 1));
    expect(new Set(sessions.flat()).size).toBeGreaterThan(1);
    expect(new Set(await many(24, () => arrival())).size).toBeGreaterThan(1);
  });
});
