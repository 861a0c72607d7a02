/** Faults that `sojourn prove` finds, one tool each (FAULTS: their names), beside tools that have none. */
import { setTimeout as pause } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/server';
import { currentSession, userState } from 'sojourn';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const READS = { readOnlyHint: true, openWorldHint: false };
const BLOCK_MS = 2_500;

const server = new McpServer({ name: 'faulty', version: '1.0.0' });
const wanted = (process.env.FAULTS ?? '').split(',');
function addTool(name, annotations, run) {
  if (wanted.includes(name)) server.registerTool(name, { annotations }, run);
}

let calls = 0;
addTool('counter', READS, () => text((calls += 1)));

addTool('unhinted', { openWorldHint: false }, async () => {
  await pause(300);
  return text('done');
});

let blocks = 0;
addTool('block', { readOnlyHint: true }, () => {
  const end = performance.now() + ((blocks += 1) % 4 === 2 ? BLOCK_MS : 0);
  while (performance.now() < end);
  return text('done');
});

addTool('stubborn', { readOnlyHint: true }, async () => {
  await pause(8_000);
  return text('done');
});

const sessions = new Map();
addTool('visits', READS, () => {
  const id = currentSession()?.id;
  const visits = (sessions.get(id) ?? 0) + 1;
  if (id !== undefined) sessions.set(id, visits);
  return text(id === undefined ? 'no session' : visits);
});

server.registerTool('clock', { annotations: READS }, () => text(new Date().toISOString()));
server.registerTool('kept', { annotations: READS }, async () =>
  text(await userState({ anonymous: 'shared' }).update('calls', (before = 0) => before + 1)),
);

export default server;
