/** OpenTelemetry under `serve`: on when a provider is registered, as `node --import ./otel.mjs` does. */
import { setTimeout as delay } from 'node:timers/promises';
import type { McpEndpointOptions } from '../base/options/mcp-endpoint-options.ts';
import type { Logger } from '../base/types.ts';

/** Where `@opentelemetry/api` 1 keeps what is registered, whichever copy registers it. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

/** How long the end of a process waits for an exporter: its collector may be away. */
const EXPORT_MS = 2_000;

interface Provider {
  forceFlush?(): Promise<void>;
  /** The provider behind a global one. */
  getDelegate?(): Provider;
}

const registered = (): { trace?: Provider; metrics?: Provider } =>
  (globalThis as Record<symbol, { trace?: Provider; metrics?: Provider } | undefined>)[
    REGISTERED
  ] ?? {};

/** Exports the spans and metrics of the last seconds, which an exporter collects before it sends them. */
export async function exportRest(): Promise<void> {
  const { trace, metrics } = registered();
  const flushed = [trace?.getDelegate?.() ?? trace, metrics].map(async (provider) =>
    provider?.forceFlush?.(),
  );
  await Promise.race([Promise.allSettled(flushed), delay(EXPORT_MS, undefined, { ref: false })]);
}

/** `watch` reports the values of now. A module that uses `telemetry()` itself keeps what it has. */
export async function withTelemetry(options: McpEndpointOptions, logger: Logger) {
  const { trace, metrics } = registered();
  if (trace === undefined && metrics === undefined) return { options };
  const otel = await import('../endpoint/otel/index.ts').catch((err: unknown) => {
    logger.warn(
      { err },
      'OpenTelemetry is registered, but sojourn cannot load @opentelemetry/api: install it here',
    );
  });
  const { middleware = [], use = [] } = options;
  const own = [...use.map((one) => one.middleware), ...[middleware].flat()];
  if (otel === undefined || own.some((await import('../endpoint/otel/spans.ts')).isTelemetry))
    return { options };
  return {
    options: { ...options, metrics: true, use: [otel.telemetry(), ...use] },
    watch: otel.watchEndpoint,
  };
}
