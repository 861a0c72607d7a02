/** On which paths an endpoint answers. Routers of frameworks: `test/pages/examples/mounting.test.ts`. */
import { describe, expect, test } from 'vitest';
import { createEchoServer } from '../kit/echo-server.ts';
import { textOf, tool } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { faces, serve } from '../kit/serve.ts';

/** A whole session at `url`: it opens, calls, listens and ends. */
async function expectSession(url: string): Promise<void> {
  const client = openClient(url);
  await client.initialize();
  const { message } = await client.call(...tool('echo', { text: url }));
  expect(textOf(message)).toBe(url);
  const get = await client.get();
  expect(get.status).toBe(200);
  expect((await client.delete()).status).toBe(200);
  await get.untilEnd();
}

describe('B30 listen() serves', () => {
  test.each([
    ['/mcp', '/mcp'],
    ['/mcp', '/mcp/'],
    ['/mcp/', '/mcp'],
    ['/mcp/', '/mcp/'],
    ['/', '/'],
    ['/a/b/c', '/a/b/c'],
    ['/a/b/c/', '/a/b/c'],
    ['/mcp', '/mcp?tenant=1'],
    ['/mcp', '/mcp/?tenant=1'],
    ['/a/../ü', '/%C3%BC'],
  ])('B30 the path %s, asked for as %s', async (path, asked) => {
    const { port } = await serve(createEchoServer, {}, { path });
    await expectSession(`http://127.0.0.1:${port}${asked}`);
  });

  test('B30 its path and no other', async () => {
    const { port, client } = await serve(createEchoServer, {}, { path: '/a/mcp' });
    for (const path of ['/', '/a', '/mcp', '/a/mcp/b', '/a/mcpx', '/A/mcp']) {
      const response = await client().post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { path });
      expect(response.status).toBe(404);
      expect(response.body).toBe('Not found. The MCP endpoint is /a/mcp\n');
    }
    await expectSession(`http://127.0.0.1:${port}/a/mcp`);
  });
});

test.each(faces)('B30 the %s face answers on whatever path it is mounted', async (face) => {
  const { port } = await serve(createEchoServer, {}, { face });
  for (const path of ['/', '/mcp', '/mcp/', '/a/b/c', '/a%20b/mcp?x=1']) {
    await expectSession(`http://127.0.0.1:${port}${path}`);
  }
});
