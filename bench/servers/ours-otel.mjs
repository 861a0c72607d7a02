import { createRequire } from 'node:module';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

// The OpenTelemetry SDK of tools/otel-2, every request traced, with exporters that take what they get and send nothing.
const require = createRequire(new URL('../../tools/otel-2/package.json', import.meta.url));
const { metrics } = require('@opentelemetry/api');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
const { BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');

const exporter = { export: (_all, done) => done({ code: 0 }), forceFlush: async () => {}, shutdown: async () => {} };
new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] }).register();
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] }));

const { createMcpEndpoint } = await import('../../dist/index.js');
const { telemetry, watchEndpoint } = await import('../../dist/otel/index.js');

const endpoint = createMcpEndpoint(buildEchoServer, { ...telemetry(), metrics: true });
watchEndpoint(endpoint);
serve(endpoint.node);
