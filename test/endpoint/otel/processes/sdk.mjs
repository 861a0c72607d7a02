/**
 * Registers the OpenTelemetry SDK of the folder `SOJOURN_TEST_OTEL` of `test/installs/`, for `node --import`. Each finished
 * span is a line `span {…}` on stdout; the signal SIGUSR2 writes lines `metric {…}`, then `measured {}`.
 */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const folder = process.env.SOJOURN_TEST_OTEL ?? 'otel-2';
const require = createRequire(
  join(resolve(import.meta.dirname, '../../../installs'), folder, 'package.json'),
);
const { context, metrics, propagation, trace } = require('@opentelemetry/api');
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
const {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} = require('@opentelemetry/core');
const sdkMetrics = require('@opentelemetry/sdk-metrics');
const { NodeTracerProvider } = folder === 'otel-2' ? require('@opentelemetry/sdk-trace-node') : {};
const sdk = require(
  folder === 'otel-2' ? '@opentelemetry/sdk-trace-base' : '@opentelemetry/sdk-trace',
);

const say = (kind, value) => process.stdout.write(`${kind} ${JSON.stringify(value)}\n`);

const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      say('span', {
        traceId,
        spanId,
        name: span.name,
        kind: span.kind,
        status: span.status,
        attributes: span.attributes,
        parent: span.parentSpanContext?.spanId,
        links: span.links.map(({ context: linked }) => linked.spanId),
        events: span.events,
      });
    }
    done({ code: 0 });
  },
  async shutdown() {},
  async forceFlush() {},
};
const Provider = NodeTracerProvider ?? sdk.TracerProvider;
const processor = new sdk.SimpleSpanProcessor(folder === 'otel-2' ? exporter : { exporter });
trace.setGlobalTracerProvider(new Provider({ spanProcessors: [processor] }));

const {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} = sdkMetrics;
const values = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const meters = new MeterProvider({
  readers: [
    new PeriodicExportingMetricReader({ exporter: values, exportIntervalMillis: 3_600_000 }),
  ],
});
metrics.setGlobalMeterProvider(meters);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(
  new CompositePropagator({
    propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
  }),
);

async function reportMetrics() {
  await meters.forceFlush();
  for (const { scopeMetrics } of values.getMetrics())
    for (const { metrics: all } of scopeMetrics)
      for (const { descriptor, dataPoints } of all)
        say('metric', { name: descriptor.name, unit: descriptor.unit, points: dataPoints });
  say('measured', {});
}
process.once('SIGUSR2', () => void reportMetrics());

export { context, propagation, trace };
