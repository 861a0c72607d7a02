/** A session of 2025-11-25 and a call of 2026-07-28, on the package as this folder finds it. */
import assert from 'node:assert/strict';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint, memory } from 'sojourn';

const endpoint = createMcpEndpoint(
  (ctx) => {
    const made = new McpServer({ name: 'installed', version: '1.0.0' }, { ...ctx.serverOptions });
    made.registerTool('hello', {}, () => ({ content: [{ type: 'text', text: 'hello' }] }));
    return made;
  },
  // Its line about the client is expected, and warnings are not.
  { store: memory(), logger: { ...console, debug() {}, info() {} } },
);
const server = await endpoint.listen({ port: 0 });

const post = (body, headers = {}) =>
  fetch(server.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...body }),
  });

const clientInfo = { name: 'consumer', version: '1' };
const answer = await post({
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo },
});
const text = await answer.text();
assert.equal(answer.status, 200, text);
const data = text.split('\n').filter((line) => line.startsWith('data: {'));
const { result } = JSON.parse(data.at(-1)?.slice('data: '.length) ?? text);
assert.equal(result.serverInfo.name, 'installed');

const session = {
  'mcp-session-id': answer.headers.get('mcp-session-id'),
  'mcp-protocol-version': result.protocolVersion,
};
assert.equal((await post({ method: 'notifications/initialized' }, session)).status, 202);
const ping = await post({ id: 2, method: 'ping' }, session);
assert.match(await ping.text(), /"id":2/);
assert.equal(endpoint.sessions.liveCount, 1);

const _meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': clientInfo,
  'io.modelcontextprotocol/clientCapabilities': {},
};
const called = await post(
  { id: 3, method: 'tools/call', params: { name: 'hello', arguments: {}, _meta } },
  { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'hello' },
);
assert.match(await called.text(), /"text":"hello"/);

await server.close();
await endpoint.close({ timeoutMs: 0 });
console.log('ok');
