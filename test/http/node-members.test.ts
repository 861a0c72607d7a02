/** A version of Node.js that moved a private member of connections: all is served, and one line names the member. */
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { chunked } from '../kit/chunked.ts';
import { createLog } from '../kit/log.ts';
import { serverOf } from '../kit/making-servers.ts';
import { without } from '../kit/moved-member.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

function hide(connection: Socket, member: string): Socket {
  const [first = '', second] = member.split('.');
  if (second === undefined) return without(connection, first);
  const { parser } = connection as Socket & { parser?: object };
  if (parser === undefined) return connection;
  const hidden = without(parser, second);
  return new Proxy(without(connection, 'no member'), {
    get: (around, name) => (name === first ? hidden : Reflect.get(around, name)),
  });
}

const INITIALIZE = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'test', version: '1' },
};

/** Requests behind each other on one connection, whose bodies come in chunks of 2 bytes. */
function pipelined(count: number): string {
  const head =
    'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n';
  return Array.from({ length: count }, (_, id) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'initialize', params: INITIALIZE });
    return `${head}Accept: application/json, text/event-stream\r\n\r\n${chunked(body, 2)}`;
  }).join('');
}

test.each(['', '_httpMessage', '_paused', 'parser.resume', 'parser.pause'])(
  'without "%s" of a connection',
  async (member) => {
    const log = createLog();
    const endpoint = createMcpEndpoint(serverOf(toolServer({})), { logger: log });
    onTestFinished(() => endpoint.close());
    const hidden = new WeakMap<Socket, Socket>();
    const server = createServer((req: IncomingMessage, res) => {
      const { socket } = req;
      const seen = hidden.get(socket) ?? (member === '' ? socket : hide(socket, member));
      hidden.set(socket, seen);
      Object.defineProperty(req, 'socket', { value: seen, configurable: true });
      endpoint.node(req, res);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
    onTestFinished(() => void client.destroy());
    let read = '';
    client.setEncoding('latin1').on('data', (text: string) => (read += text));
    client.write(pipelined(8));
    await until(() => read.split('HTTP/1.1 200').length > 8);
    const lines = log.matching(/This version of/);
    expect(lines.map(({ level, fields }) => [level, fields['member']])).toEqual(
      member === '' ? [] : [['warn', member]],
    );
    for (const { message } of lines) expect(message).toContain(`This version of Node.js has no ${member}: `);
  },
);
