/**
 * How long official TypeScript clients wait for the answer of a call of 1.5 s when `kill -9` ends one of two hosts behind
 * nginx, and what they lose when nginx is away for a while: with `retryMs` alone, and with `fleetRetryMs`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { startProxy, type Proxy } from '../test/deploy/proxy-program.ts';
import { type BrokenCall, type Caller, openCallers } from './fail-over-clients.ts';
import type { Runtime } from './runtimes.ts';
import { ServedWorkers } from './served-workers.ts';
import { percentile } from './statistics.ts';
import { startStore, type StoreKind } from './store-servers.ts';
import { formatTable } from './table.ts';

export interface FailOverOptions {
  readonly rounds: number;
  /** Clients, half of them on each line of the SDK. */
  readonly connections: number;
  readonly only: readonly string[];
}

export interface FailOverReport {
  readonly runtime: Runtime;
  readonly store: StoreKind;
  readonly rows: readonly FailOverRow[];
}

interface FailOverRow {
  readonly title: string;
  readonly side: string;
  readonly calls: readonly BrokenCall[];
}

/** `awayMs`: nginx ends, and starts again so much later; `undefined`: a host is killed. */
const KINDS: ReadonlyArray<{ readonly id: string; readonly title: string; readonly awayMs?: number }> = [
  { id: 'killed', title: 'one of two hosts killed' },
  { id: 'front-2', title: 'nginx away for 2 s', awayMs: 2_000 },
  { id: 'front-4', title: 'nginx away for 4 s', awayMs: 4_000 },
  { id: 'front-6', title: 'nginx away for 6 s', awayMs: 6_000 },
];
const SIDES: ReadonlyArray<readonly [title: string, args: readonly string[]]> = [
  ['retryMs 4,000', []],
  ['fleetRetryMs 1,000', ['--fleet-retry-ms', '1000']],
];
const HOSTS = ['bench-a', 'bench-b'] as const;
/** Both hosts have seen each other's lease by then, and every client calls. */
const SETTLE_MS = 2_500;
/** How long one call takes: the death comes at a random moment of it. */
const WORK_MS = 1_500;

class Deployment {
  readonly hosts = new Map<string, ServedWorkers>();
  readonly #start: (host: string) => Promise<ServedWorkers>;
  proxy: Proxy | undefined;

  constructor(start: (host: string) => Promise<ServedWorkers>) {
    this.#start = start;
  }

  async open(): Promise<string> {
    for (const host of HOSTS) this.hosts.set(host, await this.#start(host));
    return (await this.front()).url;
  }

  /** nginx, with the round robin of the deployment page. */
  async front(): Promise<Proxy> {
    const files = ['nginx/mcp.conf', 'nginx/upstream-round-robin.conf'];
    const ports = [...this.hosts.values()].map(({ port }) => port);
    this.proxy = await startProxy('nginx', files, ports, this.proxy && { port: this.proxy.port });
    return this.proxy;
  }

  async close(): Promise<void> {
    await this.proxy?.close();
    await Promise.all([...this.hosts.values()].map((host) => host.stop()));
  }
}

export async function measureFailOver(
  runtime: Runtime,
  store: StoreKind,
  { rounds, connections, only }: FailOverOptions,
  progress: (text: string) => void,
): Promise<FailOverReport> {
  const rows: FailOverRow[] = [];
  for (const { id, title, awayMs } of KINDS) {
    if (only.length > 0 && !only.includes(id)) continue;
    for (const [side, args] of SIDES) {
      const calls: BrokenCall[] = [];
      for (let round = 1; round <= rounds; round++) {
        progress(`${title}, ${side}, ${String(round)} of ${String(rounds)}`);
        calls.push(...(await breakOnce(runtime, store, args, connections, awayMs)));
      }
      rows.push({ title, side, calls });
    }
  }
  return { runtime, store, rows };
}

async function breakOnce(
  runtime: Runtime,
  store: StoreKind,
  args: readonly string[],
  count: number,
  awayMs: number | undefined,
): Promise<BrokenCall[]> {
  const server = await startStore(store);
  const preload = new URL('servers/host-name.mjs', import.meta.url).href;
  const deployment = new Deployment((host) =>
    ServedWorkers.start(runtime, 1, server.url, {
      module: 'fail-over-module.mjs',
      args,
      env: { NODE_OPTIONS: `--import=${preload}`, HOST_NAME: host },
    }),
  );
  let callers: Caller[] = [];
  try {
    callers = await openCallers(await deployment.open(), count, WORK_MS);
    await delay(SETTLE_MS + WORK_MS * Math.random());
    for (const caller of callers) caller.last();
    const at = performance.now();
    if (awayMs === undefined) await deployment.hosts.get(HOSTS[0])?.kill();
    else {
      await deployment.proxy?.close();
      await delay(awayMs);
      await deployment.front();
    }
    const ended = await Promise.all(callers.map((caller) => caller.ended(at)));
    return ended.filter((call) => call !== undefined);
  } finally {
    await Promise.all(callers.map((caller) => caller.close()));
    await deployment.close();
    await server.close();
  }
}

export function formatFailOver({ runtime, store, rows }: FailOverReport): string {
  const lines = rows.map(({ title, side, calls }) => {
    const answered = calls.flatMap(({ answeredMs }) => answeredMs ?? []).toSorted((a, b) => a - b);
    return [
      title,
      side,
      `${String(calls.length)} calls broken`,
      `${String(calls.length - answered.length)} lost`,
      `p50 ${seconds(percentile(answered, 0.5))}`,
      `p95 ${seconds(percentile(answered, 0.95))}`,
      `longest ${seconds(answered.at(-1) ?? Number.NaN)}`,
    ];
  });
  return `Calls of 1.5 s, ${store} · Node ${runtime.version}\n\n${formatTable(lines)}`;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
