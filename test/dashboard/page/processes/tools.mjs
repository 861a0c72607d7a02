/** A server whose tools take the time that such tools take. Users are named by a header, as behind a proxy. */
import { setTimeout as delay } from 'node:timers/promises';
import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { task } from '../../../../dist/index.js';

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

const FORM = { type: 'object', properties: { ok: { type: 'boolean' } } };

const publish = (_, { mcpReq }) =>
  mcpReq.inputResponses === undefined
    ? inputRequired({
        inputRequests: {
          confirm: inputRequired.elicit({ message: 'Shall it be public?', requestedSchema: FORM }),
        },
      })
    : say('published');

function factory({ serverOptions, session }) {
  const server = new McpServer({ name: 'tools', version: '1.0.0' }, { ...serverOptions });
  for (const [name, times] of Object.entries(READS)) {
    server.registerTool(
      name,
      { inputSchema, annotations: { readOnlyHint: true } },
      async ({ ms }) => {
        await delay(ms ?? between(times));
        return count(session, name);
      },
    );
  }
  server.registerTool('publish', { inputSchema }, task(publish, { afterCrash: 'run' }));
  return server;
}

const auth = { trustedProxyUser: { header: 'x-user', from: ['127.0.0.1'] } };

export default { factory, options: { auth } };
