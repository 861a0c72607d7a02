/** The recipes agree with each other, with the command line, and with what an instance does. */
import { readdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ALL_FLAGS, SERVE_FLAGS, variableName } from '../../../src/cli/flags.ts';
import { readSettings } from '../../../src/cli/settings.ts';
import { storeOf } from '../../../src/cli/store-url.ts';
import { limitsOfHeap } from '../../../src/base/options/heap-limits.ts';
import { DEFAULTS } from '../../../src/base/options/table.ts';
import { createEchoServer } from '../../kit/echo-server.ts';
import { serve } from '../../kit/serve.ts';
import { directive, ms, recipe, yaml, type Tree } from './recipe-files.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = resolve(root, 'examples/deploy');
const KNOWN = new Set([...ALL_FLAGS.keys()].map(variableName));

/** Leaving the socket, before the drain: half a second for those who are connected, half a second to stop accepting. */
const LEAVE_MS = 1_000;
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
  statSync(resolve(folder, file)).isFile(),
);

/** An instance answers there, with this status, and closes idle connections after this long. */
async function instance() {
  const { url } = await serve(createEchoServer);
  const status = async (path: string) => (await fetch(new URL(path, url))).status;
  const { headers } = await fetch(new URL('/healthz', url));
  return {
    status,
    keepAliveMs: Number(/timeout=(\d+)/.exec(headers.get('keep-alive') ?? '')?.[1]) * 1_000,
  };
}

test('the command line knows every variable', () => {
  const systemd = readdirSync(resolve(root, 'examples/systemd')).map(
    (name) => `../systemd/${name}`,
  );
  for (const file of [...files, ...systemd]) {
    for (const [variable] of recipe(file).matchAll(/\bSOJOURN_[A-Z_]+\b/g)) {
      expect([file, variable, KNOWN.has(variable)]).toEqual([file, variable, true]);
    }
  }
});

const MIB = 2 ** 20;
const heapIn = (text: string): number => Number(/--max-old-space-size=(\d+)/.exec(text)?.[1]) * MIB;
const sizeOf = (text: string): number =>
  Number.parseInt(text, 10) *
  ({ M: MIB, G: 1024 * MIB }[text.replace(/^\d+/, '')[0]?.toUpperCase() ?? ''] ?? NaN);

test('each memory limit has room for the heap, for what the memory budget holds outside of it, and the rest', () => {
  const [deployment] = yaml('kubernetes/mcp.yaml') as [Tree];
  const [container] = deployment.spec.template.spec.containers;
  const [compose] = yaml('compose/compose.yaml') as [Tree];
  const { mcp } = compose.services;
  const unit = recipe('../systemd/sojourn.service');
  for (const [heap, limit] of [
    [JSON.stringify(container.env), container.resources.limits.memory as string],
    [mcp.environment.NODE_OPTIONS as string, mcp.mem_limit as string],
    [unit, /^MemoryMax=(.*)$/m.exec(unit)?.[1] ?? ''],
  ] as const)
    expect(heapIn(heap) + limitsOfHeap(heapIn(heap)).memoryBytes + 128 * MIB).toBeLessThanOrEqual(
      sizeOf(limit),
    );
});

