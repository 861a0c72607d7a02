/**
 * The endpoint in processes whose servers come from another copy of the SDK: CommonJS by `require`, `sojourn serve` on
 * a CommonJS module, and a second copy on the disk. They serve 2026-07-28 as usual.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callModern, MODERN, mirrored, envelope } from '../../kit/modern.ts';
import { connectNegotiating } from '../../clients/official.ts';
import { startNode } from '../../kit/child-process.ts';
import { openClient } from '../../kit/listening.ts';

/** The level `info` in a line of JSON. */
const INFO = 30;

const root = resolve(import.meta.dirname, '../../..');
const project = mkdtempSync(join(tmpdir(), 'sojourn-commonjs-'));

const SERVER = `
module.exports = (ctx) => {
  const server = new McpServer({ name: 'other-copy', version: '1' }, { ...ctx.serverOptions });
  server.registerTool('era', {}, () => ({ content: [{ type: 'text', text: ctx.era }] }));
  server.registerTool('admin', { scopeChallenge: () => ({ scopes: ['admin'] }) }, () => ({ content: [{ type: 'text', text: 'secret' }] }));
  return server;
};
`;
const LISTEN = `
const endpoint = createMcpEndpoint(factory, { allowedHosts: ['127.0.0.1'] });
endpoint.listen({ port: 0 }).then(({ url }) => {
  console.log('endpoint ' + url);
  setInterval(() => endpoint.notify.toolsChanged(), 50);
});
`;

beforeAll(() => {
  const modules = join(project, 'node_modules');
  mkdirSync(join(modules, '@modelcontextprotocol'), { recursive: true });
  const copied = join('@modelcontextprotocol', 'server');
  cpSync(join(root, 'node_modules', copied), join(modules, copied), {
    recursive: true,
    dereference: true,
  });
  for (const name of ['zod', '@modelcontextprotocol/core', '@modelcontextprotocol/sdk']) {
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  symlinkSync(root, join(modules, 'sojourn'));
  writeFileSync(join(project, 'package.json'), '{ "name": "app", "version": "1.0.0" }');
  const imported = "const { McpServer } = require('@modelcontextprotocol/server');";
  writeFileSync(join(project, 'server.cjs'), imported + SERVER);
  writeFileSync(
    join(project, 'app.js'),
    `const { createMcpEndpoint } = require('sojourn'); const factory = require('./server.cjs'); ${LISTEN}`,
  );
  writeFileSync(
    join(project, 'copy.mjs'),
    `import { McpServer } from '@modelcontextprotocol/server'; import { createMcpEndpoint } from 'sojourn';
     const module = {}; ${SERVER} const factory = module.exports; ${LISTEN}`,
  );
  writeFileSync(
    join(project, 'old.cjs'),
    `const { McpServer } = require('@modelcontextprotocol/sdk/server/mcp.js');
     module.exports = () => new McpServer({ name: 'old', version: '1' });`,
  );
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

async function start(args: string[]) {
  const { output, says } = startNode(args, { cwd: project });
  return { url: await says(/endpoint +(http\S+)/), output };
}

const serve = (module: string): string[] => [
  join(root, 'dist/cli/main.js'),
  'serve',
  module,
  '--port',
  '0',
];

describe.each([
  ['require() in a CommonJS app', ['app.js'], true],
  ['sojourn serve on a CommonJS module', serve('server.cjs'), false],
  ['another copy of the SDK as ES module', ['copy.mjs'], true],
] as const)('%s', (_, args, notifies) => {
  test('serves 2026-07-28: discovery, list, call, scopes, listen and notify', async () => {
    const { url, output } = await start([...args]);
    const { client, say } = await connectNegotiating(url);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['era', 'admin']);
    expect(await say('era')).toBe('modern');
    const raw = openClient(url);
    expect((await callModern(raw, 'server/discover')).message).toMatchObject({
      result: { supportedVersions: expect.arrayContaining([MODERN]) as unknown },
    });
    const params = { name: 'admin', arguments: {}, _meta: envelope() };
    const refused = await raw.post(
      { jsonrpc: '2.0', id: 9, method: 'tools/call', params },
      { headers: mirrored('tools/call', params) },
    );
    expect(refused.status).toBe(403);
    expect(refused.body).not.toContain('secret');
    if (notifies) {
      const stream = await raw.post(
        {
          jsonrpc: '2.0',
          id: 10,
          method: 'subscriptions/listen',
          params: { notifications: { toolsListChanged: true }, _meta: envelope() },
        },
        { headers: mirrored('subscriptions/listen') },
      );
      expect(stream.status).toBe(200);
      await stream.nextMessage((message) =>
        JSON.stringify(message).includes('notifications/tools/list_changed'),
      );
      stream.abort();
    }
    // A session of 2025-11-25 beside it.
    const { response } = await raw.initialize();
    expect(response.status).toBe(200);
    expect(output.stderr).not.toContain('cannot serve');
  });
});

test('a server of SDK version 1 serves sessions, and the log has no word about another version', async () => {
  const { url, output } = await start(serve('old.cjs'));
  for (let n = 0; n < 2; n++) {
    const raw = openClient(url);
    expect((await callModern(raw, 'tools/list')).message).toMatchObject({
      error: { code: -32022 },
    });
    expect((await raw.initialize()).response.status).toBe(200);
  }
  const lines = output.stderr.trim().split('\n');
  const levels = lines.map((line) => (JSON.parse(line) as { readonly level: number }).level);
  expect(Math.max(...levels), output.stderr).toBe(INFO);
});
