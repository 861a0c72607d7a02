import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createRawClient, type RawClient, type RawClientOptions } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';

type Handler = (req: IncomingMessage, res: ServerResponse, body: Buffer) => void;

const open: Array<{ server: Server; client: RawClient }> = [];

afterEach(async () => {
  for (const { server, client } of open.splice(0)) {
    client.close();
    await new Promise((done) => server.close(done));
  }
});

async function serve(handler: Handler, options?: RawClientOptions): Promise<{ client: RawClient; server: Server }> {
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('error', () => undefined);
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => handler(req, res, Buffer.concat(chunks)));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const client = createRawClient(`http://127.0.0.1:${port}/mcp?a=1`, options);
  open.push({ server, client });
  return { client, server };
}

const echo: Handler = (req, res, body) => {
  res.setHeader('content-type', 'application/json');
  res.end(
    JSON.stringify({ method: req.method, url: req.url, rawHeaders: req.rawHeaders, body: body.toString('latin1') }),
  );
};

const sse: Handler = (_req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' });

interface Echo {
  method: string;
  url: string;
  rawHeaders: string[];
  body: string;
}

const sent = (echoed: unknown, name: string): string[] =>
  (echoed as Echo).rawHeaders.filter((_, i, all) => i % 2 === 1 && all[i - 1]?.toLowerCase() === name);

describe('the raw client sends', () => {
  test('a message as JSON, with what a protocol client sends', async () => {
    const { client } = await serve(echo);
    const echoed = (await client.post({ jsonrpc: '2.0', method: 'ping', id: 1 })).json();
    expect(echoed).toMatchObject({ method: 'POST', url: '/mcp?a=1', body: '{"jsonrpc":"2.0","method":"ping","id":1}' });
    expect(sent(echoed, 'content-type')).toEqual(['application/json']);
    expect(sent(echoed, 'accept')).toEqual(['application/json, text/event-stream']);
    expect(sent(echoed, 'mcp-session-id')).toEqual([]);
  });

  test('its session and version with every request, or what one request says instead', async () => {
    const { client } = await serve(echo);
    client.sessionId = 'abc';
    client.protocolVersion = '2025-06-18';
    const own = (await client.get({ lastEventId: 'e1' })).json();
    expect(sent(own, 'mcp-session-id')).toEqual(['abc']);
    expect(sent(own, 'mcp-protocol-version')).toEqual(['2025-06-18']);
    expect(sent(own, 'last-event-id')).toEqual(['e1']);
    const other = (await client.delete({ sessionId: 'xyz', version: null, path: '/else' })).json();
    expect(other).toMatchObject({ method: 'DELETE', url: '/else' });
    expect(sent(other, 'mcp-session-id')).toEqual(['xyz']);
    expect(sent(other, 'mcp-protocol-version')).toEqual([]);
  });

  test('no header that is set to null, and a header as often as it has values', async () => {
    const { client } = await serve(echo);
    const headers = {
      Accept: null,
      'content-type': 'text/plain',
      'mcp-session-id': ['one', 'two'],
      host: 'evil.example',
    };
    const echoed = (await client.post({}, { headers })).json();
    expect(sent(echoed, 'accept')).toEqual([]);
    expect(sent(echoed, 'content-type')).toEqual(['text/plain']);
    expect(sent(echoed, 'mcp-session-id')).toEqual(['one', 'two']);
    expect(sent(echoed, 'host')).toEqual(['evil.example']);
  });

  test('strings and bytes as they are', async () => {
    const { client } = await serve(echo);
    expect((await client.post('{"unclosed')).json()).toMatchObject({ body: '{"unclosed' });
    expect((await client.post(Uint8Array.of(0xff, 0x00, 0xfe))).json()).toMatchObject({ body: '\u00ff\u0000\u00fe' });
  });

  test('half a body, where the caller writes it', async () => {
    let aborted = false;
    const { client, server } = await serve(echo);
    server.on('request', (req: IncomingMessage) => req.on('aborted', () => (aborted = true)));
    const { request, response } = client.start('POST', { headers: { 'content-length': '100' } });
    request.write('{"half":');
    await until(() => server.listeners('request').length === 2);
    await until(async () => (await connections(server)) === 1);
    request.destroy(new Error('cut on purpose'));
    await expect(response).rejects.toThrow('cut on purpose');
    await until(() => aborted);
  });

  test('bytes that are no HTTP, and shows what comes back', async () => {
    const { client } = await serve(echo);
    expect(await client.bytes('NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    const request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    expect(await client.bytes(request + request, (text) => text.split('HTTP/1.1 200').length === 3)).toContain(
      'rawHeaders',
    );
  });
});

describe('the raw client receives', () => {
  test('status, duplicate headers and the body', async () => {
    const { client } = await serve((_req, res) => {
      res.writeHead(
        418,
        'Short',
        [
          ['X-Twice', 'a'],
          ['x-twice', 'b'],
          ['Content-Type', 'text/plain'],
        ].flat(),
      );
      res.end('body');
    });
    const response = await client.post({});
    expect([response.status, response.statusText, response.body, response.ending]).toEqual([
      418,
      'Short',
      'body',
      'complete',
    ]);
    expect(response.headers('X-TWICE')).toEqual(['a', 'b']);
    expect(response.header('x-twice')).toBe('a, b');
    expect(response.header('absent')).toBeUndefined();
    expect(response.rawHeaders.slice(0, 2)).toEqual([
      ['X-Twice', 'a'],
      ['x-twice', 'b'],
    ]);
  });

  test('events one by one while the stream is open', async () => {
    let stream: ServerResponse | undefined;
    const { client } = await serve((...args) => {
      sse(...args);
      stream = args[1];
      stream.flushHeaders();
    });
    const response = await client.get();
    expect([response.status, response.sse, response.events]).toEqual([200, true, []]);
    stream?.write('id: 1\nretry: 500\ndata: \n\n');
    expect(await response.next()).toEqual({ id: '1', retry: 500, data: '' });
    stream?.write(': keepalive\n\nevent: message\nid: 2\ndata: {"a":');
    expect(await response.next()).toEqual({ comment: ' keepalive'.trim() });
    stream?.write('1}\n\n');
    expect(await response.next()).toEqual({ event: 'message', id: '2', data: '{"a":1}', message: { a: 1 } });
    stream?.end();
    expect(await response.untilEnd()).toHaveLength(3);
    expect(response.ending).toBe('complete');
  });

  test.each([
    ['\n', 'a line feed'],
    ['\r\n', 'both'],
    ['\r', 'a carriage return'],
  ])('events whose lines end in %j, split anywhere', async (eol) => {
    const text = ['data: é1', 'data: 2', '', ':c', '', 'event', 'unknown: x', 'retry: soon', '', 'data:x', '', ''].join(
      eol,
    );
    const { client } = await serve((...args) => {
      sse(...args);
      const res = args[1];
      const bytes = [...Buffer.from(text)];
      const write = (): void => {
        const byte = bytes.shift();
        if (byte === undefined) res.end();
        else res.write(Uint8Array.of(byte), () => setImmediate(write));
      };
      write();
    });
    const response = await client.get();
    // A final carriage return may be half a line end: it counts only when more comes.
    const events = await response.untilEnd();
    expect(events.slice(0, 3)).toEqual([{ data: 'é1\n2' }, { comment: 'c' }, { event: '' }]);
    expect(events.slice(3)).toEqual(eol === '\r' ? [] : [{ data: 'x' }]);
  });

  test('the event that fits, past those that do not', async () => {
    const { client } = await serve((...args) => {
      sse(...args);
      for (const n of [1, 2, 3]) args[1].write(`data: {"n":${n}}\n\n`);
      args[1].end(': end\n\n');
    });
    const response = await client.get();
    expect(await response.nextMessage((message) => (message as { n: number }).n === 2)).toEqual({ n: 2 });
    expect(await response.nextMessage()).toEqual({ n: 3 });
    await expect(response.nextMessage()).rejects.toThrow(/ended \(complete\) before an event/);
    expect(response.json()).toEqual({ n: 3 });
  });

  test('a stream that is cut, as different from a stream that ended', async () => {
    const { client } = await serve((...args) => {
      sse(...args);
      args[1].write('data: 1\n\n', () => args[1].destroy());
    });
    const response = await client.get();
    expect(await response.untilEnd()).toHaveLength(1);
    expect(response.ending).toBe('cut');
  });

  test('nothing more once it has aborted', async () => {
    let closed = false;
    const { client } = await serve((...args) => {
      sse(...args);
      args[1].write('data: 1\n\n');
      args[1].on('close', () => (closed = true));
    });
    const response = await client.get();
    await response.next();
    response.abort();
    await until(() => closed);
    expect(await response.ended).toBe('aborted');
    expect(response.ending).toBe('aborted');
  });

  test('an error that names what was awaited when nothing comes', async () => {
    const { client } = await serve(
      (req, res) => void (req.method === 'GET' && sse(req, res, Buffer.alloc(0)) && res.flushHeaders()),
      {
        timeoutMs: 50,
      },
    );
    await expect(client.post({})).rejects.toThrow('no response to POST /mcp?a=1 within 50 ms');
    const response = await client.get();
    await expect(response.next()).rejects.toThrow(/an event did not come within 50 ms; status 200/);
    await expect(response.untilEnd()).rejects.toThrow(/the end did not come within 50 ms/);
  });
});

describe('the raw client keeps', () => {
  test('its connection from one request to the next, until it disconnects', async () => {
    const { client, server } = await serve(echo);
    await client.post({});
    await client.post({});
    expect(await connections(server)).toBe(1);
    client.disconnect();
    await until(async () => (await connections(server)) === 0);
    expect((await client.post({})).status).toBe(200);
  });

  test('the session that initialize opened, in the negotiated version', async () => {
    const methods: string[] = [];
    const { client } = await serve((req, res, body) => {
      const { id, method } = JSON.parse(body.toString()) as { id?: number; method: string };
      methods.push(`${method} ${req.headers['mcp-session-id'] ?? '-'} ${req.headers['mcp-protocol-version'] ?? '-'}`);
      if (id === undefined) return void res.writeHead(202).end();
      const result = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 's', version: '1' } };
      res.setHeader('mcp-session-id', 's-1');
      if (method === 'initialize') res.setHeader('content-type', 'text/event-stream');
      else res.setHeader('content-type', 'application/json');
      const json = JSON.stringify({ jsonrpc: '2.0', id, result });
      res.end(method === 'initialize' ? `event: message\ndata: ${json}\n\n` : json);
    });
    const { message } = await client.initialize();
    expect(message.result).toMatchObject({ serverInfo: { name: 's' } });
    expect((await client.call('tools/list', { cursor: 'x' })).message.result).toBeDefined();
    expect(methods).toEqual([
      'initialize - -',
      'notifications/initialized s-1 2025-06-18',
      'tools/list s-1 2025-06-18',
    ]);
  });

  test('nothing of an initialize that was refused', async () => {
    const { client } = await serve((_req, res) => {
      res.writeHead(400, { 'content-type': 'application/json' });
      res.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}');
    });
    const { response, message } = await client.initialize();
    expect([response.status, message.error?.code, client.sessionId]).toEqual([400, -32600, undefined]);
  });
});

function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );
}
