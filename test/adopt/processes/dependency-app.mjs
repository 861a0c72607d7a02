/**
 * `node dependency-app.mjs KIND STORE URL`: an author's app, copied into its folder. KIND is the SDK that the app has:
 * `v1`, `v1 low` before 1.1, or `v2`. STORE is `memory`, a store, or `jwt` with URL for the issuer. Prints the URL of
 * the endpoint, or why it was refused, as JSON.
 */
import { createMcpEndpoint } from 'sojourn';

const [kind, storeName, at] = process.argv.slice(2);
const say = () => ({ content: [{ type: 'text', text: 'served' }] });
const info = { name: 'app', version: '1.0.0' };

async function factoryOf() {
  if (kind === 'v2') {
    const { McpServer } = await import('@modelcontextprotocol/server');
    return ({ serverOptions }) => {
      const server = new McpServer(info, serverOptions);
      server.registerTool('hello', {}, say);
      return server;
    };
  }
  if (kind === 'v1') {
    const { McpServer } = await import('@modelcontextprotocol/sdk/server/mcp.js');
    return () => {
      const server = new McpServer(info);
      server.tool('hello', say);
      return server;
    };
  }
  const { Server } = await import('@modelcontextprotocol/sdk/server/index.js');
  const types = await import('@modelcontextprotocol/sdk/types.js');
  return () => {
    const server = new Server(info, { capabilities: { tools: {} } });
    const tools = [{ name: 'hello', inputSchema: { type: 'object' } }];
    server.setRequestHandler(types.ListToolsRequestSchema, () => ({ tools }));
    server.setRequestHandler(types.CallToolRequestSchema, say);
    return server;
  };
}

async function storeOf() {
  const { [storeName]: open } = await import(storeName === 'memory' ? 'sojourn/memory' : `sojourn-${storeName}`);
  return open(at);
}

const logger = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
const factory = await factoryOf();
try {
  const options =
    storeName === 'jwt'
      ? { auth: { jwt: { issuer: at, audience: 'https://mcp.example/mcp' } } }
      : storeName === 'given'
        ? { store: await givenClient() }
        : { store: await storeOf() };
  const { url } = await createMcpEndpoint(factory, { logger, ...options }).listen({ port: 0 });
  console.log(JSON.stringify({ url }));
} catch (error) {
  console.log(JSON.stringify({ refused: `${error.code}: ${error.message}` }));
  process.exit(1);
}

async function givenClient() {
  const { createClient } = await import('redis');
  const { redis } = await import('sojourn-redis');
  return redis(createClient({ url: at }));
}
