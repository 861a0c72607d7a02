/**
 * Clients that send a whole request and leave, and what an endpoint holds afterwards. Nothing public shows how much of
 * the memory budget is used, so `hasWholeBudget` sends a body that is as large as the budget without the live sessions.
 */
import { connect, type Socket } from 'node:net';
import { McpServer } from '@modelcontextprotocol/server';
import { expect } from 'vitest';
import { z } from 'zod';
import { bytesOfText } from '../../src/base/protocol/json-size.ts';
import type { McpEndpointContext } from '../../src/index.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { said } from '../kit/tool-server.ts';
import { turns, until } from '../kit/until.ts';
import { times } from './small-heap.ts';

/** A byte of a body counts as four. */
const WEIGHT = 4;
export const BUDGET = 2 * 1_048_576;
/** The part of it that the live sessions of a test may take. */
const SESSIONS_BYTES = 131_072;
/** How many calls of `work` may run at once. */
export const SLOTS = 16;
const CONNECTIONS = 12;

/** How a client leaves after its last byte. A reset in the same turn reaches the server together with the body. */
const LEAVES: ReadonlyArray<(socket: Socket) => void> = [
  (socket) => socket.resetAndDestroy(),
  (socket) => socket.destroy(),
  (socket) => setImmediate(() => socket.resetAndDestroy()),
  (socket) => setImmediate(() => setImmediate(() => socket.resetAndDestroy())),
  (socket) => setTimeout(() => socket.resetAndDestroy(), 1),
  (socket) => setTimeout(() => socket.destroy(), 4),
];

/** Sends `count` requests, and leaves each before its answer is read. */
export async function abortEach(
  port: number,
  count: number,
  bytesOf: (n: number) => string,
): Promise<void> {
  await times(
    count,
    CONNECTIONS,
    (n) =>
      new Promise<void>((left) => {
        const socket = connect(port, '127.0.0.1', () => {
          socket.write(bytesOf(n), () => LEAVES[n % LEAVES.length]?.(socket));
        });
        socket.on('error', () => {}).on('close', () => left());
      }),
  );
}

/** The bytes of a request. */
export function rawRequest(
  method: string,
  headers: Record<string, string>,
  message?: object,
): string {
  const body = message === undefined ? '' : JSON.stringify(message);
  const sent = {
    host: 'localhost',
    accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
    ...(message !== undefined && { 'content-type': 'application/json' }),
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(sent).map(([name, value]) => `${name}: ${value}`);
  return `${method} /mcp HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** The bytes of a request in JSON-RPC. */
export const rpcBytes = (headers: object, id: number, method: string, params: object): string =>
  rawRequest('POST', { ...headers }, { jsonrpc: '2.0', id, method, params });

/** The bytes of a call in 2026-07-28. */
export function modernBytes(headers: object, id: number, call: object): string {
  const params = { ...call, _meta: envelope() };
  return rpcBytes({ ...mirrored('tools/call', params), ...headers }, id, 'tools/call', params);
}

export const sessionHeaders = ({
  sessionId,
  protocolVersion,
}: RawClient): Record<string, string> => ({
  ...(sessionId !== undefined && { 'mcp-session-id': sessionId }),
  ...(protocolVersion !== undefined && { 'mcp-protocol-version': protocolVersion }),
});

/** A body that takes the budget of an endpoint with `limits.memoryBytes: BUDGET`, without what live sessions take. */
const whole = (() => {
  const withText = (x: string) =>
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { x } });
  const around = withText('');
  const left = BUDGET - SESSIONS_BYTES - bytesOfText(around, Infinity) - WEIGHT * around.length;
  return withText('x'.repeat(Math.floor(left / WEIGHT)));
})();

/** Whether a body as large as the budget has room. */
export async function hasWholeBudget(
  port: number,
  headers: Record<string, string>,
): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: whole,
  });
  const text = await response.text();
  if (!text.includes('over_memory')) return true;
  expect(response.status).toBe(503);
  return false;
}

/** Calls of the tool `work`. */
export interface Work {
  begun: number;
  over: number;
  /** Ends the calls that hang. */
  readonly hanging: Set<() => void>;
}

/**
 * A server with the tool `work`, which answers `how`: at once, in a later turn, or when its caller leaves. `later`: the
 * factory and the scope check take a turn too.
 */
export function workServer(later: { factory?: boolean; scopes?: boolean }) {
  const work: Work = { begun: 0, over: 0, hanging: new Set() };
  const make = (ctx: McpEndpointContext): McpServer => {
    const server = new McpServer({ name: 'work', version: '1' }, { ...ctx.serverOptions });
    server.registerTool(
      'work',
      {
        inputSchema: z.looseObject({ how: z.enum(['once', 'later', 'hang']) }),
        ...(later.scopes === true && { scopeChallenge: () => turns().then(() => undefined) }),
      },
      async ({ how, text = 'done' }, { mcpReq: { signal } }) => {
        work.begun += 1;
        if (how === 'later') await turns();
        if (how === 'hang') {
          await new Promise<void>((resolve) => {
            const end = (): void => {
              work.hanging.delete(end);
              resolve();
            };
            work.hanging.add(end);
            if (signal.aborted) end();
            signal.addEventListener('abort', end);
          });
        }
        work.over += 1;
        return said(text);
      },
    );
    return server;
  };
  const factory =
    later.factory === true
      ? async (ctx: McpEndpointContext) => {
          await turns();
          return make(ctx);
        }
      : make;
  return { work, factory };
}

/** No call runs any more, and nothing is charged to the budget of these endpoints. */
export async function expectEmptyBudget(
  ports: readonly number[],
  headers: Record<string, string>,
  work: Work,
): Promise<void> {
  await until(() => work.begun === work.over, { what: 'the end of every call', timeoutMs: 10_000 });
  for (const port of ports)
    await until(() => hasWholeBudget(port, headers), {
      what: 'a budget of which nothing is used',
      timeoutMs: 10_000,
    });
}
