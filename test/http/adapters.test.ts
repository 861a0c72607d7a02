/** The node face behind what only looks like a request of `node:http`: the real adapters of other platforms. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Hono } from 'hono';
import { handle } from 'hono/aws-lambda';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';
import { installed, lackOf } from '../installs/installed.ts';
import { toolCall } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { SseParser } from '../kit/sse-parser.ts';
import { said, toolServer } from '../kit/tool-server.ts';

interface Sent {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}
type Send = (sent: Sent) => Promise<Got>;
type Handler = (req: IncomingMessage, res: ServerResponse) => void;
type Lambda = (event: object, context: object) => Promise<LambdaAnswer>;
interface LambdaAnswer {
  readonly statusCode: number;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly multiValueHeaders?: Readonly<Record<string, readonly unknown[]>>;
  readonly body: string;
  readonly isBase64Encoded?: boolean;
}

const lacks = lackOf('adapters');
const load = <T>(name: string): T =>
  createRequire(join(installed('adapters'), 'package.json'))(name) as T;

/** An API Gateway event of either format. The first keeps the spelling of the client. */
function eventOf(version: '1.0' | '2.0', { method, headers, body }: Sent): object {
  const identity = { sourceIp: '203.0.113.7', userAgent: 'test' };
  const given = { ...headers, 'X-Amzn-Trace-Id': 'Root=1-1' };
  const lower = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const http = { method, path: '/mcp', protocol: 'HTTP/1.1', ...identity };
  if (version === '2.0')
    return {
      version,
      rawPath: '/mcp',
      rawQueryString: '',
      headers: lower,
      body,
      isBase64Encoded: false,
      requestContext: { http, domainName: headers['Host'], stage: '$default' },
    };
  return {
    version,
    resource: '/mcp',
    path: '/mcp',
    httpMethod: method,
    headers: given,
    multiValueHeaders: Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, [value]]),
    ),
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    body,
    isBase64Encoded: false,
    requestContext: {
      identity,
      httpMethod: method,
      path: '/mcp',
      domainName: headers['Host'],
      stage: 'prod',
    },
  };
}

const throughLambda =
  (lambda: Lambda, version: '1.0' | '2.0'): Send =>
  async (sent) => {
    const { statusCode, headers, multiValueHeaders, body, isBase64Encoded } = await lambda(
      eventOf(version, sent),
      {},
    );
    const many = Object.entries(multiValueHeaders ?? {}).map(
      ([name, [value]]) => [name, value] as const,
    );
    return {
      status: statusCode,
      headers: { ...headers, ...Object.fromEntries(many) },
      body: isBase64Encoded === true ? Buffer.from(body, 'base64').toString() : body,
    };
  };

/** How each is set up in its own documentation, by the name of its package. */
const ADAPTERS: ReadonlyArray<readonly [name: string, open: (endpoint: McpEndpoint) => Send]> = [
  ...(['1.0', '2.0'] as const).flatMap((version) => {
    const events = `, events of format ${version}`;
    return [
      [
        `@codegenie/serverless-express${events}`,
        ({ node }: McpEndpoint) => {
          const wrap = load<(given: { app: Handler }) => Lambda>('@codegenie/serverless-express');
          return throughLambda(wrap({ app: node }), version);
        },
      ] as const,
      [
        `serverless-http${events}`,
        ({ node }: McpEndpoint) =>
          throughLambda(load<(app: Handler) => Lambda>('serverless-http')(node), version),
      ] as const,
      [
        `hono/aws-lambda${events}`,
        ({ fetch }: McpEndpoint) => {
          const app = new Hono().all('/mcp', (c) => fetch(c.req.raw));
          return throughLambda(handle(app) as unknown as Lambda, version);
        },
      ] as const,
    ];
  }),
  [
    'fetch-to-node',
    ({ node }) => {
      const { toReqRes, toFetchResponse } = load<{
        toReqRes(request: Request): { req: IncomingMessage; res: ServerResponse };
        toFetchResponse(res: ServerResponse): Promise<Response>;
      }>('fetch-to-node');
      return async (sent) => {
        const { req, res } = toReqRes(new Request('http://localhost/mcp', sent));
        node(req, res);
        const response = await toFetchResponse(res);
        return {
          status: response.status,
          headers: Object.fromEntries(response.headers),
          body: await response.text(),
        };
      };
    },
  ],
  [
    'light-my-request',
    ({ node }) => {
      const inject =
        load<
          (
            app: Handler,
            given: object,
          ) => Promise<{ statusCode: number; headers: object; payload: string }>
        >('light-my-request');
      return async ({ method, headers, body }) => {
        const answer = await inject(node, { method, url: '/mcp', headers, payload: body });
        return { status: answer.statusCode, headers: { ...answer.headers }, body: answer.payload };
      };
    },
  ],
];

