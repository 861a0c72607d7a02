/**
 * A response of 2026-07-28 whose connection breaks: its client comes back with GET, and learns at once that the call is
 * lost.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { connectNegotiating } from '../clients/official.ts';
import { createLab, tool } from '../kit/lab.ts';
import { callModern, MODERN, postModern } from '../kit/modern.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';

const [method, params] = tool('hold');
const LOST = {
  code: -32_000,
  message: expect.stringContaining('may have run'),
  data: expect.anything(),
};

describe.each(perFace)('$face', ({ serve }) => {
  const open = async (options: McpEndpointOptions = {}) => {
    const lab = createLab();
    const served = await serve(lab.factory, { keepAliveMs: 20, ...options });
    return { lab, ...served, one: served.client() };
  };
  /** A GET as the SDKs send it. */
  const comeBack = (client: RawClient, lastEventId: string | undefined): Promise<RawResponse> =>
    client.get({
      version: MODERN,
      sessionId: null,
      ...(lastEventId !== undefined && { lastEventId }),
    });

  test('B28 a stream begins with an event id, and what comes back with it gets the error of its call at once', async () => {
    const { one, lab } = await open();
    const call = await postModern(one, method, params);
    const first = await call.next();
    expect(first).toMatchObject({ retry: 4_000, data: '' });
    call.abort();
    await until(() => lab.holds[0]?.ctx.mcpReq.signal.aborted, {
      what: 'the handler to be cancelled',
    });
    for (const version of [MODERN, undefined]) {
      const back = await one.get({
        version: version ?? null,
        sessionId: null,
        lastEventId: first.id,
      });
      const [error] = await back.untilEnd();
      expect([back.status, back.sse, back.ending]).toEqual([200, true, 'complete']);
      expect(error?.message).toEqual({ jsonrpc: '2.0', id: expect.any(Number), error: LOST });
      // Some clients come back after every error.
      expect((await comeBack(one, error?.id)).status).toBe(204);
    }
  });

  test("lostCalls: 'result' answers a tool call as a tool that failed, and no other request", async () => {
    const lab = createLab((server) => {
      server.registerResource('slow', 'note://slow', {}, () => new Promise(() => {}));
    });
    const { client } = await serve(lab.factory, { lostCalls: 'result', keepAliveMs: 20 });
    const one = client();
    for (const [name, given, expected] of [
      [method, params, { result: { resultType: 'complete', isError: true } }],
      ['resources/read', { uri: 'note://slow' }, { error: LOST }],
    ] as const) {
      const call = await postModern(one, name, given);
      const { id } = await call.next();
      call.abort();
      const [event] = await (await comeBack(one, id)).untilEnd();
      expect(event?.message).toMatchObject(expected);
    }
  });

  test('a call that is answered within its turn has no event id', async () => {
    const { one } = await open();
    const { response } = await callModern(one, 'tools/call', {
      name: 'echo',
      arguments: { text: 'a' },
    });
    expect(response.header('content-type')).toBe('application/json');
  });

  test.each([
    '-1-m-0.n1',
    'm-1-m-0',
    'm-1-m.n1',
    'm-1-m-0.n01',
    'm-01-m-0.n1',
    'm-1-m-00.n1',
    'm-1-m-0.n1.r0',
    `${'a'.repeat(22)}-1-m-0.n1`,
    `m-1-m-0.t${'a'.repeat(89)}`,
    'm-1-m-0.tIv8i',
    'm-1-m-0.n1.e.e',
    'm-1-m-0.x1',
    'm-1-g-0.n1',
    'x'.repeat(5_000),
  ])('another Last-Event-ID stays 405: %s', async (lastEventId) => {
    const { one } = await open();
    const response = await comeBack(one, lastEventId);
    expect([response.status, response.header('allow')]).toEqual([405, 'POST']);
  });

  test('an endpoint that does not serve 2026-07-28 takes it for no event id', async () => {
    const { one } = await open({ sessionMode: 'stateful' });
    const lastEventId = 'm-1-m-0.n1';
    expect((await comeBack(one, lastEventId)).status).toBe(400);
    expect((await one.get({ sessionId: null, lastEventId })).status).toBe(400);
  });

  test('the official client fails at once, where it waited for its timeout', async () => {
    const lab = createLab();
    const served = await serve(lab.factory, { retryMs: 5 });
    const proxy = await createFaultProxy({ port: served.port });
    onTestFinished(() => proxy.close());
    const client = await connectNegotiating(`http://127.0.0.1:${proxy.port}/mcp`);
    expect(client.protocolVersion()).toBe(MODERN);
    const call = client
      .callTool('hold', {}, { onprogress: () => {} })
      .catch((error: Error) => error.message);
    await (await lab.held()).progress(1);
    await until(() => client.notifications('notifications/progress').length === 1, {
      what: 'the first event',
    });
    proxy.cutAll();
    expect(await call).toContain('may have run');
  });
});
