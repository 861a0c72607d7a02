/** `docs/reference/metrics.md` and `examples/prometheus`: every metric, and no name that does not exist. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { METRICS, metricOf, type MetricName } from '../../src/base/observe/metric-table.ts';
import { isMatrix } from '../kit/matrix.ts';
// @ts-expect-error a script without types
import * as programs from '../../scripts/servers.mjs';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const promtool = (programs as { findProgram: (name: string) => string | undefined }).findProgram(
  'promtool',
);

const SUFFIXES = ['', '_bucket', '_sum', '_count'];
const series = new Set(
  Object.keys(METRICS).flatMap((name) =>
    SUFFIXES.filter(
      (suffix) => (suffix === '') === (metricOf(name as MetricName).kind !== 'histogram'),
    ).map((suffix) => `${name}${suffix}`),
  ),
);
const labels = new Set(
  Object.keys(METRICS).flatMap((name) => metricOf(name as MetricName).labels ?? []),
);

const FOLDER = 'examples/prometheus/';

describe.each(readdirSync(new URL(FOLDER, root)))('%s', (file) => {
  const text = read(FOLDER + file);

  test('names only metrics that exist', () => {
    const named = [...text.matchAll(/\b(?:sojourn|mcp_server)_[a-z_]+\b/g)].map(([name]) => name);
    expect(named.filter((name) => !series.has(name))).toEqual([]);
  });

  test('groups by labels that exist', () => {
    const by = [...text.matchAll(/\b(?:by|without) \(([^)]*)\)/g)].flatMap(([, names = '']) =>
      names.split(/, */),
    );
    const others = ['instance', 'job', 'worker', 'le'];
    expect(by.filter((name) => !labels.has(name) && !others.includes(name))).toEqual([]);
  });
});

test.runIf(isMatrix && (promtool !== undefined || process.env['CI'] !== undefined))(
  'the alert rules are right, and fire for what they are for (needs prometheus of Debian)',
  () => {
    const path = (file: string): string => fileURLToPath(new URL(file, root));
    for (const args of [
      ['check', 'rules', path(`${FOLDER}alerts.yml`)],
      ['test', 'rules', path('test/pages/alerts_test.yml')],
    ]) {
      const { status, stdout, stderr } = spawnSync(promtool ?? 'promtool', args, {
        encoding: 'utf8',
      });
      expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, '']);
    }
  },
);

test('every alert has its first steps on the page of operations', () => {
  const alerts = [...read('examples/prometheus/alerts.yml').matchAll(/^ {6}- alert: (\w+)$/gm)].map(
    ([, name]) => name,
  );
  const page = read('docs/guide/operations.md');
  const told = [
    ...page.matchAll(
      /^### (\w+)\n\n(?:[^\n]+\n)+\n1\. .*\n(?: {3}.*\n)*2\. .*\n(?: {3}.*\n)*3\. /gm,
    ),
  ].map(([, name]) => name);
  expect(alerts.length).toBeGreaterThan(8);
  expect(told.toSorted()).toEqual(alerts.toSorted());
});
