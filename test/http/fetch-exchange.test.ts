import { createServer, IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { expect, test } from 'vitest';
import type { ExchangeHost } from '../../src/http/exchange.ts';
import { gc } from '../kit/gc.ts';
import { gate } from '../kit/watched-store.ts';
import { FetchExchange } from '../../src/http/fetch-exchange.ts';
import { memoryRows } from '../../src/http/limits/memory-rows.ts';
import { createMcpEndpoint } from '../../src/index.ts';
import { exchangeHost } from '../kit/exchange-host.ts';
import { serverOf } from '../kit/making-servers.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { listening } from '../kit/listening.ts';

/** No unexpected error may happen here. */
const report = (cause: unknown): void => {
  throw cause;
};

/** An exchange without an endpoint. `left`: how often its client has left. */
function exchangeOf(init?: RequestInit, host: ExchangeHost = exchangeHost(report)) {
  const exchange = new FetchExchange(new Request('http://a.example/mcp', init), {}, host);
  const heard = { left: 0 };
  exchange.open();
  exchange.onClose(() => (heard.left += 1));
  return { exchange, heard };
}

/** The same, with a stream open, and its reader. */
async function streamOf(init?: RequestInit, host?: ExchangeHost) {
  const { exchange, heard } = exchangeOf(init, host);
  exchange.openStream([['Content-Type', 'text/event-stream']]);
  const response = await exchange.response;
  return { exchange, heard, response };
}

test('a client that leaves its stream causes no error in the body', async () => {
  const abort = new AbortController();
  const { exchange, heard, response } = await streamOf({ signal: abort.signal });
  const reader = response.body?.getReader();
  exchange.write('one');
  expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('one');
  abort.abort();
  expect(await reader?.read()).toEqual({ done: true, value: undefined });
  expect([heard.left, exchange.closed]).toEqual([1, true]);
  exchange.write('two');
  exchange.end();
});

test('a reader that is cut for being too slow gets an error', async () => {
  const { exchange, heard, response } = await streamOf();
  const reader = response.body?.getReader();
  exchange.write('12345');
  expect(exchange.pendingBytes).toBe(5);
  exchange.cut();
  await expect(reader?.read()).rejects.toThrow('its reader is too slow');
  expect(heard.left).toBe(1);
});

test('fetch resolves when the client leaves before the head', async () => {
  const abort = new AbortController();
  const { exchange } = exchangeOf({ signal: abort.signal });
  expect(exchange.request.signal.aborted).toBe(false);
  abort.abort();
  expect(exchange.request.signal.aborted).toBe(true);
  exchange.respond(200, [], 'too late');
  expect((await exchange.response).status).toBe(499);
});

test('fetch resolves when the client leaves in the middle of its body', async () => {
  const abort = new AbortController();
  // As in servers, the body fails together with the signal.
  const body = new ReadableStream<Uint8Array>({
    start: (controller) =>
      abort.signal.addEventListener('abort', () => controller.error(abort.signal.reason)),
  });
  const init: RequestInit & { duplex: 'half' } = {
    method: 'POST',
    signal: abort.signal,
    body,
    duplex: 'half',
  };
  const { exchange } = exchangeOf(init);
  let called = 0;
  exchange.readBody({ bytes: 1_000, keys: Infinity, idWithin: 0 }, () => (called += 1));
  abort.abort();
  expect((await exchange.response).status).toBe(499);
  expect(called).toBe(0);
});

test('a stream that has ended is charged until its client has taken it, and arrives whole in small parts', async () => {
  const { answers } = memoryRows(Infinity);
  const { exchange, response } = await streamOf({}, exchangeHost(report, answers));
  const messages = ['a', 'x'.repeat(1_000_000), 'b', 'c'];
  for (const message of messages) exchange.write(message);
  exchange.end();
  expect([exchange.closed, answers.used]).toEqual([true, 1_000_003]);
  const parts: Uint8Array[] = [];
  for await (const part of response.body as AsyncIterable<Uint8Array>) parts.push(part);
  expect(Buffer.concat(parts).toString()).toBe(messages.join(''));
  expect(Math.max(...parts.map(({ length }) => length))).toBe(16_384);
  expect(answers.used).toBe(0);
});

const TEXT = 'ж'.repeat(100_000);
const BYTES = 200_000;

/** What `@hono/node-server` gives with a request, and its connection. */
function given() {
  const socket = new Socket();
  const incoming = new IncomingMessage(socket);
  incoming.httpVersionMajor = 1;
  return { socket, incoming };
}

/** Answers whose clients read nothing at first. */
function unread(bytes = Infinity) {
  const { answers } = memoryRows(bytes, 0.5);
  const cut: string[] = [];
  const host = exchangeHost(report, answers, cut);
  const answer = (user: string, incoming?: IncomingMessage): FetchExchange => {
    const exchange = new FetchExchange(new Request('http://a.example/mcp'), { incoming }, host);
    exchange.open();
    exchange.userKey = user;
    exchange.respond(200, [], TEXT);
    return exchange;
  };
  return { answers, cut, answer, time: host.time };
}

test('a long answer is charged until its reader has taken it; a user past its share loses the longest pending one', async () => {
  const { answers, cut, answer } = unread(5 * BYTES);
  const other = answer('bob');
  const [first] = Array.from({ length: 3 }, () => answer('ann'));
  expect(cut).toEqual(['memory']);
  expect(answers.used).toBe(3 * BYTES);
  await expect(first?.response.then((response) => response.text())).rejects.toThrow(
    /The connection was cut/,
  );
  expect(await (await other.response).text()).toBe(TEXT);
  expect(answers.used).toBe(2 * BYTES);
});

test('an answer of which its client takes nothing for a minute is cut; what a client leaves is given back', async () => {
  const { answers, cut, answer, time } = unread();
  const stalled = answer('ann');
  const reader = (await answer('bob').response).body?.getReader();
  await time.advance(40_000);
  await reader?.read();
  await time.advance(30_000);
  expect(cut).toEqual(['stalled']);
  await expect(stalled.response.then((response) => response.text())).rejects.toThrow(
    /The connection was cut/,
  );
  await reader?.cancel();
  expect(answers.used).toBe(0);
});

test('an answer that its client does not read is given back when its connection closes', async () => {
  const { answers, answer } = unread();
  const { socket, incoming } = given();
  const { response } = answer('ann', incoming);
  expect(answers.used).toBe(BYTES);
  await once(socket.destroy(), 'close');
  expect(answers.used).toBe(0);
  expect(await (await response).text()).toBe('');
  expect((await answer('ann', incoming).response).status).toBe(499);
});

test('an answer for which there is no room closes its connection', async () => {
  const { answers, cut, answer } = unread(BYTES);
  const { socket, incoming } = given();
  answer('ann', incoming);
  expect([cut, answers.used, socket.destroyed]).toEqual([['memory'], 0, true]);
});

test('a handler that runs on keeps no connection of a client that left, and reads its fields', async () => {
  const finished = gate();
  let field: string | null | undefined;
  const wait: Tool = async (_, ctx) => {
    await finished.hook();
    field = ctx.http?.req?.headers.get('x-field');
    return said('done');
  };
  const endpoint = createMcpEndpoint(serverOf(toolServer({ wait })));
  let request: WeakRef<IncomingMessage> | undefined;
  const listener = getRequestListener(endpoint.fetch);
  const server = createServer((req, res) => {
    request = new WeakRef(req);
    void listener(req, res);
  });
  const { port } = new URL(await listening(server, () => endpoint.close({ timeoutMs: 0 })));
  const params = { name: 'wait', arguments: {} };
  const message = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { ...params, _meta: envelope() },
  };
  const body = JSON.stringify(message);
  const fields = {
    ...mirrored('tools/call', params),
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'content-length': String(body.length),
    'x-field': 'kept',
  };
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(`POST /mcp HTTP/1.1\r\nhost: localhost\r\n${head.join('')}\r\n${body}`);
  await until(() => finished.waiting === 1);
  socket.destroy();
  await until(() => {
    gc();
    return request?.deref() === undefined;
  });
  finished.open();
  await until(() => field !== undefined);
  expect(field).toBe('kept');
});

// One turn may bring thousands of pipelined requests.
test.each([
  { what: 'for which there is no room', room: 1, held: false },
  { what: 'that is answered', room: 1_000_000, held: true },
])('a request $what is not kept until its turn ends', async ({ room, held }) => {
  const host = exchangeHost(report, memoryRows(room).requests);
  // Runs before what the request may leave for the end of the turn, which is another immediate.
  const collected = new Promise<boolean>((resolve) => {
    setImmediate(() => {
      gc();
      resolve(exchange.deref() === undefined);
    });
  });
  const exchange = refused();
  expect(await collected).toBe(true);

  function refused(): WeakRef<FetchExchange> {
    const made = new FetchExchange(new Request('http://a.example/mcp'), {}, host);
    expect(made.holds(1_000)).toBe(held);
    made.respond(503, [], '');
    return new WeakRef(made);
  }
});
