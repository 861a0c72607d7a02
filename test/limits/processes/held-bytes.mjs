/**
 * Prints what one session takes in the heap, in bytes. Standard input: what each session does, as JSON; `#` is the
 * number of the session. Run it with `--expose-gc`.
 */
import { text } from 'node:stream/consumers';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint, currentSession } from '../../../dist/index.js';

const SESSIONS = 60;
const WARM = 10;

const used = async () => {
  for (let n = 0; n < 3; n++) {
    globalThis.gc();
    await new Promise((next) => setTimeout(next, 10));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

const { params, state, uris } = JSON.parse(await text(process.stdin));

const endpoint = createMcpEndpoint(
  () => {
    const server = new McpServer({ name: 'held', version: '1' }, { capabilities: { resources: { subscribe: true } } });
    server.registerTool('keep', {}, async () => {
      for (const [key, value] of JSON.parse(globalThis.values)) await currentSession().state.set(key, value);
      return { content: [] };
    });
    server.server.setRequestHandler('resources/subscribe', () => ({}));
    return server;
  },
  { logger: false, limits: { memoryBytes: Infinity, stateBytes: 2 ** 20, userShare: 1 } },
);

let id = 0;
async function post(method, given, session) {
  const response = await endpoint.fetch(
    new Request('http://localhost/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(session !== undefined && { 'mcp-session-id': session }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params: given }),
    }),
  );
  const body = await response.text();
  if (response.status !== 200 || body.includes('"error"')) throw new Error(`${response.status} ${body.slice(0, 300)}`);
  return response.headers.get('mcp-session-id');
}

const numbered = (value, n) => JSON.parse(JSON.stringify(value).replaceAll('#', String(n).padStart(4, '0')));

async function open(n) {
  const session = await post('initialize', numbered(params, n));
  if (state !== undefined) {
    globalThis.values = JSON.stringify(numbered(state, n));
    await post('tools/call', { name: 'keep', arguments: {} }, session);
    globalThis.values = undefined;
  }
  for (const uri of uris ?? []) await post('resources/subscribe', numbered({ uri }, n), session);
}

for (let n = 0; n < WARM; n++) await open(n);
const before = await used();
for (let n = WARM; n < WARM + SESSIONS; n++) await open(n);
console.log((await used()) - before);
console.error(SESSIONS);
process.exit(0);
