/**
 * Apps with the packages that made `npm install sojourn` fail: pinned versions of the SDK, and drivers of other
 * versions. Each is installed with npm, pnpm and yarn, and serves its first call to the official clients of both lines,
 * or is refused at the start with the reason.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { startServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { CLIENTS } from './clients.ts';
import { installWith, type Manager, MANAGERS, nodeFlags } from './package-managers.ts';
import type { AdoptPart } from './servers.ts';

type Store = 'memory' | 'redis' | 'postgres' | 'jwt' | 'given';

interface App {
  readonly name: string;
  readonly packages: readonly string[];
  readonly kind: 'v1 low' | 'v1' | 'v2';
  /** What serves. */
  readonly serves: readonly Store[];
  /** What is refused, with a part of the message. */
  readonly refuses?: Readonly<Partial<Record<Store, string>>>;
}

/** By a text that its name holds. */
const APPS = JSON.parse(readFileSync(new URL('dependencies.json', import.meta.url), 'utf8')) as readonly App[];

const program = fileURLToPath(new URL('processes/dependency-app.mjs', import.meta.url));
const START_MS = 60_000;
const AUDIENCE = 'https://mcp.example/mcp';
const KINDS = CLIENTS.filter(({ name }) => name === 'v1' || name === 'v2 auto');

export const run: AdoptPart = async ({ filter, out }) => {
  const failed: string[] = [];
  const targets = await openTargets();
  try {
    for (const manager of MANAGERS) {
      for (const app of APPS) {
        const name = `${manager}, ${app.name}`;
        if (filter !== undefined && !name.includes(filter)) continue;
        const wrong = await tryApp(app, manager, targets).catch((error: unknown) => [String(error)]);
        out(`${wrong.length === 0 ? 'pass' : 'FAIL'}  ${name}`);
        for (const line of wrong) out(`      ${line}`);
        if (wrong.length > 0) failed.push(name);
      }
    }
  } finally {
    await targets.close();
  }
  return failed;
};

/** What is wrong: nothing, or a line for each store. */
async function tryApp(app: App, manager: Manager, targets: Targets): Promise<string[]> {
  const folder = await installWith(manager, app.name, app.packages);
  cpSync(program, join(folder, 'app.mjs'));
  // The compiler finds packages in `node_modules` alone.
  const wrong = app.kind === 'v2' && manager !== 'yarn 4 PnP' ? wrongTypes(folder) : [];
  for (const store of [...app.serves, ...(Object.keys(app.refuses ?? {}) as Store[])]) {
    const expected = app.refuses?.[store];
    const came = await cameOf(app, store, { folder, manager }, targets).catch((error: unknown) => String(error));
    const isRight =
      expected === undefined
        ? came === 'served'
        : came.startsWith(`PACKAGE_UNSUPPORTED: ${expected}`) && / npm install [\w@/-]+@\d$/.test(came);
    if (!isRight) wrong.push(`${store}: ${came}`);
  }
  return wrong;
}

/** An editor accepts a server of the copy that the app has. */
function wrongTypes(folder: string): string[] {
  writeFileSync(
    join(folder, 'types.ts'),
    `import { McpServer } from '@modelcontextprotocol/server';
     import { createMcpEndpoint } from 'sojourn';
     createMcpEndpoint((ctx) => new McpServer({ name: 'x', version: '1' }, { ...ctx.serverOptions }));
     createMcpEndpoint(new McpServer({ name: 'x', version: '1' }));`,
  );
  const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
  const flags = [
    '--ignoreConfig',
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--types',
    '',
  ];
  try {
    execFileSync(process.execPath, [tsc, ...flags, 'types.ts'], { cwd: folder });
    return [];
  } catch (error) {
    return [`types: ${String((error as { readonly stdout?: unknown }).stdout).slice(0, 400)}`];
  }
}

interface Installed {
  readonly folder: string;
  readonly manager: Manager;
}

/** `served`, or why not. */
async function cameOf({ kind }: App, store: Store, { folder, manager }: Installed, targets: Targets): Promise<string> {
  const args = [...nodeFlags(manager), 'app.mjs', kind, store, targets.urls[store]];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  try {
    const line = (): string | undefined => /^\{.*\}$/m.exec(printed)?.[0];
    await until(() => line() !== undefined || child.exitCode !== null, { timeoutMs: START_MS });
    if (line() === undefined) throw new Error(`it ended: ${printed.slice(-500)}`);
    const { url, refused } = JSON.parse(line() ?? '') as { readonly url?: string; readonly refused?: string };
    if (url === undefined) return refused ?? 'nothing';
    if (store === 'jwt') return await callWithToken(url, await targets.token());
    for (const { name, connect } of KINDS) {
      const client = await connect(url, folder);
      const answer = await client.call({ name: 'hello' });
      await client.close();
      if (!answer.includes('served')) throw new Error(`${name}: ${answer}`);
    }
    return 'served';
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

/** The token is accepted, and another text is not. */
async function callWithToken(url: string, token: string): Promise<string> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const statuses = [];
  for (const given of [token, 'no.such.token']) {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${given}`,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    });
    statuses.push(response.status);
    await response.text();
  }
  return statuses.join() === '200,401' ? 'served' : `statuses ${statuses.join()}`;
}

interface Targets {
  readonly urls: Readonly<Record<Store, string>>;
  token(): Promise<string>;
  close(): Promise<void>;
}

/** Real servers of the stores, and an issuer of tokens. */
async function openTargets(): Promise<Targets> {
  const started: TestServer[] = [];
  for (const kind of ['redis', 'postgres'] as const) started.push(await startServer(kind));
  const [redis = '', postgres = ''] = started.map(({ url }) => url);
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const key = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' };
  const issuing = createServer((request, response) => {
    const document = request.url?.endsWith('/keys') ? { keys: [key] } : { issuer, jwks_uri: `${issuer}/keys` };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
  });
  await once(issuing.listen(0, '127.0.0.1'), 'listening');
  const issuer = `http://127.0.0.1:${(issuing.address() as AddressInfo).port}`;
  return {
    urls: { memory: '', redis, given: redis, postgres, jwt: issuer },
    token: () =>
      new SignJWT({ client_id: 'c' })
        .setProtectedHeader({ alg: 'ES256', kid: 'one' })
        .setIssuer(issuer)
        .setSubject('ann')
        .setAudience(AUDIENCE)
        .setExpirationTime('5m')
        .sign(privateKey),
    async close() {
      issuing.close();
      issuing.closeAllConnections();
      await Promise.all(started.map((server) => server.close()));
    },
  };
}
