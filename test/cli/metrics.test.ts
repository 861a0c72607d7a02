/** `sojourn serve --metrics`, scraped while official clients call and workers come and go. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { METRICS } from '../../src/base/observe/metric-table.ts';
import { connectNegotiating, connectV1, connectV2 } from '../clients/official.ts';
import { ask } from '../kit/dashboard.ts';
import { readScrape, type Scrape } from '../kit/prometheus.ts';
import { say } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { answersGoOn, keepCalling } from '../kit/calling.ts';
import { program, startCli } from './cli-process.ts';
import { isAlive, pinnedTo, startWorkers } from './workers-process.ts';
// @ts-expect-error a script without types
import * as programs from '../../scripts/servers.mjs';

const promtool = (programs as { findProgram: (name: string) => string | undefined }).findProgram(
  'promtool',
);
const unix = process.platform !== 'win32';

const get = (url: string, headers: Record<string, string> = {}, method = 'GET') => {
  const { hostname, port, pathname } = new URL(url);
  return ask(Number(port), pathname, { headers, method, host: hostname });
};

async function metricsUrl({
  output,
}: Pick<ReturnType<typeof startCli>, 'output'>): Promise<string> {
  const told = (): string | undefined => /"url":"([^"]+\/metrics)"/.exec(output.stderr)?.[1];
  return until(() => told() as string, { what: 'the address of the metrics' });
}

const scrape = async (url: string): Promise<Scrape> => readScrape((await get(url)).body);

/** On a busy machine a worker may miss a scrape, and counts as down in it. `up`: 1 or 0 of each worker. */
async function scrapeOf(url: string, up: readonly number[]): Promise<Scrape> {
  return until(async () => {
    const seen = await scrape(url);
    const isUp = (n: number): number => seen.sum('sojourn_worker_up', { worker: String(n + 1) });
    return up.every((one, n) => isUp(n) === one) ? seen : undefined;
  }) as Promise<Scrape>;
}

describe.runIf(unix)('with workers (need a Unix system)', { timeout: 120_000 }, () => {
  test('each worker has its own series; a new process begins to count anew, and no scrape fails in that time', async () => {
    const workers = startWorkers({ flags: ['--metrics', '0'] });
    const url = await workers.url();
    const metrics = await metricsUrl(workers);
    const watching = keepCalling(async () =>
      expect((await scrape(metrics)).labels('worker')).toEqual(['1', '2']),
    );
    const clients = [await connectV1(url), await connectV2(url), await connectNegotiating(url)];
    for (const client of clients) await client.client.listTools();
    const call = async (): Promise<void> => {
      for (const client of clients)
        expect((await client.callTool('where', {})).isError).not.toBe(true);
    };
    for (let n = 0; n < 5; n++) await call();
    const one = workers.pid(1);
    process.kill(one, 'SIGKILL');
    await workers.replaced(1, one);
    for (let n = 0; n < 5; n++) await call();
    const two = workers.pid(2);
    workers.kill('SIGHUP');
    await workers.replaced(2, two);
    await until(() => !isAlive(two), { what: 'the old worker to end' });
    for (let n = 0; n < 5; n++) await call();
    await answersGoOn([watching]);
    await watching.stop();
    expect(watching.failures).toEqual([]);
    const last = await scrapeOf(metrics, [1, 1]);
    expect(last.labels('worker')).toEqual(['1', '2']);
    expect([...last.values.keys()].filter((series) => !series.includes('worker="'))).toEqual([]);
    const tools = { mcp_method_name: 'tools/call' };
    // Both processes are new since the roll: they count the last calls, and of those before only relayed ones.
    expect(last.sum('mcp_server_operation_duration_seconds_count', tools)).toBeGreaterThanOrEqual(
      15,
    );
    expect(last.sum('mcp_server_operation_duration_seconds_count', tools)).toBeLessThan(45);
    expect(last.labels('gen_ai_tool_name')).toContain('where');
    expect(last.sum('sojourn_worker_deaths_total', { worker: '1' })).toBe(1);
    expect(last.sum('sojourn_worker_deaths_total', { worker: '2' })).toBe(0);
    expect(last.sum('sojourn_worker_up')).toBe(2);
    expect([...last.kinds.keys()].filter((name) => !(name in METRICS))).toEqual([]);
  });

  test('a frozen worker keeps its last values and is down, and the others are scraped', async () => {
    const workers = startWorkers({
      flags: ['--metrics', '0', '--limits-memory-bytes', 'Infinity'],
    });
    await workers.url();
    const metrics = await metricsUrl(workers);
    const client = await pinnedTo(workers, workers.pid(1));
    await client.initialize();
    expect(await say(client, 'where')).toBe(String(workers.pid(1)));
    const before = await scrapeOf(metrics, [1, 1]);
    process.kill(workers.pid(1), 'SIGSTOP');
    const after = await scrapeOf(metrics, [0, 1]);
    process.kill(workers.pid(1), 'SIGCONT');
    const opened = { worker: '1' };
    expect(before.sum('sojourn_sessions_opened_total', opened)).toBe(1);
    expect(before.sum('sojourn_memory_limit_bytes', opened)).toBe(Infinity);
    expect(after.sum('sojourn_sessions_opened_total', opened)).toBe(1);
  });
});

