/**
 * A real Prometheus with the rules of `examples/prometheus` scrapes real workers: an alert fires, and every panel of
 * the dashboard has values. Without Prometheus it is skipped; under CI it fails.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../kit/free-port.ts';
import { until } from '../kit/until.ts';
import { pinned, pinnedTo, say, startWorkers } from './workers-process.ts';
// @ts-expect-error a script without types
import * as programs from '../../scripts/servers.mjs';
import { temporaryFolder } from '../kit/temporary.ts';

const program = (programs as { findProgram: (name: string) => string | undefined }).findProgram('prometheus');
const examples = new URL('../../examples/prometheus/', import.meta.url);

/** Scrapes a target each second. Returns the URL of its API. */
async function startPrometheus(target: string): Promise<string> {
  const folder = temporaryFolder();
  const port = await freePort();
  writeFileSync(
    join(folder, 'prometheus.yml'),
    JSON.stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [fileURLToPath(new URL('alerts.yml', examples))],
      scrape_configs: [{ job_name: 'sojourn', static_configs: [{ targets: [target] }] }],
    }),
  );
  mkdirSync(join(folder, 'data'));
  const args = ['--config.file', join(folder, 'prometheus.yml'), '--storage.tsdb.path', join(folder, 'data')];
  const child = spawn(program ?? 'prometheus', [...args, '--web.listen-address', `127.0.0.1:${port}`], {
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  const isReady = async (): Promise<boolean> => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok === true;
  await until(isReady, { timeoutMs: 30_000, what: 'Prometheus' });
  return `${url}/api/v1`;
}

interface Answer {
  readonly status: string;
  readonly data: {
    readonly result?: readonly { readonly value: readonly [number, string] }[];
    readonly alerts?: readonly { readonly labels: Readonly<Record<string, string>>; readonly state: string }[];
  };
}

const ask = async (url: string): Promise<Answer> => (await (await fetch(url)).json()) as Answer;

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

/** As Grafana fills its variables in. */
const filledIn = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '10s').replaceAll('$job', 'sojourn').replaceAll('$instance', '.*');

test.skipIf(program === undefined && process.env['CI'] === undefined)(
  'a call that a killed worker took with it fires its alert, and the dashboard shows it (needs prometheus of Debian)',
  async () => {
    const workers = startWorkers({ flags: ['--metrics', '0'] });
    const url = await workers.url();
    const at = await until(() => /"url":"http:\/\/([^"]+)\/metrics"/.exec(workers.output.stderr)?.[1] as string);
    const api = await startPrometheus(at);
    const value = async (expr: string): Promise<number> => {
      const { data } = await ask(`${api}/query?query=${encodeURIComponent(expr)}`);
      return Number(data.result?.[0]?.value[1]);
    };
    const firing = async (): Promise<(string | undefined)[]> =>
      ((await ask(`${api}/alerts`)).data.alerts ?? [])
        .filter(({ state }) => state === 'firing')
        .map(({ labels }) => labels['alertname']);
    await until(async () => (await value('sum(sojourn_worker_up)')) === 2, { timeoutMs: 20_000, what: 'two workers' });
    expect(await firing()).toEqual([]);

    const client = await pinnedTo(workers, workers.pid(1));
    await client.initialize();
    const lost = say(client, 'slow', { ms: 60_000 }).catch(() => 'cut');
    await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
    process.kill(workers.pid(1), 'SIGKILL');
    expect(await lost).not.toMatch(/^done/);
    expect(await say(pinned(url, client), 'where')).toMatch(/^\d+$/);
    await until(async () => (await firing()).includes('SojournCallsLost'), { timeoutMs: 30_000, what: 'the alert' });
    expect(await value('sum(sojourn_lost_calls_total{outcome="ended"})')).toBe(1);
    expect(await value('sum(sojourn_worker_deaths_total)')).toBe(1);

    const { panels } = JSON.parse(readFileSync(new URL('grafana-dashboard.json', examples), 'utf8')) as Dashboard;
    // Nothing failed, and these workers serve no tasks.
    const quiet = ['Failed operations and refusals per second', 'Store: up, and failed calls per second'];
    const empty = async (): Promise<string[]> => {
      const titles = panels.flatMap(({ title, targets }) =>
        targets.map(async ({ expr }) => {
          const { status, data } = await ask(`${api}/query?query=${encodeURIComponent(filledIn(expr))}`);
          expect(status, `${title}: ${expr}`).toBe('success');
          return (data.result ?? []).length === 0 && !quiet.includes(title) && !title.startsWith('Tasks: ')
            ? [title]
            : [];
        }),
      );
      return (await Promise.all(titles)).flat();
    };
    // A rate needs two scrapes.
    await until(async () => (await empty()).length === 0, { timeoutMs: 20_000, what: 'values in every panel' });
  },
  120_000,
);
