/** The example of telemetry with the `otel.mjs` beside it, as docs/guide/operations.md starts it. */
import { expect, test } from 'vitest';
import { lackOf } from '../../installs/installed.ts';
import { connectV2 } from '../../clients/official.ts';
import { sdkNode } from './telemetry-sdk.ts';
import { startExample } from './example-process.ts';

const lacks = lackOf('otel-2');

test.skipIf(lacks !== '')(`examples/telemetry exports spans and metrics${lacks}`, async () => {
  const example = startExample('telemetry/server.ts', {
    flags: sdkNode(),
    env: {
      OTEL_SERVICE_NAME: 'telemetry-example',
      OTEL_TRACES_EXPORTER: 'console',
      OTEL_METRICS_EXPORTER: 'console',
    },
  });
  const { say, client } = await connectV2(await example.url());
  expect(await say('hello')).toBe('hello');
  await client.close();
  expect([await example.stop(), example.complaints()]).toEqual([0, '']);
  // What the SDK still had is exported at the end.
  const { stdout } = example.output;
  expect(stdout).toContain("name: 'tools/call hello'");
  for (const name of ['mcp.server.operation.duration', 'sojourn.sessions.live'])
    expect(stdout).toContain(`name: '${name}'`);
});
