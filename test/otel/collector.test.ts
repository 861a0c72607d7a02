// @module-tag matrix
/**
 * What a real collector of OpenTelemetry gets: `npm run collector` builds one with Go and runs this file. Two instances
 * of `sojourn serve` export to it, as docs/guide/operations.md says.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sessionHash } from '../../src/base/shown.ts';
import { lackOf } from '../../tools/installed.ts';
import { startNode } from '../kit/child-process.ts';
import { freePort } from '../kit/free-port.ts';
import { textOf } from '../kit/lab.ts';
import { sharedTarget } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { sdkNode } from './sdk-node.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { openClient } from '../kit/listening.ts';

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');
const MODULE = join(import.meta.dirname, 'processes/traced.mjs');
const COLLECTOR = join(import.meta.dirname, '../../tools/collector/collector');
const lacks = existsSync(COLLECTOR) ? lackOf('otel-2') : ' (`npm run collector` builds the collector)';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const traceparent = `00-${TRACE}-${PARENT}-01`;

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string };
}

interface ExportedSpan {
  readonly traceId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly attributes: readonly Attribute[];
}

interface Exported {
  readonly resourceSpans?: ReadonlyArray<{
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: ReadonlyArray<{ readonly spans: readonly ExportedSpan[] }>;
  }>;
}

const valueOf = (attributes: readonly Attribute[], name: string): string | undefined => {
  const value = attributes.find(({ key }) => key === name)?.value;
  return value?.stringValue ?? value?.intValue;
};

/** Resolves when the collector serves. */
async function startCollector() {
  const folder = temporaryFolder();
  const endpoint = `127.0.0.1:${await freePort()}`;
  const file = join(folder, 'exported.json');
  const pipeline = { receivers: ['otlp'], exporters: ['file'] };
  const config = {
    receivers: { otlp: { protocols: { http: { endpoint } } } },
    exporters: { file: { path: file, flush_interval: '100ms' } },
    service: { telemetry: { metrics: { level: 'none' } }, pipelines: { traces: pipeline, metrics: pipeline } },
  };
  // JSON is YAML.
  writeFileSync(join(folder, 'config.yaml'), JSON.stringify(config));
  const { output } = startNode(['--config', join(folder, 'config.yaml')], { program: COLLECTOR });
  await until(() => output.stderr.includes('Everything is ready'), { timeoutMs: 30_000, what: 'the collector' });
  const text = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  const spans = () =>
    text()
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .flatMap((line) => (JSON.parse(line) as Exported).resourceSpans ?? [])
      .flatMap(({ resource, scopeSpans }) =>
        scopeSpans.flatMap((scope) =>
          scope.spans.map((span) => ({ ...span, process: valueOf(resource.attributes, 'process.pid') })),
        ),
      );
  return { url: `http://${endpoint}`, text, spans };
}

async function startInstance(collector: string, store: string) {
  const { child, output, closed } = startNode(
    [...(await sdkNode()), MAIN, 'serve', MODULE, '--port', '0', '--store', store],
    {
      env: {
        ...process.env,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector,
        OTEL_SERVICE_NAME: 'traced',
        OTEL_METRICS_EXPORTER: 'otlp',
        OTEL_METRIC_EXPORT_INTERVAL: '500',
        OTEL_METRIC_EXPORT_TIMEOUT: '400',
        OTEL_BSP_SCHEDULE_DELAY: '100',
      },
    },
  );
  const url = await until(() => /(http:\/\/127\.0\.0\.1:\d+\/mcp)/.exec(output.stdout)?.[1] ?? '', {
    timeoutMs: 30_000,
    what: 'its url',
  });
  const client = openClient(url);
  // The supervisor says which process its worker is.
  const worker = await until(() => Number(/"worker_pid":(\d+)/.exec(output.stderr)?.[1]), { what: 'its worker' });
  return { child, worker, output, closed, client };
}

test.skipIf(lacks !== '')(
  `a collector gets one trace of two instances, and nothing that was said${lacks}`,
  { timeout: 120_000 },
  async () => {
    const collector = await startCollector();
    const store = `sqlite:${sharedTarget('sqlite')}`;
    const [first, second] = [await startInstance(collector.url, store), await startInstance(collector.url, store)];
    await first.client.initialize();
    second.client.sessionId = first.client.sessionId;
    second.client.protocolVersion = first.client.protocolVersion;
    for (let n = 0; n < 100; n += 1) second.client.nextId();
    const call = (name: string) => ({ name, arguments: { value: 'secret' }, _meta: { traceparent } });

    await first.client.call('tools/call', call('echo'));
    await second.client.call('tools/call', call('fails'));
    await second.client.call('resources/read', { uri: 'note://secret', _meta: { traceparent } });
    const named = (name: string) => collector.spans().filter((span) => span.name === name);
    await until(() => named('resources/read').length === 1, { timeoutMs: 20_000, what: 'the spans of the owner' });

    const slow = second.client.call('tools/call', call('slow'));
    await until(() => first.output.stdout.includes('begins slow'), { timeoutMs: 10_000 });
    process.kill(first.worker, 'SIGKILL');
    expect(textOf((await slow).message)).toBe('secret');
    await until(() => named('tools/call slow').length > 0, { timeoutMs: 20_000, what: 'the span of the second run' });
    await until(() => collector.text().includes('mcp.server.operation.duration'), { timeoutMs: 20_000 });

    const traced = collector.spans().filter(({ traceId }) => traceId === TRACE);
    const ownerOf = new Map([first, second].map(({ worker }, n) => [String(worker), n === 0 ? 'first' : 'second']));
    const seen = traced.map(({ name, parentSpanId, process: pid, attributes }) => [
      name,
      parentSpanId,
      ownerOf.get(String(pid)),
      valueOf(attributes, 'sojourn.attempt'),
      valueOf(attributes, 'mcp.session.id'),
    ]);
    const session = sessionHash(first.client.sessionId ?? '');
    expect(seen).toEqual([
      ['tools/call echo', PARENT, 'first', undefined, session],
      ['tools/call fails', PARENT, 'first', undefined, session],
      ['resources/read', PARENT, 'first', undefined, session],
      ['tools/call slow', PARENT, 'second', '2', session],
    ]);

    // The last spans before SIGTERM are exported too.
    await second.client.call('tools/call', call('echo'));
    second.child.kill('SIGTERM');
    expect(await second.closed).toEqual([0, null]);
    await until(() => named('tools/call echo').length === 2, { timeoutMs: 10_000, what: 'the last span' });
    expect(collector.text()).not.toMatch(/secret/);
    expect(collector.text()).not.toContain(first.client.sessionId);
  },
);
