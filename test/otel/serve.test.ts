/** Telemetry under `sojourn serve`: on when `--import` registers a provider, in each worker. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { installed, lackOf } from '../../tools/installed.ts';
import { startNode } from '../kit/child-process.ts';
import { sharedTarget } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { openClient } from '../kit/listening.ts';

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');
const SDK = pathToFileURL(join(import.meta.dirname, 'processes/sdk.mjs')).href;
const MODULE = join(import.meta.dirname, 'processes/module.mjs');
const lacks = lackOf('otel-2');

const spansOf = (output: string): Array<{ name: string }> =>
  [...output.matchAll(/span (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json) as { name: string });

test.skipIf(lacks !== '').each([
  ['one process', [] as string[]],
  ['two workers', ['--workers', '2', '--store', 'sqlite']],
])(`serve has spans where a provider is registered: %s${lacks}`, { timeout: 60_000 }, async (_name, args) => {
  await installed('otel-2');
  const flags = args.map((arg) => (arg === 'sqlite' ? `sqlite:${sharedTarget('sqlite')}` : arg));
  const { child, output, closed } = startNode(['--import', SDK, MAIN, 'serve', MODULE, '--port', '0', ...flags]);
  const url = await until(() => /(http:\/\/127\.0\.0\.1:\d+\/mcp)/.exec(output.stdout)?.[1] ?? '', {
    timeoutMs: 30_000,
    what: 'its url',
  });
  const client = openClient(url);
  await client.initialize();
  await client.call('tools/call', { name: 'hello', arguments: {} });
  await until(() => spansOf(output.stdout).some(({ name }) => name === 'tools/call hello'), {
    timeoutMs: 10_000,
    what: `a span: ${output.stdout} ${output.stderr}`,
  });
  child.kill('SIGTERM');
  expect(await closed).toEqual([0, null]);
  expect(output.stderr).not.toMatch(/OpenTelemetry/);
});
