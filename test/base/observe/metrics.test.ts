/**
 * `endpoint.metrics()`: what is counted in both eras, and that no client makes a series. What is counted of relays,
 * hand-overs and outages: `observer.test.ts`.
 */
import { McpServer, Server } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { storeUnavailable } from '../../../src/base/errors.ts';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { createLab, tool } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { readScrape, type Scrape } from '../../kit/prometheus.ts';
import { faces, serve, type Served } from '../../kit/serve.ts';
import { sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { said, toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';

useSharedStores();

const OPERATIONS = 'mcp_server_operation_duration_seconds_count';
const CALLS = { mcp_method_name: 'tools/call' };

const scrape = ({ endpoint }: Pick<Served, 'endpoint'>): Scrape => readScrape(endpoint.metrics());

/** Once so many operations are over: the notice of a request may come after its client has read the answer. */
async function counted(served: Pick<Served, 'endpoint'>, operations: number): Promise<Scrape> {
  await until(() => scrape(served).sum(OPERATIONS) >= operations, {
    what: `${operations} operations`,
  });
  return scrape(served);
}

const server = (more: McpEndpointOptions = {}, face: (typeof faces)[number] = 'node') =>
  serve(
    toolServer({
      echo: () => said('x'),
      fails: () => ({ content: [], isError: true }),
      throws: () => {
        throw new Error('mine');
      },
    }),
    { metrics: true, ...more },
    { face },
  );

test('without the option nothing is counted, and asking says what to give', async () => {
  const { endpoint } = await server({ metrics: false });
  expect(() => endpoint.metrics()).toThrow(/metrics: true/);
});

describe.each(faces)('over %s', (face) => {
  test('operations are counted by method, tool and error, in both eras', async () => {
    const served = await server({}, face);
    const one = await served.openSession();
    for (const name of ['echo', 'echo', 'fails', 'throws', 'none']) await one.call(...tool(name));
    await callModern(served.client(), ...tool('echo'));
    const now = await counted(served, 8);
    expect(now.sum(OPERATIONS, { mcp_method_name: 'initialize' })).toBe(1);
    expect(now.sum(OPERATIONS, { mcp_method_name: 'notifications/initialized' })).toBe(1);
    expect(now.sum(OPERATIONS, { ...CALLS, gen_ai_tool_name: 'echo' })).toBe(3);
    expect(
      now.sum(OPERATIONS, { ...CALLS, gen_ai_tool_name: 'fails', error_type: 'tool_error' }),
    ).toBe(1);
    expect(
      now.sum(OPERATIONS, { ...CALLS, gen_ai_tool_name: 'throws', error_type: 'tool_error' }),
    ).toBe(1);
    expect(
      now.sum(OPERATIONS, { ...CALLS, gen_ai_tool_name: '_OTHER', error_type: '-32602' }),
    ).toBe(1);
    expect(now.sum('sojourn_handler_errors_total', CALLS)).toBe(1);
    expect(now.sum('sojourn_sessions_opened_total')).toBe(1);
    expect(now.sum('sojourn_sessions_live')).toBe(1);
    expect(now.sum('sojourn_http_requests_total', { http_request_method: 'POST' })).toBe(8);
    expect(now.sum('mcp_server_operation_duration_seconds_bucket', { ...CALLS, le: '300' })).toBe(
      6,
    );
    await one.delete({ sessionId: String(one.sessionId) });
    await until(
      () => scrape(served).sum('sojourn_sessions_left_total', { reason: 'deleted' }) === 1,
    );
    expect(scrape(served).sum('mcp_server_session_duration_seconds_count')).toBe(1);
  });

  test('no client makes a series: of methods, tools, HTTP methods and refusals the known ones have one', async () => {
    const served = await server({ allowedHosts: ['127.0.0.1'] }, face);
    const one = await served.openSession();
    await one.call(...tool('echo'));
    const before = await counted(served, 3);
    const names = Array.from({ length: 300 }, (_, n) => `made-up-${n}`);
    for (const name of names) {
      await one.call(...tool(name));
      await one.call(name);
    }
    await one.post(
      { jsonrpc: '2.0', id: 1, method: 'ping' },
      { headers: { host: 'evil.example' } },
    );
    const after = await counted(served, 603);
    expect(after.labels('gen_ai_tool_name')).toEqual(['_OTHER', 'echo']);
    expect(after.text).not.toContain('made-up');
    expect(after.text).not.toContain('evil');
    expect(
      after.sum('sojourn_refusals_total', { reason: 'host', http_response_status_code: '403' }),
    ).toBe(1);
    // One operation more for each of: unknown tools, unknown methods; and a refusal with its status.
    const series = ({ values }: Scrape): number =>
      [...values.keys()].filter((name) => !name.includes('event_loop')).length;
    expect(series(after) - series(before)).toBeLessThanOrEqual(2 * 17 + 2);
  });
});

/** A low-level server that lists these names, and answers any. */
const lowLevel = (names: readonly string[]) =>
  serve(
    () => {
      const low = new Server({ name: 'low', version: '1.0.0' }, { capabilities: { tools: {} } });
      const inputSchema = { type: 'object' as const };
      low.setRequestHandler('tools/list', () => ({
        tools: names.map((name) => ({ name, inputSchema })),
      }));
      low.setRequestHandler('tools/call', () => ({ content: [] }));
      return low;
    },
    { metrics: true },
  );

test('a low-level server that answers any name has series for the tools that it lists, and no more than 200', async () => {
  const served = await lowLevel(Array.from({ length: 5_000 }, (_, n) => `tool-${n}`));
  const one = await served.openSession();
  await one.call(...tool('tool-1'));
  expect((await counted(served, 3)).labels('gen_ai_tool_name')).toEqual(['_OTHER']);
  await one.call('tools/list');
  for (let n = 0; n < 400; n++) await one.call(...tool(`tool-${n}`));
  await one.call(...tool('not-listed'));
  expect((await counted(served, 405)).labels('gen_ai_tool_name')).toHaveLength(201);
});

test('names with quotes, line ends and more than 64 characters are written so that a scraper reads them', async () => {
  const names = ['a "quoted" one', 'two\nlines', 'back\\slash', 'ü✓', 'x'.repeat(500)];
  const served = await lowLevel(names);
  const one = await served.openSession();
  await one.call('tools/list');
  for (const name of names) await one.call(...tool(name));
  const now = await counted(served, 8);
  expect(now.labels('gen_ai_tool_name')).toHaveLength(names.length);
  expect(now.labels('gen_ai_tool_name')).toContain('a \\"quoted\\" one');
  expect(now.text.split('\n').every((line) => line.length < 400)).toBe(true);
});

test('a store that was never open: the metrics say so', async () => {
  const inner = sharedStore('sqlite')();
  const served = await serve(
    () => new McpServer({ name: 'x', version: '1' }),
    {
      metrics: true,
      store: { ...inner, open: async () => Promise.reject(storeUnavailable('not there')) },
    },
    { face: 'node' },
  );
  await until(() => scrape(served).sum('sojourn_store_outages_total') === 1);
  expect(scrape(served).sum('sojourn_store_up')).toBe(0);
});

test('the event loop is measured, and an endpoint that is closed measures it no more', async () => {
  const { endpoint } = await serve(createLab().factory, { metrics: true });
  await until(() => readScrape(endpoint.metrics()).labels('stat').length === 3, {
    what: 'a measured delay',
  });
  await endpoint.close({ timeoutMs: 0 });
});
