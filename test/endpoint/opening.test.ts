import { expect, test } from 'vitest';
import { createMcpEndpoint, type McpEndpointOptions } from '../../src/index.ts';
import { storeUnavailable } from '../../src/base/errors.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { initializeRequest } from '../kit/initialize-request.ts';
import { createLab } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';

/** A store that cannot be opened until `back()`, like an unreachable server. */
function awayStore(): Store & { attempts: number; back(): void } {
  const inner = memory();
  let away = true;
  return {
    kind: 'away',
    durable: true,
    attempts: 0,
    async open(options) {
      this.attempts += 1;
      if (away) throw storeUnavailable('it refuses connections');
      return inner.open(options);
    },
    back() {
      away = false;
    },
  };
}

async function opening(options: McpEndpointOptions = {}) {
  const [time, log, store] = [createFakeTime(), createLog(), awayStore()];
  const endpoint = createMcpEndpoint(createLab().factory, {
    store,
    timeProvider: time,
    logger: log,
    ...options,
  });
  await until(() => store.attempts === 1);
  return { time, log, store, endpoint };
}

test('a store that is unreachable at the start is tried again without a request, and logged once', async () => {
  const { time, log, store, endpoint } = await opening();
  const waiting = endpoint.fetch(initializeRequest());
  expect(endpoint.health().store).toBe('unavailable');
  for (let n = 0; n < 3; n++) await time.advance(1_000);
  expect(store.attempts).toBeGreaterThanOrEqual(4);
  expect(log.lines.filter(({ level }) => level === 'error' || level === 'warn')).toHaveLength(1);
  store.back();
  // The longest pause with its jitter.
  await time.advance(1_500);
  await until(() => endpoint.health().store === 'ok');
  expect((await waiting).status).toBe(200);
  const attempts = store.attempts;
  expect((await endpoint.fetch(initializeRequest())).status).toBe(200);
  await time.advance(10_000);
  expect(store.attempts).toBe(attempts);
  await endpoint.close({ timeoutMs: 0 });
});

test('a change that is announced before the store is open reaches the listeners of this process', async () => {
  const { endpoint } = await opening();
  const heard = new Promise((resolve) => endpoint.bus.subscribe(resolve));
  endpoint.notify.toolsChanged();
  expect(await heard).toEqual({ kind: 'tools_list_changed' });
  await endpoint.close({ timeoutMs: 0 });
});

test('an endpoint whose store was never open drains and closes, and opens nothing any more', async () => {
  const { time, store, endpoint } = await opening();
  expect(await endpoint.drain()).toEqual({ released: 0, interrupted: 0 });
  expect(endpoint.health().state).toBe('draining');
  store.back();
  await time.advance(5_000);
  const refused = await endpoint.fetch(initializeRequest());
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  // A client opens a stream again that has ended, and some give up at a status of 400 or more.
  const stream = await endpoint.fetch(
    new Request('http://localhost/mcp', { headers: { accept: 'text/event-stream' } }),
  );
  expect([stream.status, await stream.text()]).toEqual([200, '']);
  await endpoint.close({ timeoutMs: 0 });
  expect([endpoint.health().state, (await endpoint.fetch(initializeRequest())).status]).toEqual([
    'closed',
    503,
  ]);
  expect(store.attempts).toBe(1);
});

test('an endpoint that is closed while it begins to listen leaves no socket open', async () => {
  const endpoint = createMcpEndpoint(createLab().factory, { logger: createLog() });
  const listens = endpoint.listen({ port: 0 });
  await endpoint.close({ timeoutMs: 0 });
  await expect(listens).rejects.toThrow('listen(): this endpoint is closed');
});

const post = (body: object, headers: Record<string, string> = {}, signal?: AbortSignal): Request =>
  new Request('http://localhost/mcp', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: JSON.stringify(body),
    ...(signal !== undefined && { signal }),
  });

test('a call on a session waits for a store that is not open yet up to `maxWaitMs`, then gets an error with its id', async () => {
  const { time, endpoint } = await opening({ maxWaitMs: 3_000 });
  let settled = false;
  const call = { jsonrpc: '2.0', id: 7, method: 'tools/list' };
  const headers = { 'Mcp-Session-Id': 'earlier', 'MCP-Protocol-Version': '2025-11-25' };
  const answered = endpoint.fetch(post(call, headers)).finally(() => (settled = true));
  await time.advance(2_500);
  expect(settled).toBe(false);
  await time.advance(1_000);
  const response = await answered;
  expect([response.status, response.headers.get('sojourn-refused')]).toEqual([
    200,
    'store_unavailable',
  ]);
  expect(await response.json()).toMatchObject({
    id: 7,
    error: { data: { reason: 'store_unavailable' } },
  });
  await endpoint.close({ timeoutMs: 0 });
});

test('a handshake past `maxWaitMs` gets 503 with its id while the store is not open', async () => {
  const { time, endpoint } = await opening({ maxWaitMs: 1_000 });
  const answered = endpoint.fetch(initializeRequest());
  await time.advance(1_500);
  const response = await answered;
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  expect((await response.json()) as object).toMatchObject({ id: expect.anything() });
  await endpoint.close({ timeoutMs: 0 });
});

test('a 2026-07-28 request is served while the store is not open', async () => {
  const { endpoint } = await opening();
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } };
  const headers = { 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/list' };
  const response = await endpoint.fetch(post(list, headers));
  expect([response.status, endpoint.health().store]).toEqual([200, 'unavailable']);
  expect(await response.json()).toMatchObject({ id: 1, result: { tools: expect.anything() } });
  await endpoint.close({ timeoutMs: 0 });
});

test('requests that wait for a store that is not open take the places of `limits.waitingRequests`', async () => {
  // One user may take half of them.
  const { endpoint, store, time } = await opening({ limits: { waitingRequests: 4 } });
  const statuses: (number | string)[] = [];
  const ask = (signal?: AbortSignal): unknown =>
    endpoint.fetch(new Request(initializeRequest(), signal && { signal })).then(
      ({ status }) => statuses.push(status),
      () => statuses.push('left'),
    );
  const leaves = new AbortController();
  for (const signal of [leaves.signal, undefined, undefined]) ask(signal);
  await until(() => statuses.length === 1);
  expect(statuses).toEqual([503]);
  leaves.abort();
  ask();
  store.back();
  await time.advance(1_500);
  await until(() => statuses.filter((status) => status === 200).length === 2);
  await endpoint.close({ timeoutMs: 0 });
});