test('one process: the metrics are at their own address alone, without a fault, and not under another name', async () => {
  // Each address of loopback is a name of its server.
  const host = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1';
  const serve = ['serve', program('worker-server.mjs'), '--port', '0', '--host', host];
  const cli = startCli([...serve, '--dashboard', '--metrics', `${host}:0`]);
  const endpoint = await cli.url();
  const client = await connectV1(endpoint);
  await client.callTool('where', {});
  const url = await metricsUrl(cli);
  const { body } = await get(url);
  expect(readScrape(body).labels('gen_ai_tool_name')).toContain('where');
  // promtool is in the package prometheus of Debian.
  if (promtool !== undefined) {
    const checked = spawnSync(promtool, ['check', 'metrics'], { input: body, encoding: 'utf8' });
    expect([checked.stderr + checked.stdout, checked.status]).toEqual(['', 0]);
  }
  expect((await get(new URL('/metrics', endpoint).href)).status).toBe(404);
  expect((await get(new URL('/dashboard/', endpoint).href)).status).toBe(200);
  expect((await get(url, { host: 'evil.example' })).status).toBe(403);
  expect((await get(url, { host: 'localhost:1' })).status).toBe(200);
  expect((await get(new URL('/', url).href)).status).toBe(404);
  expect((await get(url, {}, 'POST')).status).toBe(405);
});

test('away from loopback no scrape without the token is answered', async () => {
  const env = { SOJOURN_METRICS_TOKEN: 'sesame' };
  const cli = startCli(
    ['serve', program('worker-server.mjs'), '--port', '0', '--metrics', '0.0.0.0:0'],
    { env },
  );
  await cli.url();
  const { port } = new URL(await metricsUrl(cli));
  const other = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal);
  for (const host of ['127.0.0.1', ...(other === undefined ? [] : [other.address])]) {
    const url = `http://${host}:${port}/metrics`;
    for (const authorization of ['', 'Bearer', 'Bearer open', 'Basic sesame', 'Bearer sesame2']) {
      const { status, body } = await get(url, authorization === '' ? {} : { authorization });
      expect([status, body.includes('sojourn_')]).toEqual([401, false]);
    }
    expect((await get(url, { authorization: 'Bearer sesame', host: 'any.example' })).status).toBe(
      200,
    );
  }
  expect(cli.output.stderr).not.toContain('sesame');
});

test(
  'connections that ask for nothing keep a scraper out for seconds only',
  { timeout: 60_000 },
  async () => {
    const cli = startCli(['serve', program('worker-server.mjs'), '--port', '0', '--metrics', '0']);
    await cli.url();
    const url = await metricsUrl(cli);
    const idle = Array.from({ length: 32 }, () => connect(Number(new URL(url).port), '127.0.0.1'));
    await Promise.all(idle.map((one) => once(one, 'connect')));
    await expect(get(url)).rejects.toThrow();
    await until(async () => (await get(url).catch(() => undefined))?.status === 200, {
      timeoutMs: 15_000,
      what: 'a scrape',
    });
    for (const one of idle) one.destroy();
  },
);
