/**
 * Unexpected errors, thrown in any callback of an exchange: the request is answered, the failure is reported once, and
 * the process survives.
 */
import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Exchange, guarded } from '../../src/http/exchange.ts';
import { memoryRows } from '../../src/http/limits/memory-rows.ts';
import { FetchExchange } from '../../src/http/fetch-exchange.ts';
import { NodeExchange } from '../../src/http/node-exchange.ts';
import { SSE_HEADERS } from '../../src/http/frames.ts';
import { HttpResponse } from '../../src/http/response.ts';
import { createMcpEndpoint } from '../../src/index.ts';
import { createLog } from '../kit/log.ts';
import { bothFaces, type Face } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { exchangeHost } from '../kit/exchange-host.ts';
import { clientBehind } from '../kit/listening.ts';

async function serveExchange(face: Exclude<Face, 'listen'>, handle: (exchange: Exchange) => void) {
  const told: unknown[] = [];
  const { requests: memory } = memoryRows(1_000_000);
  const host = exchangeHost((cause) => void told.push(cause), memory);
  const open = (exchange: NodeExchange | FetchExchange): void => {
    exchange.open();
    handle(exchange);
  };
  const server = createServer(
    face === 'node'
      ? (req, res) => open(new NodeExchange(req, res, undefined, host))
      : getRequestListener(
          (request) => {
            const exchange = new FetchExchange(request, {}, host);
            open(exchange);
            return exchange.response;
          },
          { overrideGlobalObjects: false },
        ),
  );
  return { client: await clientBehind(server, { close: async () => {} }), told, memory };
}

const fault = new Error('unexpected');
const throwing = (): never => {
  throw fault;
};

const limits = (bytes: number) => ({ bytes, keys: Infinity, idWithin: 0 });

describe.each(bothFaces)('what is thrown under the %s face', (face) => {
  test.each([
    ['in the callback of a body', (exchange: Exchange) => exchange.readBody(limits(100), throwing)],
    [
      'in the callback of a body that is too large',
      (exchange: Exchange) => exchange.readBody(limits(1), throwing),
    ],
    [
      'at the end of a turn',
      (exchange: Exchange) => {
        const response = new HttpResponse(exchange, { form: 'events' });
        response.listener = { endTurn: throwing, sinkClosed: () => {} };
        response.begin();
      },
    ],
  ])('%s is a 500, reported once', async (_, handle) => {
    const { client, told } = await serveExchange(face, handle);
    const response = await client.post({ a: 1 });
    expect(response.status).toBe(500);
    expect(response.json()).toMatchObject({
      jsonrpc: '2.0',
      error: { code: -32603, message: 'Internal error' },
    });
    expect(response.body).not.toContain('unexpected');
    expect(told).toEqual([fault]);
  });

  test('while a stream is open cuts it', async () => {
    let open: Exchange | undefined;
    const { client, told } = await serveExchange(face, (exchange) => {
      open = exchange;
      exchange.openStream(SSE_HEADERS);
      exchange.write('data: 1\n\n');
    });
    const response = await client.post({ a: 1 });
    expect(response.status).toBe(200);
    await response.next();
    if (open !== undefined) guarded(open, throwing);
    await response.untilEnd();
    expect(told).toEqual([fault]);
  });

  test('after the client disconnected is reported, and the other listeners are called', async () => {
    const called: string[] = [];
    const { client, told } = await serveExchange(face, (exchange) => {
      exchange.onClose(throwing);
      exchange.onClose(() => called.push('second'));
      exchange.openStream(SSE_HEADERS);
      exchange.write('data: 1\n\n');
    });
    const response = await client.get();
    response.abort();
    await until(() => called.length === 1, { what: 'the second listener' });
    expect(told).toEqual([fault]);
  });

  test('in an answer that HTTP does not allow leaves no client waiting, and gives the bytes of its request back', async () => {
    let held = 0;
    const { client, told, memory } = await serveExchange(face, (exchange) =>
      exchange.readBody(limits(100), () => {
        held = memory.used;
        exchange.respond(200, [['X-Bad', 'a\nb']], 'x');
      }),
    );
    expect((await client.post({ a: 1 })).status).toBe(500);
    expect(told).toHaveLength(1);
    expect([held > 0, memory.used]).toEqual([true, 0]);
  });
});

describe('an endpoint', () => {
  test('answers what nothing expected with 500, logs it once, and serves the next request', async () => {
    const log = createLog();
    const endpoint = createMcpEndpoint(toolServer({}), { logger: log });
    let broken = true;
    const server = createServer((req, res) => {
      const { headers, rawHeaders } = req;
      const get = (): string[] => (broken && headers.host !== undefined ? throwing() : rawHeaders);
      Object.defineProperty(req, 'rawHeaders', { get });
      endpoint.node(req, res);
    });
    const client = await clientBehind(server, endpoint);
    const { response, message } = await client.initialize();
    broken = false;
    expect(response.status).toBe(500);
    expect(message).toMatchObject({ error: { code: -32603, message: 'Internal error' } });
    expect(log.matching(/something unexpected/, 'error')).toMatchObject([
      { fields: { err: expect.objectContaining({ message: fault.message }) } },
    ]);
    expect((await client.initialize()).response.status).toBe(200);
    expect(log.matching(/./, 'error')).toHaveLength(1);
  });

  test('survives the body of an adapter that fails: its request is one that its client left', async () => {
    const log = createLog();
    const endpoint = createMcpEndpoint(toolServer({}), { logger: log, accessLog: true });
    onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
    const headers = { host: 'localhost', 'content-type': 'application/json', accept: '*/*' };
    // An adapter without sockets, such as those of tests and of functions in a cloud.
    const body = Object.assign(new Readable({ read() {} }), {
      method: 'POST',
      url: '/mcp',
      headers,
      rawHeaders: [],
    });
    const req = Object.assign(body, { socket: {} }) as unknown as IncomingMessage;
    endpoint.node(req, new ServerResponse(req));
    req.push('{');
    req.destroy(fault);
    await until(() => log.matching(/^request$/).length === 1);
    expect(log.matching(/./, 'error')).toEqual([]);
  });
});
