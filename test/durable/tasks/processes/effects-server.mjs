/**
 * An instance with tools of `once()` and tools whose calls become tasks. Each run and each step appends a line to the
 * effects file when it begins and when it takes effect, and a step once it is recorded, in one write: the file outlives
 * a killed process.
 *
 *     node effects-server.mjs <kind> <target> <effects>
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint, once, RUNS_ONCE, task } from '../../../../dist/index.js';

const [kind, target, effects] = process.argv.slice(2);
/** Short: the others wait for the lease of a process that was killed. */
const leaseMs = 1_000;
const file = openSync(effects, 'a');
const note = (line) => writeSync(file, `${JSON.stringify({ by: process.pid, ...line })}\n`);
const pause = (ms) => new Promise((over) => setTimeout(over, ms));
const said = (text) => ({ content: [{ type: 'text', text }] });
const question = { message: 'Publish?', requestedSchema: { type: 'object', properties: {} } };

const tookEffect = (tool, key) =>
  readFileSync(effects, 'utf8')
    .split('\n')
    .some((line) => line !== '' && JSON.parse(line).effect === `${tool} ${key}`);

function onceTool(server, name, afterCrash) {
  const run = async ({ key, ms }) => {
    note({ begin: `${name} ${key}` });
    await pause(ms);
    note({ effect: `${name} ${key}` });
    return said(`${name} ${key}`);
  };
  const options = { key: ({ key }) => key, anonymous: 'shared', ...(afterCrash && { afterCrash }) };
  server.registerTool(
    name,
    { inputSchema: z.object({ key: z.string(), ms: z.number() }), _meta: RUNS_ONCE },
    once(run, options),
  );
}

async function film({ name, ms }, _ctx, own) {
  const step = async (of) => {
    await own.step(of, async () => {
      note({ begin: `${of} ${name}` });
      await pause(ms);
      note({ effect: `${of} ${name}` });
    });
    note({ recorded: `${of} ${name}` });
  };
  await step('frames');
  if (name.includes('ask'))
    await Promise.all([own.elicit('one', question), own.elicit('two', question)]);
  await step('film');
  return said(name);
}

const { [kind]: open } = await import(
  kind === 'sqlite' ? '../../../../dist/stores/sqlite/index.js' : `sojourn-${kind}`
);
const endpoint = createMcpEndpoint(
  ({ serverOptions }) => {
    const server = new McpServer({ name: 'effects', version: '1' }, { ...serverOptions });
    onceTool(server, 'pay');
    onceTool(server, 'again', 'run');
    onceTool(server, 'ask', ({ key }) => (tookEffect('ask', key) ? said(`ask ${key}`) : 'run'));
    const inputSchema = z.object({ name: z.string(), ms: z.number() });
    server.registerTool('film', { inputSchema }, task(film, { afterCrash: 'run' }));
    server.registerTool(
      'hinted',
      { inputSchema, annotations: { idempotentHint: true } },
      task(film),
    );
    server.registerTool('plain', { inputSchema }, task(film));
    return server;
  },
  { store: open(target), logger: false, leaseMs, tasks: true },
);
console.log(`url ${(await endpoint.listen({ port: 0 })).url}`);
