/**
 * An instance with tools whose calls become tasks. Each step appends a line to the effects file when it begins and once
 * it is recorded, in one write. The file outlives a killed process. `KILL_AT` names a point at which it kills itself,
 * in the first run of a task with the name `die`. `LEASE_MS`: of its lease.
 *
 *     node task-server.mjs <kind> <target> <effects>
 */
import { openSync, writeSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint } from '../../../dist/index.js';
import { task } from '../../../dist/tasks/index.js';
import { withWatchedRecords } from '../../kit/watched-records.mjs';

const [kind, target, effects] = process.argv.slice(2);
const { KILL_AT, SOJOURN_NAME = 'tasks', LEASE_MS } = process.env;
const file = openSync(effects, 'a');
const note = (line) => writeSync(file, `${JSON.stringify({ by: process.pid, ...line })}\n`);
const die = () => process.kill(process.pid, 'SIGKILL');
const pause = (ms) => new Promise((over) => setTimeout(over, ms));

const { [kind]: open } = await import(kind === 'sqlite' ? '../../../dist/stores/sqlite/index.js' : `sojourn-${kind}`);
const store = withWatchedRecords(open(target), 'tasks', {
  async before(name, [, , outcome]) {
    if (name !== 'end' || KILL_AT !== 'at the end') return;
    if (outcome.includes('"completed"') && outcome.includes('"die frames')) die();
  },
});

const inputSchema = z.object({ name: z.string(), ms: z.number().default(0) });
const said = (text) => ({ content: [{ type: 'text', text }] });
const question = { message: 'Publish?', requestedSchema: { type: 'object', properties: {} } };

async function film({ name, ms }, _ctx, own) {
  const at = (point) => {
    if (KILL_AT === point && name === 'die' && own.attempt === 1) die();
  };
  const step = async (of) => {
    const key = await own.step(of, async (key) => {
      note({ begin: `${of} ${name}` });
      at('in a step');
      await pause(ms);
      note({ effect: `${of} ${name}` });
      at('after its effect');
      return key;
    });
    note({ recorded: `${of} ${name}` });
    at('after its record');
    return key;
  };
  at('after the answer');
  const frames = await step('frames');
  const answers = name.includes('ask')
    ? await Promise.all([own.elicit('one', question), own.elicit('two', question)])
    : [];
  const whole = await step('film');
  return said(
    `${name} ${frames.split(':')[1]} ${whole.split(':')[1]} ${answers.map(({ action }) => action).join()} attempt ${own.attempt}`,
  );
}

const endpoint = createMcpEndpoint(
  ({ serverOptions }) => {
    const server = new McpServer({ name: 'films', version: '1' }, { ...serverOptions });
    server.registerTool('film', { inputSchema }, task(film, { resume: true }));
    server.registerTool('hinted', { inputSchema, annotations: { idempotentHint: true } }, task(film));
    server.registerTool('pay', { inputSchema }, task(film));
    return server;
  },
  { store, name: SOJOURN_NAME, logger: false, leaseMs: Number(LEASE_MS), tasks: true },
);
const { url } = await endpoint.listen({ port: 0 });
console.log(`url ${url}`);
