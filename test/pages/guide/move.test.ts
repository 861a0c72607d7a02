/** The page on moving, carried out: on the example of SDK 1 as its package has it, and on servers of the others. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { connectNegotiating, connectV2 } from '../../clients/official.ts';
import { startNode } from '../../kit/child-process.ts';
import { movedApp, MOVING_PAGE } from '../../kit/moved-app.ts';
import { blocksOf } from '../../kit/pages.ts';
import { projectFolder } from '../../kit/project-folder.ts';
import { freePort } from '../../kit/servers/index.ts';
import { until } from '../../kit/until.ts';

const root = resolve(import.meta.dirname, '../../..');

/** The app of a folder, once it listens. */
async function startApp(folder: string, port: number, ...flags: string[]) {
  const env = { ...process.env, MCP_PORT: `${port}`, MCP_AUTH_PORT: `${await freePort()}` };
  const app = startNode(['server.js', ...flags], { cwd: folder, env });
  await app.says(/listening on port/);
  return app;
}

test('the example of SDK 1 runs with the lines of the page, and its sessions survive a restart; its readiness check answers', async () => {
  const { text, gone, all } = movedApp();
  expect(readFileSync(join(root, MOVING_PAGE), 'utf8').replaceAll(/\s+/g, ' ')).toContain(
    `you delete ${gone} of its ${all} lines`,
  );
  const folder = projectFolder({ 'server.js': text });
  const port = await freePort();
  const first = await startApp(folder, port);
  await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200);
  const client = await connectV2(`http://127.0.0.1:${port}/mcp`);
  const session = client.sessionId;
  expect(await client.say('greet', { name: 'Ada' })).toBe('Hello, Ada!');
  expect(await first.stop()).toBe(0);
  const second = await startApp(folder, port);
  expect(await client.say('greet', { name: 'Bob' })).toBe('Hello, Bob!');
  expect(client.sessionId).toBe(session);
  await client.client.close();
  expect(await second.stop()).toBe(0);
  expect(await (await startApp(folder, port, '--oauth')).stop('SIGINT')).toBe(0);
});

test('a map of transports of SDK 2 is served with the same lines, in a session and without one', async () => {
  const [lines] = blocksOf(MOVING_PAGE, 'A map of transports');
  const app = `import express from 'express';
    ${MAKE}
    const getServer = makeServer;
    const [app, MCP_PORT, authMiddleware] = [express(), Number(process.env.MCP_PORT), undefined];`;
  const folder = projectFolder({ 'server.js': `${app}\n${lines?.text}` });
  const port = await freePort();
  await startApp(folder, port);
  for (const [connect, version] of [
    [connectV2, '2025-11-25'],
    [connectNegotiating, '2026-07-28'],
  ] as const) {
    const { say, protocolVersion } = await connect(`http://127.0.0.1:${port}/mcp`);
    expect([protocolVersion(), await say('greet')]).toEqual([version, 'Hello!']);
  }
});

/** Calls both servers through `fetch`, as each kind of client. Prints what the tool answered, and the session. */
const CALLER = `
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { handler } from './handler.js';
import { GET, POST } from './app/api/mcp/route.js';
import { agent } from './agent.js';
const fetches = { handler: handler.fetch, agent: agent.fetch, route: (request) => (request.method === 'GET' ? GET : POST)(request) };
for (const [name, fetch] of Object.entries(fetches))
  // A server of SDK 1, as McpAgent takes it, serves sessions alone.
  for (const mode of name === 'agent' ? ['legacy'] : ['legacy', { pin: '2026-07-28' }]) {
    const client = new Client({ name: 'moved', version: '1' }, { versionNegotiation: { mode } });
    const url = new URL('http://localhost/api/mcp');
    const transport = new StreamableHTTPClientTransport(url, { fetch: (to, init) => fetch(new Request(to, init)) });
    await client.connect(transport);
    const { content } = await client.callTool({ name: 'greet' });
    console.log(name, content[0].text, transport.sessionId === undefined ? 'without a session' : 'in a session');
    await client.close();
  }
process.exit();
`;
const MAKE = `import { McpServer } from '@modelcontextprotocol/server';
const makeServer = ({ serverOptions }) => {
  const server = new McpServer({ name: 'greeter', version: '1.0.0' }, serverOptions);
  server.registerTool('greet', {}, () => ({ content: [{ type: 'text', text: 'Hello!' }] }));
  return server;
};
`;

test('what createMcpHandler, mcp-handler and McpAgent served is served with the lines of the page', async () => {
  const [handler] = blocksOf(MOVING_PAGE, '`createMcpHandler`');
  const [route] = blocksOf(MOVING_PAGE, 'mcp-handler');
  const [agent] = blocksOf(MOVING_PAGE, "Cloudflare's `McpAgent`");
  const folder = projectFolder({
    'handler.js': `${MAKE}${handler?.text}`,
    'app/api/mcp/route.js': String(route?.text),
    'agent.js': String(agent?.text),
    'caller.js': CALLER,
  });
  const { stdout } = await promisify(execFile)(process.execPath, ['caller.js'], { cwd: folder });
  expect(stdout.trim().split('\n')).toEqual([
    'handler Hello! in a session',
    'handler Hello! without a session',
    'agent Hello 1! in a session',
    'route Hello! in a session',
    'route Hello! without a session',
  ]);
});
