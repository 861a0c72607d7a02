/**
 * Code around a session and around each of its requests. A notebook (it could be a database connection, a browser or a
 * child process) is opened when the session starts and closed however it ends. Handlers find the database of their
 * caller's tenant, also when the request came to another instance.
 *
 *     npm init -y && npm pkg set type=module
 *     npm install sojourn @modelcontextprotocol/server zod tsx
 *     npx tsx server.ts
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { McpServer } from '@modelcontextprotocol/server';
import { type Middleware, createMcpEndpoint, type RunSessionHandler } from 'sojourn';
import { z } from 'zod';

/** Secrets stay in each process. Between instances only the name of the tenant travels. */
const DATABASES = new Map<unknown, string>([
  ['acme', 'acme-db'],
  ['globex', 'globex-db'],
]);
const USERS = new Map([
  ['token-of-ada', { sub: 'ada', tenant: 'acme' }],
  ['token-of-bob', { sub: 'bob', tenant: 'globex' }],
]);

const databases = new AsyncLocalStorage<string>();

/** Middleware would enter the database where the request arrives; this runs where the handler runs. */
const withDatabase: Middleware = (request, next) => {
  const database = DATABASES.get(request.authInfo?.extra?.['tenant']);
  if (database === undefined) return { error: { code: -32_001, message: 'No such tenant' } };
  return databases.run(database, () => next());
};

const timed: Middleware = async (request, next) => {
  const began = performance.now();
  const answer = await next();
  const ms = Math.round(performance.now() - began);
  console.log(`${request.method} ${request.name ?? ''} ${answer.error ? 'failed' : 'ok'} ${ms} ms`);
  return answer;
};

const notebooks = new WeakMap<object, string[]>();

/** `run()` resolves when the session leaves this instance: DELETE, idle timeout, shutdown … Returning earlier ends it. */
const runSessionHandler: RunSessionHandler = async (_request, session, run) => {
  const notebook: string[] = [];
  notebooks.set(session.server, notebook);
  console.log(`opened for ${session.clientInfo.name}`);
  try {
    const reason = await run();
    console.log(`left: ${reason}`);
  } finally {
    console.log(`closed with ${notebook.length} lines`);
  }
};

const write = {
  description:
    'Writes a line into the notebook of this session, and says which database its caller uses',
  inputSchema: z.object({ line: z.string() }),
};

const endpoint = createMcpEndpoint(
  (ctx) => {
    const server = new McpServer(
      { name: 'hooks-example', version: '1.0.0' },
      { ...ctx.serverOptions },
    );
    server.registerTool('write', write, ({ line }) => {
      const lines = notebooks.get(server)?.push(line);
      return { content: [{ type: 'text', text: `${lines} lines, ${databases.getStore()}` }] };
    });
    return server;
  },
  {
    sessionMode: 'stateful',
    auth: {
      verify: (token) => {
        const extra = USERS.get(token);
        return (
          extra && {
            token,
            clientId: 'example',
            scopes: [],
            expiresAt: Date.now() / 1_000 + 3_600,
            extra,
          }
        );
      },
    },
    runSessionHandler,
    // The first is the outermost.
    middleware: [timed, withDatabase],
  },
);

const { url } = await endpoint.listen({ port: Number(process.env['PORT'] ?? 3000) });
console.log(url);

process.once('SIGTERM', () => void endpoint.close());
