/**
 * `docs/guide/telemetry.md` and its part of `docs/reference/metrics.md`: they have every attribute and metric of
 * `src/otel`, and no other.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const NAME = /^(?:mcp|gen_ai|jsonrpc|network|rpc|error|http|sojourn)\.[a-z_.]+$/;
const sources = readdirSync(new URL('../../src/otel', import.meta.url)).map((file) => read(`src/otel/${file}`));
const used = new Set(
  sources
    .flatMap((source) => [...source.matchAll(/'([\w.]+)'/g)].map(([, name = '']) => name))
    .filter((name) => NAME.test(name)),
);
/** The names of the metrics are with the page that says what they count. */
const ofOtel = read('docs/reference/metrics.md').split('## In OpenTelemetry')[1] ?? '';
const told = new Set(
  [...`${read('docs/guide/telemetry.md')}${ofOtel}`.matchAll(/`([\w.]+)`/g)]
    .map(([, name = '']) => name)
    .filter((name) => NAME.test(name)),
);

test('the page of telemetry has every attribute and metric, and no other', () => {
  expect(used.size).toBeGreaterThan(30);
  expect([...told].toSorted()).toEqual([...used].toSorted());
});
