/**
 * `node sdk-server.mjs FOLDER CLASS WAY DATABASE PORT`: serves a server of the SDK whose build is in FOLDER. CLASS is
 * `McpServer` or `Server`, WAY `factory` or `object`. Prints the URL as JSON, and the log.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createMcpEndpoint, currentSession, task } from '../../../dist/index.js';
import { sqlite } from '../../../dist/stores/sqlite/index.js';

const [folder, className, way, database, port] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(folder, file)).href);
const isSecond = existsSync(join(folder, 'index.mjs'));

const say = (text) => ({ content: [{ type: 'text', text }] });
const QUESTION = {
  message: 'Which name?',
  requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
};

/** Names its process, and in a session the number of the call. `progress`: reports it, where the SDK can. */
async function echo(text, progress) {
  const calls = await currentSession()?.state?.update('calls', (before = 0) => before + 1);
  await progress?.();
  return say(
    `${text} ${process.pid} ${calls ?? '-'} ${progress === undefined ? 'silent' : 'reported'}`,
  );
}

/** The process in which it begins is killed. The next one names both. */
const film = task(
  async (_args, _ctx, own) => {
    const first = await own.step('first', () => process.pid);
    own.status('begun');
    if (first === process.pid) await new Promise(() => {});
    return say(`${first} ${process.pid}`);
  },
  { afterCrash: 'run' },
);

const report = (progressToken) => ({
  method: 'notifications/progress',
  params: { progressToken, progress: 1 },
});

// ——— the same tools with each line: `echo`, `ask` where the SDK can ask, and `film` where it can be a task ———

async function secondLine() {
  const { McpServer, Server, acceptedContent, inputRequired } = await load('index.mjs');
  const { z } = createRequire(import.meta.url)('zod');
  const echoing = ({ text }, { mcpReq }) => {
    const token = mcpReq._meta?.progressToken;
    return echo(text, token === undefined ? undefined : () => mcpReq.notify(report(token)));
  };
  const asking = ({ mcpReq }) => {
    const given = acceptedContent(mcpReq.inputResponses, 'asked');
    return given
      ? say(given.name)
      : inputRequired({ inputRequests: { asked: inputRequired.elicit(QUESTION) } });
  };
  return (info, options) => {
    if (className === 'McpServer') {
      const server = new McpServer(info, options);
      server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, echoing);
      server.registerTool('ask', {}, asking);
      server.registerTool('film', { inputSchema: z.object({}) }, film);
      return server;
    }
    const server = new Server(info, { ...options, capabilities: { tools: {} } });
    server.setRequestHandler('tools/list', () => ({
      tools: [...LIST.tools, { name: 'film', inputSchema: { type: 'object' } }],
    }));
    server.setRequestHandler('tools/call', ({ params: { name, arguments: args } }, ctx) => {
      if (name === 'film') return film(args, ctx);
      return name === 'echo' ? echoing(args, ctx) : asking(ctx);
    });
    return server;
  };
}

async function firstLine() {
  const { Server } = await load('server/index.js');
  const types = await load('types.js');
  const { McpServer } = existsSync(join(folder, 'server/mcp.js'))
    ? await load('server/mcp.js')
    : {};
  const { z } = createRequire(join(folder, 'types.js'))('zod');
  const canAsk = 'elicitInput' in Server.prototype;
  const echoing = ({ text }, extra) => {
    // The first versions give handlers nothing but the abort signal.
    const token = extra?._meta?.progressToken;
    return echo(
      text,
      token === undefined ? undefined : () => extra.sendNotification(report(token)),
    );
  };
  const asking = async (extra) => {
    const request = { method: 'elicitation/create', params: QUESTION };
    const { content } = await extra.sendRequest(request, types.ElicitResultSchema);
    return say(content.name);
  };
  return (info) => {
    if (className === 'McpServer') {
      const server = new McpServer(info);
      server.tool('echo', { text: z.string() }, echoing);
      if (canAsk) server.tool('ask', asking);
      return server;
    }
    const server = new Server(info, { capabilities: { tools: {} } });
    server.setRequestHandler(types.ListToolsRequestSchema, () =>
      canAsk ? LIST : { tools: [LIST.tools[0]] },
    );
    server.setRequestHandler(
      types.CallToolRequestSchema,
      ({ params: { name, arguments: args } }, extra) =>
        name === 'echo' ? echoing(args, extra) : asking(extra),
    );
    return server;
  };
}

const LIST = {
  tools: [
    { name: 'echo', inputSchema: { type: 'object', properties: { text: { type: 'string' } } } },
    { name: 'ask', inputSchema: { type: 'object' } },
  ],
};

const make = await (isSecond ? secondLine() : firstLine());
const info = { name: 'sdk-server', version: '1.0.0' };
const server =
  way === 'factory' ? ({ serverOptions }) => make(info, serverOptions) : make(info, {});
const endpoint = createMcpEndpoint(server, { store: sqlite(database), tasks: isSecond });
const { url } = await endpoint.listen({ port: Number(port) });
console.log(JSON.stringify({ url }));
