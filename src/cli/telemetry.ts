/** OpenTelemetry under `serve`: on when a provider is registered, as `node --import ./otel.mjs` does. */
import type { McpEndpoint } from '../endpoint/mcp-endpoint.ts';
import type { McpEndpointOptions } from '../options/endpoint-options.ts';
import type { Logger } from '../types.ts';

export interface ServedTelemetry {
  readonly options: McpEndpointOptions;
  /** Reports the values of now. */
  watch(endpoint: McpEndpoint): void;
}

/** Where `@opentelemetry/api` 1 keeps what is registered, whichever copy registers it. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

function isRegistered(): boolean {
  const registered = (globalThis as Record<symbol, { trace?: unknown; metrics?: unknown } | undefined>)[REGISTERED];
  return registered?.trace !== undefined || registered?.metrics !== undefined;
}

/** A module that uses `telemetry()` itself keeps what it has. */
export async function withTelemetry(options: McpEndpointOptions, logger: Logger): Promise<ServedTelemetry> {
  const none = { options, watch: () => {} };
  if (!isRegistered()) return none;
  try {
    const { telemetry, watchEndpoint } = await import('../otel/index.ts');
    const { isTelemetry } = await import('../otel/spans.ts');
    const own = [options.aroundRequest ?? []].flat();
    if (own.some(isTelemetry)) return none;
    const { aroundRequest, observe } = telemetry();
    const both: McpEndpointOptions['observe'] = (notice) => {
      void observe(notice);
      return options.observe?.(notice);
    };
    return {
      options: { ...options, metrics: true, aroundRequest: [aroundRequest, ...own], observe: both },
      watch: (endpoint) => void watchEndpoint(endpoint),
    };
  } catch (error) {
    logger.warn(
      { err: error },
      'OpenTelemetry is registered, but sojourn cannot load @opentelemetry/api: install it here',
    );
    return none;
  }
}
