import { existsSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// BENCH_DIST: the folder of the build. BENCH_OPTIONS: endpoint options as JSON. BENCH_ONE: one server object for all
// sessions instead of a factory. BENCH_STORE: the URL of a store. BENCH_WITH: `dashboard`, or `page`, which asks it too.
// BENCH_STDIO: a program beside this file, whose children answer. BENCH_CURVE: the server of the curves, whose callers
// name their user. BENCH_NAME: processes with one name share their data.
const {
  BENCH_DIST: dist,
  BENCH_STORE: url,
  BENCH_WITH: watched,
  BENCH_STDIO,
  BENCH_CURVE,
} = process.env;
const build = await import(new URL('index.js', dist));
const { createMcpEndpoint } = build;

async function openStore() {
  const kind = url.slice(0, url.indexOf(':'));
  const { [kind]: open } = await import(
    // A build from before the packages has the stores of servers too.
    existsSync(new URL(`stores/${kind}/index.js`, dist))
      ? new URL(`stores/${kind}/index.js`, dist)
      : `sojourn-${kind}`
  );
  // Sides share a store's server, so each has its own name, and its own schema or file: builds may differ in it.
  const name = process.env.BENCH_NAME ?? randomBytes(9).toString('hex');
  if (kind === 'postgres')
    return { store: open(url, { schema: `bench_${name}` }), deployment: name };
  return {
    store: open(kind === 'sqlite' ? `${url.slice('sqlite:'.length)}-${name}` : url),
    deployment: name,
  };
}

const quiet = {
  debug() {},
  info() {},
  warn: console.error,
  error: console.error,
  fatal: console.error,
};

async function serverOf() {
  if (BENCH_CURVE !== undefined)
    return (await import('./curve-server.mjs')).buildCurveServer(build);
  if (BENCH_STDIO === undefined) return process.env.BENCH_ONE ? buildEchoServer() : buildEchoServer;
  const { stdioServer } = await import(new URL('stdio/index.js', dist));
  const program = fileURLToPath(new URL(BENCH_STDIO, import.meta.url));
  return stdioServer({ command: process.execPath, args: [program] });
}

const endpoint = createMcpEndpoint(await serverOf(), {
  logger: quiet,
  ...JSON.parse(process.env.BENCH_OPTIONS ?? '{}'),
  ...(url && (await openStore())),
});
if (watched !== undefined) {
  const token = 'the-token-of-the-bench';
  const dashboard = endpoint.dashboard({ token });
  const headers = { Authorization: `Bearer ${token}` };
  const look = () =>
    dashboard.fetch(new Request('http://localhost/dashboard/api/fleet', { headers }));
  await look();
  if (watched === 'page') setInterval(look, 2_000);
}

function named(request, response) {
  const { 'x-user': sub } = request.headers;
  if (sub) request.auth = { token: 'bench', clientId: 'bench', scopes: [], extra: { sub } };
  return endpoint.node(request, response);
}

serve(BENCH_CURVE === undefined ? endpoint.node : named, {
  live: () => endpoint.sessions.liveCount,
});
