// @module-tag per-session
/** The factory is what a server costs: when it is called, and when it need not be. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLab, tool } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';

/** More than `hibernateAfterMs` and the time between two sweeps. */
const SWEPT_MS = 7_000;

describe.each(perFace)('the factory, over $face', ({ serve }) => {
  async function counted(options: McpEndpointOptions = {}) {
    const lab = createLab();
    const { client, endpoint } = await serve(lab.factory, options);
    /** `made`: how often it was called since this was asked last. */
    return { raw: client(), endpoint, made: () => lab.made.splice(0).length };
  }

  test('is called once for a session and once when it wakes, and not for what comes in it, its end or an unknown one', async () => {
    const time = createFakeTime();
    const { raw, made, endpoint } = await counted({ timeProvider: time, hibernateAfterMs: 1_000 });
    /** The endpoint may hear late that a stream is closed. */
    const asleep = () =>
      until(async () => {
        await time.advance(SWEPT_MS);
        return endpoint.sessions.liveCount === 0;
      });
    await raw.initialize();
    await raw.call(...tool('count'));
    const stream = await raw.get();
    await raw.notify('notifications/roots/list_changed');
    stream.abort();
    expect(made()).toBe(1);
    await asleep();
    await raw.call('ping');
    expect(made()).toBe(1);
    await asleep();
    expect((await raw.delete()).status).toBe(200);
    for (const sessionId of [raw.sessionId, 'never-heard-of'])
      expect((await raw.call('ping', undefined, { sessionId })).response.status).toBe(404);
    expect(made()).toBe(0);
  });

  test('is called once for a request or a notification without a session, and not for one that is refused', async () => {
    const { raw, made } = await counted({ sessionMode: 'stateless' });
    expect((await raw.call(...tool('count'))).response.status).toBe(200);
    expect(made()).toBe(1);
    expect((await raw.notify('notifications/initialized')).status).toBe(202);
    expect(made()).toBe(1);
    expect((await callModern(raw, ...tool('count'))).response.status).toBe(200);
    expect(made()).toBe(1);
    for (const wrong of [
      { headers: { 'mcp-name': 'other' } },
      { headers: { 'mcp-protocol-version': '2099-01-01' } },
      { headers: { accept: 'text/html' } },
      { meta: { 'io.modelcontextprotocol/clientCapabilities': undefined } },
    ])
      expect([400, 406]).toContain((await postModern(raw, ...tool('count'), wrong)).status);
    expect((await raw.post({ jsonrpc: '1.0', id: 1, method: 'tools/list' })).status).toBe(400);
    expect(made()).toBe(0);
  });
});
