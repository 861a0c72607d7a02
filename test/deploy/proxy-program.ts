/**
 * nginx, HAProxy, Envoy and Traefik with the very files of `examples/deploy`, their addresses replaced by ports of this
 * machine.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
// @ts-expect-error -- a script, without types
import { recipeProgram } from '../../scripts/servers.mjs';
// @ts-expect-error -- a script, without types
import { findProgram } from '../../scripts/servers.mjs';
import { freePort } from '../kit/free-port.ts';
import { until } from '../kit/until.ts';

export type ProxyKind = 'nginx' | 'haproxy' | 'envoy' | 'traefik';

/** The files of each recipe, with round robin. */
export const ROUND_ROBIN: ReadonlyArray<readonly [ProxyKind, readonly string[]]> = [
  ['nginx', ['nginx/mcp.conf', 'nginx/upstream-round-robin.conf']],
  ['haproxy', ['haproxy/haproxy.cfg', 'haproxy/backend-round-robin.cfg']],
  ['envoy', ['envoy/envoy.yaml']],
  ['traefik', ['traefik/traefik.yaml', 'traefik/mcp.yaml']],
];

/** nginx and HAProxy are of the machine, Envoy and Traefik of `tools/recipes`. */
export const findProxy = (kind: ProxyKind): string | undefined => {
  const found = kind === 'nginx' || kind === 'haproxy' ? findProgram : recipeProgram;
  return (found as (name: string) => string | undefined)(kind);
};

/** A file of `examples/deploy`. */
export const recipe = (path: string): string =>
  readFileSync(new URL(`../../examples/deploy/${path}`, import.meta.url), 'utf8');

/**
 * Its own port and those of the instances stand where the recipe has `8080` and `10.0.0.11:3000`, `10.0.0.12:3000` …;
 * lines of further instances are left out.
 */
function addressed(text: string, port: number, instances: readonly number[]): string {
  const portOf = (n: string): number | undefined => instances[Number(n) - 1];
  return text
    .replaceAll(/^.*\b10\.0\.0\.1(\d)\b.*3000.*\n/gm, (line, n: string) => (portOf(n) === undefined ? '' : line))
    .replaceAll(
      /\b10\.0\.0\.1(\d)(:|, port_value: )3000\b/g,
      (_, n: string, sep: string) => `127.0.0.1${sep}${portOf(n)}`,
    )
    .replaceAll(/(?<=listen |bind :|address: ':|0\.0\.0\.0, port_value: )8080\b/g, String(port));
}

/** What the recipes say to change for TLS. They name `tls.conf` or have the lines as comments. */
function withTls(text: string, { certificate, key }: Certificate): string {
  return text
    .replace(/listen 8080;/, 'listen 8080 ssl;')
    .replace(/ *# With TLS: (bind :)443(.*)\n *bind :8080\n/, '  $18080$2\n')
    .replaceAll(/^ *# With TLS:\n((?: *# .*\n)+)/gm, (_, lines: string) => lines.replaceAll(/^( *)# /gm, '$1'))
    .replace(/\/etc\/\w+\/mcp\.crt/, certificate)
    .replace(/\/etc\/\w+\/mcp\.key/, key)
    .replace('/etc/haproxy/mcp.pem', `${certificate}.pem`);
}

/** Files in PEM; `<certificate>.pem` holds both, as HAProxy reads them. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** What a distribution's nginx.conf says around the files of `conf.d`. */
const NGINX = `
daemon off;
pid nginx.pid;
worker_processes 2;
${process.getuid?.() === 0 ? 'user root;' : ''}
error_log stderr warn;
events {}
http {
  log_format arrivals '$http_mcp_session_id $upstream_addr';
  access_log arrivals.log arrivals;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  include conf.d/*.conf;
}
`;

const ARGUMENTS: Readonly<Record<ProxyKind, (files: readonly string[], folder: string) => string[]>> = {
  nginx: (_files, folder) => ['-e', 'stderr', '-p', folder, '-c', 'nginx.conf'],
  haproxy: (files) => ['-db', ...files.flatMap((file) => ['-f', file])],
  // Without the shared memory of a hot restart, so that several run on one machine.
  envoy: ([file = '']) => ['-c', file, '--disable-hot-restart', '--concurrency', '2', '--log-level', 'warning'],
  traefik: ([file = '']) => [`--configFile=${file}`],
};

export interface Proxy {
  readonly url: string;
  readonly port: number;
  /** What it said. */
  output(): string;
  /** nginx: the addresses that the requests of a session were sent to, in order. */
  arrivals(sessionId: string): string[];
  /** At once: connections are cut. */
  close(): Promise<void>;
}

export interface ProxyChanges {
  /** Ends TLS, as the recipe says. */
  readonly certificate?: Certificate;
  /** Of an earlier proxy, which this one replaces. */
  readonly port?: number;
  /** Further changes of the recipe's text, such as shorter times. */
  readonly edit?: (text: string) => string;
}

/** Runs it on files of `examples/deploy` in front of `instances`. */
export async function startProxy(
  kind: ProxyKind,
  files: readonly string[],
  instances: readonly number[],
  { certificate, port: given, edit = (text) => text }: ProxyChanges = {},
): Promise<Proxy> {
  const executable = findProxy(kind);
  if (executable === undefined) throw new Error(`${kind} is not installed`);
  const folder = mkdtempSync(join(tmpdir(), `sojourn-${kind}-`));
  const port = given ?? (await freePort());
  mkdirSync(join(folder, 'conf.d'));
  writeFileSync(join(folder, 'nginx.conf'), NGINX);
  const paths = files.map((file) => {
    const path = join(folder, 'conf.d', basename(file));
    const text = edit(certificate === undefined ? recipe(file) : withTls(recipe(file), certificate));
    const placed = text.replace('/etc/traefik/mcp.yaml', join(folder, 'conf.d/mcp.yaml'));
    writeFileSync(path, addressed(placed, port, instances));
    return path;
  });
  const child = spawn(executable, ARGUMENTS[kind](paths, folder), { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const closed = once(child, 'close');
  const close = async (): Promise<void> => {
    // Traefik would wait for open streams.
    child.kill(kind === 'traefik' ? 'SIGKILL' : 'SIGTERM');
    await closed;
    rmSync(folder, { recursive: true, force: true });
  };
  const url = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}/mcp`;
  const ready = kind === 'traefik' ? () => routes(url) : () => accepts(port);
  const isReady = (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}`);
    return ready();
  };
  await until(isReady, { what: `${kind} to listen` }).catch(async (error: unknown) => {
    await close();
    throw new Error(`${kind}: ${output}`, { cause: error });
  });
  return {
    url,
    port,
    output: () => output,
    close,
    arrivals: (sessionId) =>
      readFileSync(join(folder, 'arrivals.log'), 'utf8')
        .split('\n')
        .flatMap((line) => (line.startsWith(`${sessionId} `) ? [line.slice(sessionId.length + 1)] : [])),
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}

/** Traefik listens before it has read its routes; until then its own 404 answers. The path is not one of instances. */
function routes(url: string): Promise<boolean> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((done) => {
    const options = { agent: false, rejectUnauthorized: false };
    const probe = request(`${url}-ready`, options, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => done(!text.startsWith('404 page not found')));
    });
    probe.on('error', () => done(false)).end();
  });
}
