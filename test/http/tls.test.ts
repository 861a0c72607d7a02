/**
 * Requests over TLS whose records come in one read of the connection. Node.js gives them to the parser one after the
 * other, also where the connection is paused.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';
import { newCertificate } from '../kit/certificate.ts';
import { serverOf } from '../kit/making-servers.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { listening } from '../kit/listening.ts';

/** A TLS client whose records go out together. */
async function tlsClient(port: number) {
  const tcp = connectTcp(port, '127.0.0.1').on('error', () => {});
  let held: Buffer[] | undefined;
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      if (held === undefined) tcp.write(chunk);
      else held.push(chunk);
      done();
    },
  });
  tcp.on('data', (chunk) => void wire.push(chunk)).on('end', () => void wire.push(null));
  const socket = connect({ socket: wire, rejectUnauthorized: false });
  onTestFinished(() => {
    socket.destroy();
    tcp.destroy();
  });
  let read = '';
  socket.setEncoding('latin1').on('data', (text: string) => (read += text));
  await new Promise<void>((resolve) => socket.once('secureConnect', resolve));
  return {
    async send(records: readonly string[]): Promise<void> {
      held = [];
      for (const record of records) await new Promise<void>((resolve) => void socket.write(record, () => resolve()));
      await until(() => (held?.length ?? 0) >= records.length);
      tcp.write(Buffer.concat(held));
      held = undefined;
    },
    statuses: () => [...read.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)),
  };
}

const HEAD = [
  'POST /mcp HTTP/1.1',
  'Host: localhost',
  'Content-Type: application/json',
  'Accept: application/json, text/event-stream',
].join('\r\n');
const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x'.repeat(2_000), version: '1' } },
});

describe.each<[string, (endpoint: McpEndpoint) => McpEndpoint['node']]>([
  ['node', (endpoint) => endpoint.node],
  ['fetch', (endpoint) => getRequestListener(endpoint.fetch)],
])('on the %s face over TLS', (_, faceOf) => {
  async function client() {
    const endpoint = createMcpEndpoint(serverOf(toolServer({})));
    const face = faceOf(endpoint);
    const { certificate, key } = newCertificate();
    const secrets = { cert: readFileSync(certificate), key: readFileSync(key) };
    const server = createServer(secrets, (req, res) => face(req, res));
    return tlsClient(Number(new URL(await listening(server, () => endpoint.close())).port));
  }

  test('a body in short chunks is answered', async () => {
    const sender = await client();
    const chunks = INITIALIZE.match(/.{1,600}/gs) ?? [];
    const records = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    await sender.send([`${HEAD}\r\nTransfer-Encoding: chunked\r\n\r\n`, ...records, '0\r\n\r\n']);
    await until(() => sender.statuses().length > 0);
    expect(sender.statuses()).toEqual([200]);
  });

  test('pipelined requests are answered', async () => {
    const sender = await client();
    const one = `${HEAD}\r\nContent-Length: ${INITIALIZE.length}\r\n\r\n${INITIALIZE}`;
    await sender.send([one, one, one, one]);
    await until(() => sender.statuses().length >= 4 || sender.statuses().includes(400));
    expect(sender.statuses()).toEqual([200, 200, 200, 200]);
  });
});