describe('Kubernetes', () => {
  const [deployment, service] = yaml('kubernetes/mcp.yaml') as [Tree, Tree];
  const [secret] = yaml('kubernetes/secret.yaml') as [Tree];
  const { template } = deployment.spec;
  const [container] = template.spec.containers;
  const [policy] = yaml('kubernetes/network.yaml') as [Tree];
  const valueOf = ({ value, valueFrom }: Tree) =>
    value ?? secret.stringData[valueFrom.secretKeyRef.key];
  const env = Object.fromEntries(
    container.env.map((variable: Tree) => [variable.name, valueOf(variable)]),
  );
  const settings = readSettings({}, env);

  test('its environment is read, and its ports are those of the process', () => {
    expect(settings).toMatchObject({ host: '0.0.0.0', warnings: [] });
    expect(container.ports).toEqual([
      { name: 'http', containerPort: settings.port },
      { name: 'metrics', containerPort: settings.metrics?.port },
    ]);
    // The network policy lets both in, each from its own namespace, and out to the keys of `auth`.
    const allowed = (rules: Tree[]) =>
      rules.flatMap(({ ports }) => ports.map(({ port }: Tree) => port as number));
    expect(allowed(policy.spec.ingress)).toEqual(
      container.ports.map(({ containerPort }: Tree) => containerPort),
    );
    expect(allowed(policy.spec.egress)).toContain(443);
    expect(service.spec.ports[0].targetPort).toBe('http');
  });

  test('the store is that of the secret', async () => {
    const { secretKeyRef } = container.env.find(
      ({ name }: Tree) => name === 'SOJOURN_STORE',
    ).valueFrom;
    expect(secretKeyRef.name).toBe(secret.metadata.name);
    expect(await storeOf(secret.stringData[secretKeyRef.key], 'the secret')).toMatchObject({
      remote: true,
    });
  });

  test('a pod has the time for what it does when it gets SIGTERM', () => {
    const before = Number(container.lifecycle.preStop.exec.command[1]) * 1_000;
    const grace = template.spec.terminationGracePeriodSeconds * 1_000;
    expect(container.lifecycle.preStop.exec.command[0]).toBe('sleep');
    expect(grace).toBeGreaterThanOrEqual(before + LEAVE_MS + settings.drainTimeoutMs + 5_000);
    expect(deployment.spec.strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
  });

  test('the probes ask what an instance answers', async () => {
    const { status } = await instance();
    const paths = ['readinessProbe', 'livenessProbe', 'startupProbe'].map(
      (probe) => container[probe].httpGet,
    );
    expect(paths).toMatchObject([
      { path: '/readyz', port: 'http' },
      { path: '/healthz', port: 'http' },
      { path: '/healthz', port: 'http' },
    ]);
    for (const { path } of paths) expect([path, await status(path)]).toEqual([path, 200]);
  });
});

describe('Compose', () => {
  const [compose] = yaml('compose/compose.yaml') as [Tree];
  const { mcp, redis } = compose.services;
  const settings = readSettings({}, mcp.environment);
  const upstream = recipe('compose/upstream.conf');

  test('replicas have the time to drain, on the store that is there', async () => {
    expect(mcp.deploy.replicas).toBe(3);
    expect(ms(mcp.stop_grace_period)).toBeGreaterThanOrEqual(
      settings.drainTimeoutMs + LEAVE_MS + 5_000,
    );
    expect(await storeOf(String(settings.storeUrl), 'compose')).toMatchObject({
      remote: true,
      store: { kind: 'redis' },
    });
    expect(new URL(String(settings.storeUrl)).hostname).toBe('redis');
    expect(settings.warnings).toEqual([]);
    expect(redis.command.join(' ')).toContain('--appendonly yes');
    expect(redis.healthcheck.test.at(-1)).toBe('ping');
  });

  test('its upstream is the tested one except for the addresses of the replicas', () => {
    const settled = (text: string): string[] =>
      text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '' && !/^(#|server |resolver )/.test(line));
    expect(settled(upstream)).toEqual(settled(recipe('nginx/upstream-round-robin.conf')));
  });
});

describe('nginx', () => {
  const nginx = recipe('nginx/mcp.conf');
  const upstreams = ['nginx/upstream-round-robin.conf', 'nginx/upstream-affinity.conf'];

  test('waits longer than a stream is ever silent', () => {
    const wait = ms(directive(nginx, 'proxy_read_timeout'));
    expect(wait).toBeGreaterThanOrEqual(10 * 60_000);
    expect(wait).toBeGreaterThan(2 * DEFAULTS.keepAliveMs);
  });

  test('tries a POST at each of the three instances at most once, and not after a silence that a call may have', () => {
    const again = nginx.slice(nginx.indexOf('location @next_try'));
    expect(directive(again, 'proxy_next_upstream_tries')).toBe('3');
    const longest = ms(directive(again, 'proxy_next_upstream_timeout'));
    expect(longest).toBeLessThan(ms(directive(nginx, 'proxy_read_timeout')));
    // A session knows an attempt for two minutes after its end.
    expect(longest).toBeLessThan(120_000);
    expect(nginx.match(/non_idempotent/g)).toHaveLength(1);
  });

  test('lets go of a connection before the instance does', async () => {
    // nginx lets go after 60 s, which no upstream changes.
    expect((await instance()).keepAliveMs).toBeGreaterThan(60_000);
    for (const file of [...upstreams, 'compose/upstream.conf']) {
      expect(directive(recipe(file), 'keepalive_timeout')).toBe('no keepalive_timeout');
    }
  });
});

test('each proxy that repeats POSTs names them in the header that the instances know', () => {
  for (const [file, header] of [
    ['nginx/mcp.conf', 'proxy_set_header X-Request-Id $request_id;'],
    ['haproxy/haproxy.cfg', 'http-request set-header X-Request-Id %[unique-id]'],
    ['compose/compose.yaml', 'SOJOURN_ATTEMPT_HEADER: X-Request-Id'],
    ['kubernetes/mcp.yaml', 'name: SOJOURN_ATTEMPT_HEADER, value: X-Request-Id'],
  ] as const)
    expect([file, recipe(file).includes(header)]).toEqual([file, true]);
});

test('a gateway repeats what the other proxies repeat', () => {
  const [, route] = yaml('kubernetes/gateway.yaml') as [Tree, Tree];
  const rules = route.spec.rules as Tree[];
  expect(
    rules.map(({ name, retry, timeouts }) => [name, retry?.attempts, timeouts.request]),
  ).toEqual([
    ['reads', 1, '0s'],
    ['calls', undefined, '0s'],
    ['sessions', 1, '0s'],
    ['others', undefined, '0s'],
  ]);
  const reads = rules[0].matches[0].headers[0].value as string;
  expect(recipe('nginx/mcp.conf')).toContain(reads);
  const fixed = (method: string): boolean => new RegExp(`^(?:${reads})$`).test(method);
  const named =
    /acl reads .* -m str (.*)/.exec(recipe('haproxy/haproxy.cfg'))?.[1]?.split(' ') ?? [];
  expect([named.length, named.filter(fixed)]).toEqual([6, named]);
});

describe('HAProxy', () => {
  const haproxy = recipe('haproxy/haproxy.cfg');
  const timeout = (name: string): number =>
    ms(new RegExp(`timeout ${name} +(\\w+)`).exec(haproxy)?.[1] ?? '');

  test('waits longer than a stream is ever silent, and lets go of a connection before the instance does', async () => {
    expect(timeout('server')).toBeGreaterThan(2 * DEFAULTS.keepAliveMs);
    expect(timeout('client')).toBe(timeout('server'));
    expect((await instance()).keepAliveMs).toBeGreaterThan(timeout('http-keep-alive'));
  });
});

describe('systemd', () => {
  const unit = (name: string): string => recipe(`../systemd/${name}`);

  test('the service has the time to drain', () => {
    const stop = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit('sojourn.service'))?.[1]) * 1_000;
    expect(stop).toBeGreaterThanOrEqual(SERVE_FLAGS.drainTimeoutMs.fallback + LEAVE_MS + 5_000);
  });

  test.each(['sojourn.service', 'workers.conf', 'store.conf'])(
    '%s runs what the command line takes',
    (name) => {
      const [, flags = ''] =
        /^ExecStart=\/usr\/bin\/node node_modules\/sojourn\/dist\/cli\/main\.js serve server\.js(.*)$/m.exec(
          unit(name),
        ) ?? [];
      const wanted = {
        'sojourn.service': ['--store'],
        'workers.conf': ['--store', '--workers'],
        'store.conf': [],
      }[name];
      expect(flags.match(/--\S+/g) ?? []).toEqual(wanted);
      // A drop-in replaces the command only when it takes the first one away.
      expect(unit(name).match(/^ExecStart=$/gm)?.length ?? 0).toBe(
        name === 'sojourn.service' ? 0 : 1,
      );
    },
  );
});
