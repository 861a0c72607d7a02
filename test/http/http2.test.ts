/** Both faces under `node:http2`, whose requests have `:authority` in place of `Host`. */
import { once } from 'node:events';
import {
  type ClientHttp2Stream,
  connect,
  createServer,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { getRequestListener } from '@hono/node-server';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { createLab, tool } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { mirrored, envelope } from '../kit/modern.ts';
import { bothFaces } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly stream: ClientHttp2Stream;
}

/** A server, and what sends it a request on one connection. */
async function serve(face: 'node' | 'fetch', limits = {}) {
  const options = { logger: createLog(), retryMs: 1_000, allowedHosts: ['127.0.0.1'], limits };
  const lab = createLab((server) =>
    server.registerTool('long', {}, () => said('x'.repeat(1_000_000))),
  );
  const endpoint = createMcpEndpoint(lab.factory, options);
  const dashboard = endpoint.dashboard({ token: 'x'.repeat(16) });
  const onFetch = getRequestListener((request, { incoming }) =>
    incoming.url === '/api/fleet'
      ? dashboard.fetch(request)
      : endpoint.fetch(request, { incoming }),
  );
  const server = createServer((req, res) => {
    if (face === 'fetch') return void onFetch(req, res);
    const { node } = req.url === '/api/fleet' ? dashboard : endpoint;
    node(req as unknown as IncomingMessage, res as unknown as ServerResponse);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(async () => {
    session.destroy();
    server.close();
    await endpoint.close({ timeoutMs: 0 });
  });
  const send = async (headers: Record<string, string>, message?: object): Promise<Answer> => {
    const stream = session.request({
      ':method': message === undefined ? 'GET' : 'POST',
      ':path': '/mcp',
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...headers,
    });
    stream.end(message && JSON.stringify({ jsonrpc: '2.0', ...message }));
    const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    return { headers: head, stream };
  };
  return { endpoint, server, send };
}

const clientInfo = { name: 'h2', version: '1' };
const handshake = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };

test.each(bothFaces)(
  'the %s face serves both eras, and a GET stream ends when the endpoint drains',
  async (face) => {
    const { endpoint, server, send } = await serve(face);
    expect((await send({ ':path': '/api/fleet' })).headers[':status']).toBe(401);
    for (const host of [
      { ':authority': 'evil.example' },
      { ':authority': '127.0.0.1', host: 'evil.example' },
    ])
      expect(
        (await send(host as Record<string, string>, { id: 1, method: 'ping' })).headers[':status'],
      ).not.toBe(200);
    const fleet = await send({ ':path': '/api/fleet', authorization: `Bearer ${'x'.repeat(16)}` });
    expect(await text(fleet.stream)).toContain('"host":"evil.example"');
    const opened = await send({}, { id: 1, method: 'initialize', params: handshake });
    expect(opened.headers[':status']).toBe(200);
    expect(await text(opened.stream)).toContain('"serverInfo"');
    const session = {
      'mcp-session-id': String(opened.headers['mcp-session-id']),
      'mcp-protocol-version': '2025-11-25',
    };
    const [method, params] = tool('echo', { text: 'over h2' });
    expect(await text((await send(session, { id: 2, method, params })).stream)).toContain(
      'over h2',
    );
    const modern = { id: 3, method, params: { ...params, _meta: envelope() } };
    expect(
      await text((await send(mirrored(method, params) as Record<string, string>, modern)).stream),
    ).toContain('over h2');
    const { stream } = await send(session);
    await endpoint.drain();
    server.close();
    expect(await text(stream)).toMatch(/retry: 1000\ndata: \n\n$/);
  },
);

test.each(bothFaces)(
  'an answer that the %s face cuts is an error for its client, and no line of an adapter or of Node',
  async (face) => {
    const { send } = await serve(face, { memoryBytes: 500_000, bodyBytes: 2_000 });
    const lines = vi.spyOn(console, 'error').mockReturnValue();
    process.on('warning', lines);
    onTestFinished(() => void process.off('warning', lines));
    const large = { id: 1, method: 'ping', params: { pad: 'x'.repeat(2_000) } };
    expect((await send({}, large)).headers[':status']).toBe(413);
    const [method, params] = tool('long');
    const headers = mirrored(method, params) as Record<string, string>;
    const sent = send(headers, { id: 1, method, params: { ...params, _meta: envelope() } });
    await expect(sent.then(({ stream }) => text(stream))).rejects.toMatchObject({
      code: 'ERR_HTTP2_STREAM_ERROR',
    });
    expect(lines).not.toHaveBeenCalled();
  },
);
