/** What one connection brings in one turn of the event loop: no other client is served in it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';
import { CallerChecks } from '../../src/endpoint/caller-checks.ts';
import { chunked } from '../kit/chunked.ts';
import { serverOf } from '../kit/making-servers.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

const FACES: ReadonlyArray<[string, (endpoint: McpEndpoint) => Handler]> = [
  ['node', (endpoint) => endpoint.node],
  ['fetch', (endpoint) => getRequestListener((request) => endpoint.fetch(request))],
];

/** The connection of one client. */
async function connected(handler: Handler): Promise<{ send(text: string): void; statuses(): number[] }> {
  const server = createServer((req, res) => void handler(req, res));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  onTestFinished(() => void socket.destroy());
  let read = '';
  socket.setEncoding('latin1').on('data', (text: string) => (read += text));
  return {
    send: (text) => void socket.write(text),
    statuses: () => [...read.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)),
  };
}

const NOTIFICATION = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/unknown' });
const HEAD = [
  'POST /mcp HTTP/1.1',
  'Host: localhost',
  'Content-Type: application/json',
  'Accept: application/json, text/event-stream',
  'MCP-Protocol-Version: 2025-06-18',
].join('\r\n');

describe.each(FACES)('on the %s face', (_, faceOf) => {
  test('only the first of many requests of one read is looked at in the turn of that read', async () => {
    let turn = 0;
    const next = (): void => {
      turn += 1;
      timer = setImmediate(next);
    };
    let timer = setImmediate(next);
    onTestFinished(() => clearImmediate(timer));
    const cameIn: number[] = [];
    const begunIn: number[] = [];
    const { enter } = CallerChecks.prototype;
    const spy = vi.spyOn(CallerChecks.prototype, 'enter').mockImplementation(function (this: CallerChecks, ...given) {
      begunIn.push(turn);
      return enter.apply(this, given);
    });
    onTestFinished(() => spy.mockRestore());
    const endpoint = createMcpEndpoint(serverOf(toolServer({})));
    onTestFinished(() => endpoint.close());
    const handler = faceOf(endpoint);
    const client = await connected((req, res) => {
      cameIn.push(turn);
      return handler(req, res);
    });
    const one = `${HEAD}\r\nMcp-Session-Id: none\r\nContent-Length: ${NOTIFICATION.length}\r\n\r\n${NOTIFICATION}`;
    client.send(one.repeat(8));
    await until(() => client.statuses().length === 8);
    expect(new Set(cameIn).size).toBe(1);
    expect(begunIn).toHaveLength(8);
    expect(begunIn.filter((at) => at === cameIn[0])).toHaveLength(1);
  });

  test('a body in short chunks is read in turns, also where its request is answered without it', async () => {
    const endpoint = createMcpEndpoint(serverOf(toolServer({})), { legacySse: true });
    onTestFinished(() => endpoint.close());
    const client = await connected(faceOf(endpoint));
    const pause = vi.spyOn(Socket.prototype, 'pause');
    onTestFinished(() => pause.mockRestore());
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { text: 'x'.repeat(200_000) } });
    // It is answered for its path alone.
    const unread = HEAD.replace('/mcp', '/message');
    client.send(`${unread}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(body, 1)}`);
    // The adapter cuts a connection whose body takes longer than half a second.
    await until(() => pause.mock.calls.length > 3);
    await until(() => client.statuses().length === 1);
    expect(client.statuses()).toEqual([400]);
  });

  test('short chunks are one body in their order, however long', async () => {
    const endpoint = createMcpEndpoint(serverOf(toolServer({})));
    onTestFinished(() => endpoint.close());
    const client = await connected(faceOf(endpoint));
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'x'.repeat(9_000), version: '1' },
    };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    for (const size of [1, 2, 3]) client.send(`${HEAD}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(body, size)}`);
    await until(() => client.statuses().length === 3);
    expect(client.statuses()).toEqual([200, 200, 200]);
  });
});
