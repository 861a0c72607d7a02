import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { McpServer, inputRequired } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { withWatchedRecords } from '../../test/kit/watched-records.mjs';
import { serve } from './serve.mjs';

// One instance with tasks. BENCH_STORE: the URL of its store; BENCH_NOTES: it notes how long the store takes.
const dist = process.env.BENCH_DIST ?? new URL('../../dist/index.js', import.meta.url).href;
const { createMcpEndpoint } = await import(dist);
const { once, RUNS_ONCE } = await import(join(dirname(dist), 'once/index.js'));
const { task } = await import(join(dirname(dist), 'tasks/index.js'));
const options = JSON.parse(process.env.BENCH_OPTIONS ?? '{}');

const url = process.env.BENCH_STORE ?? '';
const kind = url.slice(0, url.indexOf(':'));
const { [kind]: open } = await import(join(dirname(dist), `stores/${kind}/index.js`));
const opened = open(kind === 'sqlite' ? url.slice('sqlite:'.length) : url);

const notes = { create: [], read: [], end: [] };
const onceNotes = { create: [] };
const noting = (into, begun = new Map()) => ({
  async before(name) {
    begun.set(name, performance.now());
  },
  async after(name) {
    into[name]?.push({ at: performance.timeOrigin + performance.now(), ms: performance.now() - begun.get(name) });
  },
});
const watched = (kind, into, of) => withWatchedRecords(of, kind, noting(into));
const store = process.env.BENCH_NOTES ? watched('once', onceNotes, watched('tasks', notes, opened)) : opened;

const said = (text) => ({ content: [{ type: 'text', text }] });
const text = z.object({ text: z.string().default('') });
const question = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } };
const held = [];

/** Waits in its first run. */
async function hold(_, _ctx, own) {
  if (own.attempt === 1) await new Promise((resolve) => held.push(resolve));
  return said('held');
}

const STEP = 'x'.repeat(65_000);
const STEPS = 16;

/** Records almost 1 MiB. */
async function steps(args, ctx, own) {
  for (let n = 0; n < STEPS; n++) await own.step(`step ${n}`, () => STEP);
  return hold(args, ctx, own);
}

const asks = () => inputRequired({ inputRequests: { sure: inputRequired.elicit(question) }, requestState: '1' });

function build(ctx) {
  const server = new McpServer({ name: 'bench', version: '1.0.0' }, { ...ctx?.serverOptions });
  server.registerTool('echo', { inputSchema: text }, (args) => said(args.text));
  const key = () => randomUUID();
  server.registerTool(
    'once',
    { inputSchema: text, _meta: RUNS_ONCE },
    once((args) => said(args.text), { key, anonymous: 'shared' }),
  );
  server.registerTool('hold', { inputSchema: text }, task(hold, { resume: true }));
  server.registerTool('steps', { inputSchema: text }, task(steps, { resume: true }));
  server.registerTool('asks', { inputSchema: text }, task(asks));
  return server;
}

/** What one round trip to the server of the store takes; a file has none. */
const roundTrips = {
  sqlite: async () => () => undefined,
  async redis() {
    const { createClient } = await import('redis');
    const client = await createClient({ url }).connect();
    return () => client.ping();
  },
  async postgres() {
    const { default: pg } = await import('pg');
    const client = new pg.Client(url);
    await client.connect();
    return () => client.query('SELECT 1');
  },
};
let trip;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

serve(createMcpEndpoint(build, { ...options, store, logger: false }).node, {
  async roundTrip() {
    trip ??= await roundTrips[kind]();
    const from = performance.now();
    await trip();
    return performance.now() - from;
  },
  /** How many tasks were ended so far. */
  ended: () => notes.end.length,
  /** Everything since the last time. */
  notes() {
    const noted = { ...notes, onceCreate: onceNotes.create };
    for (const name of Object.keys(notes)) notes[name] = [];
    onceNotes.create = [];
    return noted;
  },
  /** Every handler that waits settles. Answers once their tasks have ended in the store. */
  async release() {
    const until = notes.end.length + held.length;
    for (const settle of held.splice(0)) settle();
    while (notes.end.length < until) await pause(5);
    return true;
  },
});
