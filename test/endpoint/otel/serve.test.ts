/** Telemetry under `sojourn serve`: on when `--import` registers a provider, in each worker. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { lackOf } from '../../installs/installed.ts';
import { startNode } from '../../kit/child-process.ts';
import { say } from '../../kit/lab.ts';
import { sharedTarget } from '../../kit/shared-stores.ts';
import { openClient } from '../../kit/listening.ts';
import { program } from '../../cli/cli-process.ts';

const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const SDK = pathToFileURL(join(import.meta.dirname, 'processes/sdk.mjs')).href;
const lacks = lackOf('otel-2');

test.skipIf(lacks !== '').each([
  ['one process', [] as string[]],
  ['two workers', ['--workers', '2', '--store', 'sqlite']],
])(`serve has spans where a provider is registered: %s${lacks}`, async (_name, args) => {
  const flags = args.map((arg) => (arg === 'sqlite' ? `sqlite:${sharedTarget('sqlite')}` : arg));
  const serve = ['serve', program('argv-server.mjs'), '--port', '0', ...flags];
  const { output, says, stop } = startNode(['--import', SDK, MAIN, ...serve]);
  const client = openClient(await says(/(http:\/\/127\.0\.0\.1:\d+\/mcp)/));
  await client.initialize();
  expect(await say(client, 'argv')).toContain('main.js');
  await says(/span \{.*"name":"tools\/call argv"/);
  expect(await stop()).toBe(0);
  expect(output.stderr).not.toMatch(/OpenTelemetry/);
});
