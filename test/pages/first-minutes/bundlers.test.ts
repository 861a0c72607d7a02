/** examples/nextjs with the real Next.js, and a server in a webpack bundle. `npm run first-minutes` runs them. */
import { cpSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { RawClient } from '../../kit/raw-client.ts';
import { until } from '../../kit/until.ts';
import { emptyFolder, everyPath, type Folder, pathTest } from './harness.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { openClient } from '../../kit/listening.ts';

const ROUTE = readFileSync(
  resolve(import.meta.dirname, '../../../examples/nextjs/app/mcp/route.ts'),
  'utf8',
);

/** The example on a SQLite file, and with `auth.jwt` on PUT. */
const WITH_PACKAGES = `${ROUTE.replace('memory()', "sqlite('./sessions.db')")}
import { sqlite } from 'sojourn/sqlite';
const jwt = { issuer: 'https://id.example', audience: 'https://mcp.example/mcp' };
export async function PUT(request: Request): Promise<Response> {
  const guarded = createMcpEndpoint(makeServer, { auth: { jwt } });
  const asPost = new Request(request.url, { method: 'POST', headers: request.headers, body: await request.text() });
  const answer = await guarded.fetch(asPost);
  await guarded.close();
  return answer;
}
`;

async function nextApp(route: string): Promise<Folder> {
  const folder = await emptyFolder();
  await folder.run(
    'npm init -y',
    'npm pkg set type=module',
    'npm install sojourn @modelcontextprotocol/server zod next@16 react react-dom',
    'npm install -D typescript @types/node @types/react',
  );
  // As create-next-app writes it.
  folder.write('next.config.mjs', 'export default { cacheComponents: true };\n');
  folder.write('app/mcp/route.ts', route);
  folder.write(
    'app/layout.jsx',
    'export default ({ children }) => <html><body>{children}</body></html>;\n',
  );
  return folder;
}

async function started(folder: Folder, command: string): Promise<RawClient> {
  await folder.start(command).says(/Ready in/);
  return connected(folder);
}

async function connected(folder: Folder): Promise<RawClient> {
  const client = openClient(`http://127.0.0.1:${folder.port}/mcp`, { timeoutMs: 60_000 });
  expect((await client.initialize()).response.status).toBe(200);
  return client;
}

async function greeting(client: RawClient): Promise<unknown> {
  const { message } = await client.call('tools/call', {
    name: 'greet',
    arguments: { name: 'Ada' },
  });
  return (message.result as { content?: Array<{ text?: string }> } | undefined)?.content?.[0]?.text;
}

/** The status of a request with a token. */
async function guarded({ port }: Folder): Promise<number> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const authorization = 'Bearer not.a.token';
  const url = `http://127.0.0.1:${port}/mcp`;
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
  return (await fetch(url, { method: 'PUT', headers: { ...headers, authorization }, body })).status;
}

/** Next.js exits once its connections are closed, and a stream is one. */
async function stopsBesideAStream(folder: Folder, command: string): Promise<RawClient> {
  const app = folder.start(command);
  await app.says(/Ready in/);
  const client = await connected(folder);
  expect(await greeting(client)).toBe('Hello Ada!');
  const stream = await client.get();
  await stream.next();
  const code = app.stop('SIGTERM');
  expect((await stream.untilEnd()).at(-1)).toMatchObject({ retry: expect.any(Number), data: '' });
  expect(await code).toBe(143);
  return client;
}

async function editShows(folder: Folder, route: string): Promise<void> {
  const client = await started(folder, 'npx next dev -H 127.0.0.1 -p 3000');
  expect(await greeting(client)).toBe('Hello Ada!');
  folder.write('app/mcp/route.ts', route.replace('Hello $', 'Welcome $'));
  await until(async () => (await greeting(client)) === 'Welcome Ada!', { timeoutMs: 60_000 });
}

if (everyPath) {
  pathTest(
    'Next.js builds examples/nextjs without optional packages, and next start serves it until SIGTERM',
    async () => {
      const folder = await nextApp(ROUTE);
      expect(await folder.run('npx next build')).not.toMatch(/Can't resolve|warning/i);
      await stopsBesideAStream(
        folder,
        'node node_modules/next/dist/bin/next start -H 127.0.0.1 -p 3000',
      );
    },
  );

  pathTest('next dev shows an edit to a connected client, on the memory store', async () => {
    await editShows(await nextApp(ROUTE), ROUTE);
  });

  pathTest('next dev shows an edit to a connected client, on a durable store', async () => {
    await editShows(await nextApp(WITH_PACKAGES), WITH_PACKAGES);
  });

  pathTest(
    "output: 'standalone' has jose and the client of the store, and after SIGTERM the next process has the session",
    async () => {
      const folder = await nextApp(WITH_PACKAGES);
      folder.write('next.config.mjs', "export default { output: 'standalone' };\n");
      await folder.run('npx next build');
      // Where no node_modules of the app is above it.
      const moved = temporaryFolder();
      cpSync(join(folder.path, '.next/standalone'), moved, { recursive: true });
      const start = `env HOSTNAME=127.0.0.1 PORT=3000 node ${moved}/server.js`;
      const client = await stopsBesideAStream(folder, start);
      await folder.start(start).says(/Ready in/);
      expect(await greeting(client)).toBe('Hello Ada!');
      expect(await guarded(folder)).toBe(401);
    },
  );

  pathTest('webpack bundles a server without optional packages, and warns of nothing', async () => {
    const folder = await emptyFolder();
    await folder.run('npm init -y', 'npm pkg set type=module');
    await folder.run(
      'npm install sojourn @modelcontextprotocol/server',
      'npm install -D webpack webpack-cli',
    );
    folder.write(
      'server.js',
      `import { McpServer } from '@modelcontextprotocol/server';
       import { createMcpEndpoint } from 'sojourn';
       const endpoint = createMcpEndpoint(() => new McpServer({ name: 'bundled', version: '1.0.0' }));
       console.log('Ready in webpack at', (await endpoint.listen({ port: 3000 })).url);\n`,
    );
    folder.write(
      'webpack.config.js',
      `export default { entry: './server.js', target: 'node20', mode: 'production', experiments: { outputModule: true },
       output: { module: true, filename: 'bundle.mjs', chunkFormat: 'module' } };\n`,
    );
    const said = await folder.run('npx webpack build');
    expect(said).not.toContain('WARNING in');
    await started(folder, 'node dist/bundle.mjs');
  });
} else {
  test.skip('Next.js and webpack (npm run first-minutes)', () => {});
}
