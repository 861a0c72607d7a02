// otel.mjs
import { NodeSDK } from '@opentelemetry/sdk-node';

const sdk = new NodeSDK(); // reads OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME …
sdk.start();
process.once('beforeExit', () => sdk.shutdown()); // exports the last spans and metrics
