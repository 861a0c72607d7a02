/**
 * The documented stop: `node stopping-server.mjs KIND TARGET`. Says `url …`; on SIGTERM it drains and closes, and says
 * `closed`. A session's clean-up says `cleaned …`. Nothing in this file keeps the process alive.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { McpServer } from '@modelcontextprotocol/server';

const dist = resolve(import.meta.dirname, '../../../dist');
const [kind, target] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(`${dist}/${file}`).href);
const { createMcpEndpoint } = await load('index.js');
const { [kind]: store } = await (['memory', 'sqlite'].includes(kind)
  ? load(`stores/${kind}/index.js`)
  : import(`sojourn-${kind}`));

const SLOW_MS = 400;
const CLEAN_UP_MS = 50;
const later = (ms) => new Promise((done) => setTimeout(done, ms).unref());
const say = (line) => process.stdout.write(`${line}\n`);

const endpoint = createMcpEndpoint(
  () => {
    const server = new McpServer({ name: 'stopping', version: '1.0.0' });
    server.registerTool('slow', {}, async () => {
      say('running');
      await later(SLOW_MS);
      return { content: [{ type: 'text', text: 'done' }] };
    });
    return server;
  },
  {
    store: kind === 'memory' ? store() : store(target),
    name: `stop-${process.pid}`,
    // Lines of `info` are expected, and others are not.
    logger: { ...console, debug() {}, info() {} },
    async runSessionHandler(_request, _session, run) {
      const reason = await run();
      await later(CLEAN_UP_MS);
      say(`cleaned ${reason}`);
    },
  },
);
const server = await endpoint.listen({ port: 0 });
async function stop() {
  const { released, interrupted } = await endpoint.drain({ stopListening: true });
  say(`drained ${released} ${interrupted}`);
  await endpoint.close();
  say('closed');
}
process.once('SIGTERM', () => void stop());
say(`url ${server.url}`);
