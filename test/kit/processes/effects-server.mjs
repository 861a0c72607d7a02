/**
 * An instance with tools of `once()` and tools whose calls become tasks. Each run and each step appends a line to the
 * effects file when it begins and when it takes effect, and a step once it is recorded, in one write: the file outlives
 * a killed process. `KILL_AT` names a point at which the process kills itself: in a task only in the first run of one
 * with the name `die`. `LEASE_MS`: of its lease.
 *
 *     node effects-server.mjs <kind> <target> <effects>
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint } from '../../../dist/index.js';
import { once, RUNS_ONCE } from '../../../dist/once/index.js';
import { task } from '../../../dist/tasks/index.js';

const [kind, target, effects] = process.argv.slice(2);
const { KILL_AT, SOJOURN_NAME, LEASE_MS } = process.env;
const file = openSync(effects, 'a');
const note = (line) => writeSync(file, `${JSON.stringify({ by: process.pid, ...line })}\n`);
const at = (point) => {
  if (KILL_AT === point) process.kill(process.pid, 'SIGKILL');
};
const pause = (ms) => new Promise((over) => setTimeout(over, ms));
const said = (text) => ({ content: [{ type: 'text', text }] });

const { [kind]: open } = await import(kind === 'sqlite' ? '../../../dist/stores/sqlite/index.js' : `sojourn-${kind}`);
const inner = open(target);

/** Writes of records, by kind, around which the process may kill itself. */
const WRITES = {
  once: {
    async create(write) {
      at('before the marker');
      const outcome = await write();
      at('after the marker');
      return outcome;
    },
    async end(write) {
      if (KILL_AT === 'after the answer, before the end') await pause(200);
      at('after the answer, before the end');
      return write();
    },
  },
  tasks: {
    async end(write, [, , outcome]) {
      if (outcome.includes('"completed"') && outcome.includes('"die frames')) at('at the end');
      return write();
    },
  },
};

const store = {
  kind: inner.kind,
  durable: inner.durable,
  inProcess: inner.inProcess,
  async open(options) {
    const view = await inner.open(options);
    const records = (of) => {
      const made = view.records(of);
      for (const [name, around] of Object.entries(WRITES[of.name] ?? {})) {
        const write = made[name].bind(made);
        made[name] = (...given) => around(() => write(...given), given);
      }
      return made;
    };
    return { ...view, records };
  },
};

// ——— tools of once() ———

const tookEffect = (tool, key) =>
  readFileSync(effects, 'utf8')
    .split('\n')
    .some((line) => line !== '' && JSON.parse(line).effect === `${tool} ${key}`);

function onceTool(server, name, afterCrash) {
  const run = async ({ key, ms }) => {
    note({ begin: `${name} ${key}` });
    at('in the handler');
    await pause(ms);
    note({ effect: `${name} ${key}` });
    at('after its effect');
    return said(`${name} ${key}`);
  };
  const options = { key: ({ key }) => key, anonymous: 'shared', ...(afterCrash && { afterCrash }) };
  const inputSchema = z.object({ key: z.string(), ms: z.number().default(0) });
  server.registerTool(name, { inputSchema, _meta: RUNS_ONCE }, once(run, options));
}

// ——— tools whose calls become tasks ———

const question = { message: 'Publish?', requestedSchema: { type: 'object', properties: {} } };

async function film({ name, ms }, _ctx, own) {
  const dies = (point) => {
    if (name === 'die' && own.attempt === 1) at(point);
  };
  const step = async (of) => {
    const key = await own.step(of, async (key) => {
      note({ begin: `${of} ${name}` });
      dies('in a step');
      await pause(ms);
      note({ effect: `${of} ${name}` });
      dies('after its effect');
      return key;
    });
    note({ recorded: `${of} ${name}` });
    dies('after its record');
    return key;
  };
  dies('after the answer');
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
    const server = new McpServer({ name: 'effects', version: '1' }, { ...serverOptions });
    onceTool(server, 'pay');
    onceTool(server, 'again', 'run');
    onceTool(server, 'ask', ({ key }) => (tookEffect('ask', key) ? said(`ask ${key}`) : 'run'));
    const inputSchema = z.object({ name: z.string(), ms: z.number().default(0) });
    server.registerTool('film', { inputSchema }, task(film, { resume: true }));
    server.registerTool('hinted', { inputSchema, annotations: { idempotentHint: true } }, task(film));
    server.registerTool('plain', { inputSchema }, task(film));
    return server;
  },
  { store, name: SOJOURN_NAME, logger: false, leaseMs: Number(LEASE_MS), tasks: true },
);
console.log(`url ${(await endpoint.listen({ port: 0 })).url}`);
