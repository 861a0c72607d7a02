/** nginx and HAProxy with the very files of `examples/deploy`, their addresses replaced by ports of this machine. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe } from 'vitest';
// @ts-expect-error -- a script, without types
import { findProgram } from '../../scripts/server-programs.mjs';
import { freePort } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';

export type ProxyKind = 'nginx' | 'haproxy';

const find = findProgram as (name: string) => string | undefined;

/** As for the servers of stores: missing, they fail under CI and are skipped by name elsewhere. */
export function describeBehind(kind: ProxyKind, title: string, tests: () => void): void {
  if (find(kind) !== undefined || process.env['CI']) describe(title, tests);
  else describe.skip(`${title} (${kind} is not installed; Debian: apt-get install ${kind})`, tests);
}

/** A file of `examples/deploy`. */
export const recipe = (path: string): string =>
  readFileSync(new URL(`../../examples/deploy/${path}`, import.meta.url), 'utf8');

/**
 * Its own port and those of the instances stand where the recipe has `8080` and `10.0.0.11:3000`, `10.0.0.12:3000` …;
 * lines of further instances are left out.
 */
function addressed(text: string, port: number, instances: readonly number[]): string {
  return text
    .replaceAll(/^ *server 10\.0\.0\.1(\d):3000.*\n/gm, (line, n: string) => (Number(n) > instances.length ? '' : line))
    .replaceAll(/\b10\.0\.0\.1(\d):3000\b/g, (_address, n: string) => `127.0.0.1:${instances[Number(n) - 1]}`)
    .replaceAll(/(?<=listen |bind :)8080\b/g, String(port));
}

/** What the recipes say to change for TLS. They name `tls.conf` or the commented line of `haproxy.cfg`. */
function withTls(text: string, { certificate, key }: Certificate): string {
  return text
    .replace(/listen 8080;/, 'listen 8080 ssl;')
    .replace(/ *# With TLS: (bind :)443(.*)\n *bind :8080\n/, '  $18080$2\n')
    .replace('/etc/nginx/mcp.crt', certificate)
    .replace('/etc/nginx/mcp.key', key)
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

/** Runs it on files of `examples/deploy` in front of `instances`. */
export async function startProxy(
  kind: ProxyKind,
  files: readonly string[],
  instances: readonly number[],
  certificate?: Certificate,
): Promise<Proxy> {
  const executable = find(kind);
  if (executable === undefined) throw new Error(`${kind} is not installed`);
  const folder = mkdtempSync(join(tmpdir(), `sojourn-${kind}-`));
  const port = await freePort();
  mkdirSync(join(folder, 'conf.d'));
  writeFileSync(join(folder, 'nginx.conf'), NGINX);
  const paths = files.map((file) => {
    const path = join(folder, 'conf.d', basename(file));
    const text = certificate === undefined ? recipe(file) : withTls(recipe(file), certificate);
    writeFileSync(path, addressed(text, port, instances));
    return path;
  });
  const child = spawn(executable, ARGUMENTS[kind](paths, folder), { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const closed = once(child, 'close');
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await closed;
    rmSync(folder, { recursive: true, force: true });
  };
  await until(() => accepts(port, child), { what: `${kind} to listen` }).catch(async (error: unknown) => {
    await close();
    throw new Error(`${kind}: ${output}`, { cause: error });
  });
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}/mcp`,
    port,
    output: () => output,
    close,
    arrivals: (sessionId) =>
      readFileSync(join(folder, 'arrivals.log'), 'utf8')
        .split('\n')
        .flatMap((line) => (line.startsWith(`${sessionId} `) ? [line.slice(sessionId.length + 1)] : [])),
  };
}

function accepts(port: number, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null) return Promise.reject(new Error(`ended with ${child.exitCode}`));
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
