/**
 * Code around each request: handlers find the database of their caller's tenant, also when the request came to another
 * instance, and each call is timed.
 *
 *     npx tsx server.ts
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { McpServer } from '@modelcontextprotocol/server';
import { type AroundRequest, createMcpEndpoint } from 'sojourn';

interface Database {
  readonly name: string;
}

/** Secrets stay in each process. Between instances only the name of the tenant travels. */
const DATABASES = new Map<unknown, Database>([
  ['acme', { name: 'acme-db' }],
  ['globex', { name: 'globex-db' }],
]);
const TENANTS = new Map([
  ['token-of-ada', { sub: 'ada', tenant: 'acme' }],
  ['token-of-bob', { sub: 'bob', tenant: 'globex' }],
]);

const databases = new AsyncLocalStorage<Database>();

/** Middleware would enter the database where the request arrives; this runs where the handler runs. */
const withDatabase: AroundRequest = (request, next) => {
  const database = DATABASES.get(request.authInfo?.extra?.['tenant']);
  if (database === undefined) return { error: { code: -32_001, message: 'No such tenant' } };
  return databases.run(database, () => next());
};

const timed: AroundRequest = async (request, next) => {
  const began = performance.now();
  const answer = await next();
  const ms = Math.round(performance.now() - began);
  console.log(`${request.method} ${request.name ?? ''} ${answer.error ? 'failed' : 'ok'} ${ms} ms`);
  return answer;
};

const server = new McpServer({ name: 'around-request-example', version: '1.0.0' });
server.registerTool('database', { description: 'Which database this caller uses' }, () => ({
  content: [{ type: 'text', text: databases.getStore()?.name ?? 'none' }],
}));

const endpoint = createMcpEndpoint(server, {
  auth: {
    verify: (token) => {
      const extra = TENANTS.get(token);
      return extra && { token, clientId: 'example', scopes: [], expiresAt: Date.now() / 1_000 + 3_600, extra };
    },
  },
  // The first is the outermost.
  aroundRequest: [timed, withDatabase],
});

const { url } = await endpoint.listen({ port: Number(process.env['PORT'] ?? 3000) });
console.log(url);

async function stop(): Promise<void> {
  await endpoint.drain();
  await endpoint.close();
}
process.once('SIGTERM', () => void stop());
