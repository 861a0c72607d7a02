/** nginx and HAProxy with the very files of `examples/deploy`, their addresses replaced by ports of this machine. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, onTestFailed, onTestFinished } from 'vitest';
// @ts-expect-error -- a script, without types
import { findProgram } from '../../../scripts/servers.mjs';
import type { Certificate } from '../../kit/certificate.ts';
import { spawnNode } from '../../kit/child-process.ts';
import { freePort } from '../../kit/free-port.ts';
import { connecting } from '../../kit/listening.ts';
import { until } from '../../kit/until.ts';
import { recipe } from './recipe-files.ts';

export const ROUND_ROBIN = ['nginx/mcp.conf', 'nginx/upstream-round-robin.conf'];
export const AFFINITY = ['nginx/mcp.conf', 'nginx/upstream-affinity.conf'];

type ProxyName = 'nginx' | 'haproxy';

const find = findProgram as (name: ProxyName) => string | undefined;

/** Without the proxy these tests fail under CI and are skipped by name elsewhere, as those of the stores' servers. */
function describeBehind(name: ProxyName, title: string, tests: () => void): void {
  if (find(name) !== undefined || process.env['CI']) describe(title, tests);
  else describe.skip(`${title} (${name} is not installed; Debian: apt-get install ${name})`, tests);
}

export const describeBehindNginx = (title: string, tests: () => void): void =>
  describeBehind('nginx', title, tests);
export const describeBehindHaproxy = (title: string, tests: () => void): void =>
  describeBehind('haproxy', title, tests);

/**
 * The ports of nginx and of the instances stand where the recipe has `8080` and `10.0.0.11:3000`, `10.0.0.12:3000` …;
 * lines of further instances are left out.
 */
function addressed(text: string, port: number, instances: readonly number[]): string {
  return text
    .replaceAll(/^.*\b10\.0\.0\.1(\d):3000\b.*\n?/gm, (line, n: string) => {
      const instance = instances[Number(n) - 1];
      return instance === undefined
        ? ''
        : line.replace(/10\.0\.0\.1\d:3000/, `127.0.0.1:${instance}`);
    })
    .replaceAll(/(?<=listen |bind :)8080\b/g, String(port));
}

/** What the recipe says to change for TLS, beside `tls.conf`. */
const withTls = (text: string, { certificate, key }: Certificate): string =>
  text
    .replace('listen 8080;', 'listen 8080 ssl;')
    .replace('/etc/nginx/mcp.crt', certificate)
    .replace('/etc/nginx/mcp.key', key);

/** What a distribution's nginx.conf says around the files of `conf.d`. */
const NGINX = `
daemon off;
pid nginx.pid;
worker_processes 2;
${process.getuid?.() === 0 ? 'user root;' : ''}
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  include conf.d/*.conf;
}
`;

export interface Proxy {
  readonly url: string;
  readonly port: number;
  /** What it wrote to its log of errors. */
  output(): string;
  /** Cuts open connections. */
  close(): Promise<void>;
}

interface ProxyChanges {
  /** Ends TLS, as the recipe says. */
  readonly certificate?: Certificate;
  /** Further changes of the recipe's text, such as shorter times. */
  readonly edit?: (text: string) => string;
}

/** Runs nginx on files of `examples/deploy` in front of `instances`. */
export async function startNginx(
  files: readonly string[],
  instances: readonly number[],
  { certificate, edit = (text) => text }: ProxyChanges = {},
): Promise<Proxy> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-nginx-'));
  const port = await freePort();
  mkdirSync(join(folder, 'conf.d'));
  writeFileSync(join(folder, 'nginx.conf'), NGINX);
  for (const file of files) {
    const text = edit(
      certificate === undefined ? recipe(file) : withTls(recipe(file), certificate),
    );
    writeFileSync(join(folder, 'conf.d', basename(file)), addressed(text, port, instances));
  }
  return startProxy(
    'nginx',
    ['-e', 'stderr', '-p', folder, '-c', 'nginx.conf'],
    folder,
    port,
    certificate,
  );
}

/** The recipe of HAProxy in front of `instances`. */
export async function startHaproxy(instances: readonly number[]): Promise<Proxy> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-haproxy-'));
  const port = await freePort();
  // A test may have few descriptors.
  const text = recipe('haproxy/haproxy.cfg').replace(/maxconn \d+/, 'maxconn 200');
  writeFileSync(join(folder, 'haproxy.cfg'), addressed(text, port, instances));
  return startProxy('haproxy', ['-db', '-f', 'haproxy.cfg'], folder, port);
}

async function startProxy(
  name: ProxyName,
  args: readonly string[],
  folder: string,
  port: number,
  certificate?: Certificate,
): Promise<Proxy> {
  const program = find(name);
  if (program === undefined) throw new Error(`${name} is not installed`);
  const { output, alive, stop } = spawnNode(args, { program, cwd: folder });
  const close = async (): Promise<void> => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const isReady = async (): Promise<boolean> => {
    if (!alive()) throw new Error('it ended');
    return (await connecting(port)) === 'connected';
  };
  await until(isReady, { what: `${name} to listen` }).catch(async (error: unknown) => {
    await close();
    throw new Error(`${name}: ${output.stderr}`, { cause: error });
  });
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}/mcp`,
    port,
    output: () => output.stderr,
    close,
  };
}

/** The same for one test, which prints what nginx said when it fails. */
export const behindNginx = async (...given: Parameters<typeof startNginx>): Promise<Proxy> =>
  inTest(await startNginx(...given));

export const behindHaproxy = async (instances: readonly number[]): Promise<Proxy> =>
  inTest(await startHaproxy(instances));

function inTest(proxy: Proxy): Proxy {
  onTestFailed(() => console.log(proxy.output()));
  onTestFinished(() => proxy.close());
  return proxy;
}
