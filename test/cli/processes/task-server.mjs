/** Tools whose calls become tasks, behind a proxy that names the user in `x-user`. What is secret is in no printout. */
import { McpServer, ProtocolError } from '@modelcontextprotocol/server';
import { task } from 'sojourn/tasks';
import { z } from 'zod';

const said = (text) => ({ content: [{ type: 'text', text }] });
const question = { message: 'secret question', requestedSchema: { type: 'object', properties: {} } };

/** Never answers, and says on stderr that it was stopped. */
const stays = (name, { signal }) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      console.error(`${name} was stopped`);
      reject(signal.reason);
    });
  });

async function film(_args, _ctx, own) {
  own.status('scene 3 of 9\u001b[2J');
  await own.step('frames', () => 'secret step');
  return stays('film', own);
}

async function asks(_args, _ctx, own) {
  stays('asks', own).catch(() => {});
  const asked = [own.elicit('colour', question), own.elicit('size', question)];
  return said(JSON.stringify(await Promise.all(asked)));
}

function createServer({ serverOptions }) {
  const server = new McpServer({ name: 'films', version: '1.0.0' }, serverOptions);
  const inputSchema = z.object({ text: z.string().optional() });
  const tool = (name, handler, options) => server.registerTool(name, { inputSchema }, task(handler, options));
  tool('film', film, { resume: true });
  tool('pay', film, { resume: false });
  tool('asks', asks);
  tool('leaves', (_args, _ctx, own) => own.detach(() => {}));
  tool('ends', () => said('secret result'));
  tool('fails', () => {
    throw new ProtocolError(-32_602, 'secret error', { reason: 'secret reason' });
  });
  return server;
}

const auth = { trustedProxyUser: { header: 'x-user', from: ['127.0.0.0/8', '::1/128'] } };

export default { factory: createServer, options: { auth } };
