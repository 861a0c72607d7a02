/** The factory is what a server costs: when it is called, and when it need not be. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { usePerSession } from '../kit/making-servers.ts';
import { createLab, tool } from '../kit/lab.ts';
import { callModern, envelope, mirrored } from '../kit/modern.ts';
import { serve, type Face } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';

// These tests look at the server of each session.
usePerSession();

/** More than `hibernateAfterMs` and the time between two sweeps. */
const SWEPT_MS = 7_000;

async function counted(face: Face, options: McpEndpointOptions = {}) {
  const lab = createLab();
  const { client, endpoint } = await serve(lab.factory, options, { face });
  const raw = client();
  let before = 0;
  return {
    raw,
    endpoint,
    /** How often it was called since this was asked last. */
    made: () => {
      const since = lab.made.length - before;
      before = lab.made.length;
      return since;
    },
  };
}

describe.each(perFace)('the factory, over $face', ({ face }) => {
  test('is called once for a session, and not for what comes in it', async () => {
    const { raw, made } = await counted(face);
    await raw.initialize();
    expect(made()).toBe(1);
    await raw.call(...tool('count'));
    await raw.call('tools/list');
    const stream = await raw.get();
    await raw.notify('notifications/roots/list_changed');
    stream.abort();
    await raw.delete();
    expect(made()).toBe(0);
  });

  test('is not called for a session that is unknown or has ended', async () => {
    const { raw, made } = await counted(face);
    await raw.initialize();
    await raw.delete();
    made();
    expect((await raw.call('ping')).response.status).toBe(404);
    expect((await raw.call('ping', undefined, { sessionId: 'never-heard-of' })).response.status).toBe(404);
    expect(made()).toBe(0);
  });

  test('is called for a hibernated session when a request for it comes, and not when it is deleted', async () => {
    const time = createFakeTime();
    const { raw, made, endpoint } = await counted(face, { timeProvider: time, hibernateAfterMs: 1_000 });
    const asleep = async (): Promise<void> => {
      await time.advance(SWEPT_MS);
      await until(() => endpoint.sessions.count === 0);
    };
    await raw.initialize();
    made();
    await asleep();
    await raw.call('ping');
    expect(made()).toBe(1);
    await asleep();
    expect((await raw.delete()).status).toBe(200);
    expect(made()).toBe(0);
  });

  test('is called once for a request of 2026-07-28', async () => {
    const { raw, made } = await counted(face);
    const { response } = await callModern(raw, ...tool('count'));
    expect([response.status, made()]).toEqual([200, 1]);
  });

  test('is not called for a session that is refused', async () => {
    const { raw, made } = await counted(face);
    const [method, params] = tool('count');
    const body = { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: envelope() } };
    const headers = mirrored(method, params);
    const statuses: number[] = [];
    for (const [wrong, fields] of [
      [body, { ...headers, 'mcp-name': 'other' }],
      [body, { ...headers, 'mcp-protocol-version': '2099-01-01' }],
      [{ ...body, params: { name: 'count' } }, headers],
      [{ ...body, jsonrpc: '1.0' }, headers],
      [body, { ...headers, accept: 'text/html' }],
    ] as const)
      statuses.push((await raw.post(wrong, { headers: fields })).status);
    expect([...new Set(statuses.map((status) => Math.floor(status / 100)))]).toEqual([4]);
    expect(made()).toBe(0);
  });

  test('is called once for a request of stateless serving, and once for a notification', async () => {
    const { raw, made } = await counted(face, { sessionMode: 'stateless' });
    expect((await raw.call(...tool('count'))).response.status).toBe(200);
    expect(made()).toBe(1);
    expect((await raw.post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202);
    expect(made()).toBe(1);
  });
});