const TEXT = 'é'.repeat(100_000);
const server = toolServer({
  add: ({ a, b }) => said(Number(a) + Number(b)),
  long: () => said(TEXT),
  tell: async (_args, ctx) => {
    await ctx.mcpReq.notify({
      method: 'notifications/message',
      params: { level: 'info', data: TEXT },
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    return said('told');
  },
});

const handshake = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  },
};

function messagesOf({ headers, body }: Got): unknown[] {
  if (!String(headers['content-type']).startsWith('text/event-stream')) return [JSON.parse(body)];
  const parser = new SseParser();
  return parser.push(body).flatMap(({ message }) => message ?? []);
}

describe.each(ADAPTERS)(`%s${lacks}`, (_name, open) => {
  test.skipIf(lacks !== '')('serves sessions, streams, 2026-07-28 and refusals', async () => {
    const log = createLog();
    const endpoint = createMcpEndpoint(server, { logger: log, allowedHosts: ['localhost'] });
    onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
    const send = open(endpoint);
    const post = (body: unknown, headers: object = {}) =>
      send({
        method: 'POST',
        headers: {
          Host: 'localhost',
          'Content-Type': 'application/json',
          Accept: 'application/json, text/event-stream',
          ...headers,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
    const opened = await post(handshake);
    expect([opened.status, messagesOf(opened)]).toMatchObject([200, [{ id: 0, result: {} }]]);
    const session = {
      'Mcp-Session-Id': String(opened.headers['mcp-session-id']),
      'MCP-Protocol-Version': '2025-11-25',
    };
    expect(
      (await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, session)).status,
    ).toBe(202);
    expect(messagesOf(await post(toolCall(1, 'add', { a: 2, b: 3 }), session))).toMatchObject([
      { id: 1, result: said('5') },
    ]);
    expect(messagesOf(await post(toolCall(2, 'long'), session))).toMatchObject([
      { id: 2, result: said(TEXT) },
    ]);
    expect(messagesOf(await post(toolCall(3, 'tell'), session))).toMatchObject([
      { method: 'notifications/message', params: { data: TEXT } },
      { id: 3, result: said('told') },
    ]);
    const call = toolCall(4, 'add', { a: 1, b: 1 });
    const modern = { ...call, params: { ...call.params, _meta: envelope() } };
    expect(messagesOf(await post(modern, mirrored(call.method, call.params)))).toMatchObject([
      { id: 4, result: said('2') },
    ]);
    const [broken, unknown] = [
      await post('{', session),
      await post(call, { ...session, 'Mcp-Session-Id': 'unknown' }),
    ];
    expect([broken.status, messagesOf(broken)]).toMatchObject([400, [{ error: { code: -32700 } }]]);
    expect([unknown.status, messagesOf(unknown)]).toMatchObject([404, [{ error: {} }]]);
    expect((await post(call, { ...session, Host: 'evil.example' })).status).toBe(403);
    expect(
      (await send({ method: 'DELETE', headers: { Host: 'localhost', ...session }, body: '' }))
        .status,
    ).toBe(200);
    expect(log.matching(/could not be served/)).toEqual([]);
  });
});
