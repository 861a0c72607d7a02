/**
 * OpenTelemetry (`sojourn/otel`): a span for each run of a request, and metrics, under the names of the MCP semantic
 * conventions (status Development) and `sojourn.…`. It uses two options of the endpoint and no other way in:
 * `middleware` for the runs, `observe` for what is no call. `docs/guide/operations.md` lists the attributes.
 */
import { metrics, trace, type MeterProvider, type TracerProvider } from '@opentelemetry/api';
import type { Observe } from '../../base/observe/observer.ts';
import { wholeAddOn } from '../../base/options/add-ons.ts';
import type { Middleware } from '../../base/options/middleware.ts';
import type { McpEndpoint } from '../mcp-endpoint.ts';
import { Counts, watch } from './counts.ts';
import { ServerNames } from './names.ts';
import { aroundSpan } from './spans.ts';

export interface TelemetryOptions {
  /** Default: the provider that is registered when `telemetry()` is called. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** Default: the provider that is registered when `telemetry()` is called. */
  readonly meterProvider?: MeterProvider | undefined;
  /** `true`: spans of resources have `mcp.resource.uri`, which clients choose. Default `false`. */
  readonly resourceUris?: boolean | undefined;
}

/** For the option `use` of an endpoint. */
export interface Telemetry {
  readonly middleware: Middleware;
  readonly observe: Observe;
}

const SCOPE = 'sojourn';

/** Spans and metrics of one endpoint: `createMcpEndpoint(server, { use: [telemetry()] })`. */
export function telemetry({
  tracerProvider,
  meterProvider,
  resourceUris = false,
}: TelemetryOptions = {}): Telemetry {
  const tracer = (tracerProvider ?? trace).getTracer(SCOPE);
  const counts = new Counts((meterProvider ?? metrics).getMeter(SCOPE));
  return wholeAddOn<Telemetry>({
    middleware: aroundSpan(tracer, { counts, names: new ServerNames(), resourceUris }),
    observe: (notice) => counts.note(notice),
  });
}

/**
 * Reports the values of now of an endpoint with `metrics: true`: sessions, waiting requests, memory, lease, event loop.
 * Returns a function that ends it.
 */
export function watchEndpoint(
  endpoint: McpEndpoint,
  { meterProvider }: Pick<TelemetryOptions, 'meterProvider'> = {},
): () => void {
  return watch((meterProvider ?? metrics).getMeter(SCOPE), endpoint);
}
