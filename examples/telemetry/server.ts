/**
 * Spans and metrics for OpenTelemetry. `@opentelemetry/api` alone drops them; docs/guide/operations.md has an `otel.mjs`
 * that registers an SDK:
 *
 *     node --import ./otel.mjs --import tsx server.ts
 */
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';
import { telemetry, watchEndpoint } from 'sojourn/otel';

const server = new McpServer({ name: 'telemetry-example', version: '1.0.0' });
server.registerTool('hello', { description: 'Says hello' }, () => ({
  content: [{ type: 'text', text: 'hello' }],
}));

const endpoint = createMcpEndpoint(server, { use: [telemetry()], metrics: true });
watchEndpoint(endpoint);

const { url } = await endpoint.listen({ port: Number(process.env['PORT'] ?? 3000) });
console.log(url);

process.once('SIGTERM', () => void endpoint.close());
