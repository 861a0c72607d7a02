/**
 * An instance whose `aroundRequest` says what it runs: `node around-server.mjs FILE`. Says `url …` and, of each call,
 * `METHOD NAME ATTEMPT KEY`, and `stored` when a call may run again elsewhere. `slow` runs for a second.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { McpServer } from '@modelcontextprotocol/server';

const dist = resolve(import.meta.dirname, '../../../../dist');
const load = (file) => import(pathToFileURL(`${dist}/${file}`).href);
const { createMcpEndpoint } = await load('index.js');
const { sqlite } = await load('stores/sqlite/index.js');
const [file] = process.argv.slice(2);

const say = (line) => process.stdout.write(`${line}\n`);
const keys = new AsyncLocalStorage();
const KEYS = { ada: 'key-of-ada' };
const text = () => ({ content: [{ type: 'text', text: keys.getStore() ?? 'no key' }] });

const server = new McpServer({ name: 'around', version: '1.0.0' });
server.registerTool('key', {}, text);
server.registerTool('slow', { annotations: { readOnlyHint: true } }, async () => {
  await pause(1_000);
  return text();
});

const endpoint = createMcpEndpoint(server, {
  store: sqlite(file),
  retryMs: 100,
  logger: false,
  auth: {
    verify: (token) => ({ token, clientId: 'c', scopes: [], expiresAt: 2e9, extra: { sub: token, tenant: token } }),
  },
  observe: (notice) => {
    if (notice.kind === 'storeCall' && /^sessions\.append$/.test(notice.operation)) say('stored');
  },
  aroundRequest: (request, next) => {
    const { method, name, attempt, authInfo } = request;
    const key = KEYS[authInfo?.extra?.tenant];
    if (name !== undefined) say(`${method} ${name} ${attempt} ${key}`);
    return keys.run(key, () => next());
  },
});
say(`url ${(await endpoint.listen({ port: 0 })).url}`);
