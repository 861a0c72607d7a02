/** What a client writes into spans, labels and log fields: short texts, and no names that it made up. */
import type { Attributes, MeterProvider, TracerProvider } from '@opentelemetry/api';
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { expect, test } from 'vitest';
import type { ConnectableServer, McpEndpointFactory } from '../../../src/index.ts';
import { telemetry } from '../../../src/endpoint/otel/index.ts';
import { tool } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import { said, toolServer } from '../../kit/tool-server.ts';

const LONGEST = 128;
const LONG = 'x'.repeat(100_000);

interface KeptSpan {
  name: string;
  readonly attributes: Record<string, unknown>;
}

/** Providers that keep the spans, and the attributes of what is measured. */
function providers() {
  const spans: KeptSpan[] = [];
  const measured: Attributes[] = [];
  const keep = (_: number, of: Attributes) => measured.push(of);
  const meter = { createHistogram: () => ({ record: keep }), createCounter: () => ({ add: keep }) };
  const startSpan = (name: string, { attributes }: { attributes?: Attributes } = {}) => {
    const kept: KeptSpan = { name, attributes: { ...attributes } };
    spans.push(kept);
    const setAttributes = (more: Attributes) => Object.assign(kept.attributes, more);
    return {
      setAttribute: (key: string, value: string) => setAttributes({ [key]: value }),
      updateName: (changed: string) => ({ setAttributes, name: (kept.name = changed) }),
      setStatus: () => {},
      end: () => {},
    };
  };
  const tracerProvider = { getTracer: () => ({ startSpan }) } as unknown as TracerProvider;
  const meterProvider = { getMeter: () => meter } as unknown as MeterProvider;
  return {
    spans,
    measured,
    options: telemetry({ tracerProvider, meterProvider, resourceUris: true }),
  };
}

async function served(server: McpEndpointFactory | ConnectableServer, more = {}) {
  const { spans, measured, options } = providers();
  const { client, openSession, log } = await serve(server, {
    use: [options],
    accessLog: true,
    ...more,
  });
  return { spans, measured, client, openSession, log };
}

const tools = () =>
  toolServer({
    echo: () => said('x'),
    fails: () => ({ content: [], isError: true }),
    throws: () => {
      throw new Error('mine');
    },
  });

test('names that the server does not have are one name, and those of its tools are names also where they fail', async () => {
  const { spans, openSession } = await served(tools());
  const one = await openSession();
  for (const name of ['fails', 'throws', 'echo', 'made-up', LONG]) await one.call(...tool(name));
  for (const name of ['made-up', LONG]) await one.call('prompts/get', { name });
  for (const method of ['made-up', LONG]) await one.call(method);
  expect(spans.map(({ name }) => name)).toEqual([
    'initialize',
    'tools/call fails',
    'tools/call throws',
    'tools/call echo',
    'tools/call _OTHER',
    'tools/call _OTHER',
    'prompts/get _OTHER',
    'prompts/get _OTHER',
    '_OTHER',
    '_OTHER',
  ]);
  expect(spans[1]?.attributes).toMatchObject({ 'gen_ai.tool.name': 'fails' });
  expect(spans[5]?.attributes).toMatchObject({ 'gen_ai.tool.name': '_OTHER' });
  expect(spans[7]?.attributes).toMatchObject({ 'gen_ai.prompt.name': '_OTHER' });
  expect(spans[9]?.attributes).toMatchObject({ 'mcp.method.name': '_OTHER' });
});

test('a tool that version 1 of the SDK does not have is the same name, though its answer is a result', async () => {
  const { spans, openSession } = await served(() => {
    const server = new McpServer1({ name: 'old', version: '1.0.0' });
    server.registerTool('fails', {}, () => ({ content: [], isError: true }));
    return server;
  });
  const one = await openSession();
  for (const name of ['fails', 'made-up']) await one.call(...tool(name));
  expect(spans.slice(1).map(({ name }) => name)).toEqual(['tools/call fails', 'tools/call _OTHER']);
});

test('no text of a client is longer than 128 characters in a span, a label or a field of the log', async () => {
  const { spans, measured, client, openSession, log } = await served(tools(), {
    logErrorMessages: true,
  });
  const one = await openSession({
    clientInfo: { name: 'x'.repeat(7_000), version: 'x'.repeat(7_000) },
  });
  const traced = {
    traceparent: `01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-${LONG}`,
    tracestate: LONG,
  };
  await one.call('tools/call', { name: LONG, arguments: {}, _meta: traced });
  await one.call('resources/read', { uri: `note://${LONG.slice(0, 8_000)}` });
  await one.call(LONG);
  await one.post({ jsonrpc: '2.0', id: LONG, method: 'ping' });
  await one.post({ jsonrpc: '2.0', id: LONG, result: {} });
  await one.post({ jsonrpc: '2.0', id: '\0'.repeat(1_000), method: '\0'.repeat(1_000) });
  await callModern(client(), ...tool('echo'), {
    meta: { 'io.modelcontextprotocol/clientInfo': { name: LONG, version: LONG } },
  });
  const texts = [
    ...spans.flatMap(({ name, attributes }) => [name, ...Object.values(attributes)]),
    ...measured.flatMap((of) => Object.values(of)),
    ...log.lines.flatMap(({ fields }) => Object.values(fields)),
  ].filter((text) => typeof text === 'string');
  expect(spans.map(({ name }) => name)).toEqual([
    'initialize',
    'tools/call _OTHER',
    'resources/read',
    '_OTHER',
    'ping',
    '_OTHER',
    'tools/call echo',
  ]);
  expect(texts.filter((text) => text.length > LONGEST)).toEqual([]);
});
