/**
 * An instance with tools of `once()`. Each run appends a line to the effects file when it begins and when it takes
 * effect, in one write: the file outlives a process that is killed. `KILL_AT` names a point at which the process
 * kills itself, once for the key `die`.
 *
 *     node pay-server.mjs <kind> <target> <effects>
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint } from '../../../dist/index.js';
import { once, RUNS_ONCE } from '../../../dist/once/index.js';
import { withWatchedRecords } from '../../kit/watched-records.mjs';

const [kind, target, effects] = process.argv.slice(2);
const { KILL_AT, SOJOURN_NAME = 'once' } = process.env;
const file = openSync(effects, 'a');
const note = (line) => writeSync(file, `${JSON.stringify({ by: process.pid, ...line })}\n`);
const die = () => process.kill(process.pid, 'SIGKILL');
const at = (point) => {
  if (KILL_AT === point) die();
};
const pause = (ms) => new Promise((over) => setTimeout(over, ms));

const { [kind]: open } = await import(kind === 'sqlite' ? '../../../dist/stores/sqlite/index.js' : `sojourn-${kind}`);
const store = withWatchedRecords(open(target), 'once', {
  async before(name) {
    if (name === 'create') at('before the marker');
    if (name === 'end' && KILL_AT === 'after the answer, before the end') {
      await pause(200);
      die();
    }
  },
  async after(name) {
    if (name === 'create') at('after the marker');
  },
});

const inputSchema = z.object({ key: z.string(), ms: z.number().default(0) });
const said = (text) => ({ content: [{ type: 'text', text }] });
const tookEffect = (tool, key) =>
  readFileSync(effects, 'utf8')
    .split('\n')
    .some((line) => line !== '' && JSON.parse(line).effect === `${tool} ${key}`);

function tool(server, name, afterCrash) {
  const run = async ({ key, ms }) => {
    note({ begin: `${name} ${key}` });
    at('in the handler');
    await pause(ms);
    note({ effect: `${name} ${key}` });
    at('after its effect');
    return said(`${name} ${key}`);
  };
  const options = { key: ({ key }) => key, anonymous: 'shared', ...(afterCrash && { afterCrash }) };
  server.registerTool(name, { inputSchema, _meta: RUNS_ONCE }, once(run, options));
}

const endpoint = createMcpEndpoint(
  ({ serverOptions }) => {
    const server = new McpServer({ name: 'pay', version: '1' }, { ...serverOptions });
    tool(server, 'pay');
    tool(server, 'again', 'run');
    tool(server, 'ask', ({ key }) => (tookEffect('ask', key) ? said(`ask ${key}`) : 'run'));
    return server;
  },
  { store, name: SOJOURN_NAME, logger: false, leaseMs: 1_000 },
);
console.log(`url ${(await endpoint.listen({ port: 0 })).url}`);
