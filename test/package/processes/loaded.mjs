// Writes the URL of every module loaded from here on, one per line. `import` imports the package; `serve` also makes it
// answer a first request of each era over HTTP.
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { request } from 'node:http';
import module, { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const hooks = './loaded-hooks.mjs';
// Node 26 warns about `register`, which Node 20 has alone.
if (module.registerHooks === undefined) module.register(hooks, import.meta.url);
else module.registerHooks(await import(hooks));
const [, , what] = process.argv;
await import('sojourn');
if (what === 'serve') await serve();

// Some modules loaded as CommonJS, such as native addons, bypass the hooks.
const required = Object.keys(createRequire(import.meta.url).cache);
writeSync(1, required.map((file) => `${pathToFileURL(file).href}\n`).join(''));

async function serve() {
  const { createMcpEndpoint } = await import('sojourn');
  const { McpServer } = await import('@modelcontextprotocol/server');
  const { memory } = await import('sojourn/memory');
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const server = new McpServer({ name: 'loaded', version: '1.0.0' }, { ...ctx.serverOptions });
      server.registerTool('hello', {}, () => ({ content: [{ type: 'text', text: 'hello' }] }));
      return server;
    },
    // Lines of `info` are expected, and others are not.
    { store: memory(), logger: { ...console, debug() {}, info() {} } },
  );
  const { url } = await endpoint.listen({ port: 0 });
  const clientInfo = { name: 'raw', version: '1.0.0' };
  await answered(url, {}, 'initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo });
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const mirrored = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'hello' };
  await answered(url, mirrored, 'tools/call', { name: 'hello', arguments: {}, _meta: meta });
  await endpoint.close();
}

async function answered(url, headers, method, params) {
  const sent = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers };
  const outgoing = request(url, { method: 'POST', headers: sent, agent: false });
  outgoing.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));
  const [incoming] = await once(outgoing, 'response');
  const text = (await incoming.setEncoding('utf8').toArray()).join('');
  if (incoming.statusCode !== 200 || !text.includes('"result"'))
    throw new Error(`${method} was answered with ${incoming.statusCode}: ${text}`);
}
