/** A server whose tools take the time that such tools take. Users are named by a header, as behind a proxy. */
import { setTimeout as delay } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

/** ms from and to. */
const READS = {
  search_docs: [5, 60],
  get_issue: [5, 30],
  list_issues: [10, 80],
  run_query: [60, 400],
  read_file: [2, 12],
  translate: [80, 300],
};
const inputSchema = z.object({ text: z.string().optional(), ms: z.number().optional() });

const between = ([from, to]) => from + Math.random() * (to - from);
const say = (text) => ({ content: [{ type: 'text', text }] });

async function count(session, text) {
  const calls = await session?.state.update('calls', (before) => (before ?? 0) + 1);
  return say(`${text}: ${calls ?? 'no session'}`);
}

function factory({ serverOptions, session }) {
  const server = new McpServer({ name: 'tools', version: '1.0.0' }, { ...serverOptions });
  for (const [name, times] of Object.entries(READS)) {
    server.registerTool(name, { inputSchema, annotations: { readOnlyHint: true } }, async ({ ms }) => {
      await delay(ms ?? between(times));
      return count(session, name);
    });
  }
  server.registerTool('create_issue', { inputSchema }, async ({ ms }) => {
    await delay(ms ?? 150);
    return count(session, 'create_issue');
  });
  return server;
}

const auth = { trustedProxyUser: { header: 'x-user', from: ['127.0.0.1'] } };

export default { factory, options: process.env.TOOLS_USERS === undefined ? {} : { auth } };
