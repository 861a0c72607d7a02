/** `resumeModernCalls`: a call of 2026-07-28 outlives its connection, and its client fetches the answer. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createFeatureServer } from '../clients/feature-server.ts';
import { connectNegotiating } from '../clients/official.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { callModern, MODERN, postModern } from '../kit/modern.ts';
import { faces, serve, userHeader } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

const [method, params] = tool('hold');
const LOST = { error: { code: -32_000, data: { reason: 'answer_not_kept', mayHaveRun: true } } };

/** A GET as the SDKs send it. */
const comeBack = (
  client: RawClient,
  lastEventId: string | undefined,
  headers: Record<string, string> = {},
): Promise<RawResponse> =>
  client.get({ version: MODERN, sessionId: null, headers, ...(lastEventId !== undefined && { lastEventId }) });

describe.each(faces)('%s', (face) => {
  const open = async (options: McpEndpointOptions = {}) => {
    const lab = createLab();
    const served = await serve(lab.factory, { resumeModernCalls: true, ...options }, { face, auth: userHeader });
    /** A call that runs, with the id that its stream began with. */
    const begin = async (headers: Record<string, string> = {}) => {
      const n = lab.holds.length;
      const call = await postModern(one, method, params, { headers, meta: { progressToken: 'p' } });
      const first = await call.next();
      const held = await lab.held(n);
      const progress = (value: number): Promise<void> =>
        held.ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken: 'p', progress: value },
        });
      return { call, first, held, progress };
    };
    const one = served.client();
    return { lab, ...served, one, begin };
  };

  test('continues after a cut, and the GET gets what followed and the answer', async () => {
    const { one, begin } = await open();
    const { call, first, held, progress } = await begin();
    expect(first).toMatchObject({ retry: 4_000, data: '', id: expect.stringMatching(/^[\w-]{22}-1-m-0\.I\d+$/) });
    await progress(1);
    const seen = await call.nextMessage();
    expect(seen).toMatchObject({ params: { progress: 1 } });
    call.abort();
    await progress(2);
    const back = await comeBack(one, call.events.at(-1)?.id);
    expect([back.status, back.sse]).toEqual([200, true]);
    const again = await back.next();
    expect(again).toMatchObject({ data: '', retry: 4_000 });
    expect(again.id).not.toBe(call.events.at(-1)?.id);
    expect(await back.nextMessage()).toMatchObject({ params: { progress: 2 } });
    await progress(3);
    expect(await back.nextMessage()).toMatchObject({ params: { progress: 3 } });
    held.answer('done');
    expect(textOf(await back.nextMessage())).toBe('done');
    await back.untilEnd();
    expect(back.ending).toBe('complete');
    expect(held.ctx.mcpReq.signal.aborted).toBe(false);
    expect((await comeBack(one, back.events.at(-1)?.id)).status).toBe(204);
  });

  test('a cut at the answer loses nothing, and the answer is kept for two retry times', async () => {
    const { one, begin } = await open({ retryMs: 2_000 });
    const { call, first, held } = await begin();
    held.answer('done');
    expect(textOf(await call.nextMessage())).toBe('done');
    await call.untilEnd();
    const back = await comeBack(one, first.id);
    expect(textOf(await back.nextMessage())).toBe('done');
    const isLost = async (): Promise<boolean> => {
      const late = await comeBack(one, first.id);
      const [event] = await late.untilEnd();
      return typeof event?.message === 'object' && event.message !== null && 'error' in event.message;
    };
    await until(isLost, { timeoutMs: 15_000, pollMs: 200 });
  });

  test('a client that does not come back in time has cancelled its call', async () => {
    const { one, begin } = await open({ retryMs: 50 });
    const { call, first, held } = await begin();
    call.abort();
    await until(() => held.ctx.mcpReq.signal.aborted, { what: 'the handler to be cancelled' });
    const [error] = await (await comeBack(one, first.id)).untilEnd();
    expect(error?.message).toMatchObject(LOST);
    expect((await comeBack(one, error?.id)).status).toBe(204);
  });

  test('each cut begins the time anew, and each resume gets a new id', async () => {
    const { one, begin } = await open();
    const { call, first, held } = await begin();
    call.abort();
    const ids = [first.id];
    for (let n = 0; n < 7; n++) {
      const back = await comeBack(one, ids.at(-1));
      ids.push((await back.next()).id);
      back.abort();
    }
    expect(new Set(ids).size).toBe(8);
    held.answer('done');
    const back = await comeBack(one, ids.at(-1));
    expect(textOf(await back.nextMessage())).toBe('done');
  });

  test('a request that is answered at once, and one on the way to its head, are recorded nowhere', async () => {
    const store = watchedStore();
    const { one, lab } = await open({ store });
    await callModern(one, 'tools/call', { name: 'echo', arguments: { text: 'a' } });
    expect(store.calls.filter(({ call }) => call === 'calls.create')).toEqual([]);
    expect(lab.made.length).toBe(1);
  });

  test('a call that the store does not record is cancelled when its client leaves, as without the option', async () => {
    const store = watchedStore();
    store.before['calls.create'] = () => new Promise(() => {});
    const { one, begin } = await open({ store });
    const { call, first, held } = await begin();
    call.abort();
    await until(() => held.ctx.mcpReq.signal.aborted, { what: 'the handler to be cancelled' });
    const [error] = await (await comeBack(one, first.id)).untilEnd();
    expect(error?.message).toMatchObject(LOST);
  });

  test('the official client gets the answer of a call whose connection broke twice', async () => {
    const features = createFeatureServer();
    const served = await serve(features.factory, { retryMs: 1_000, resumeModernCalls: true }, { face });
    const proxy = await createFaultProxy({ port: served.port });
    onTestFinished(() => proxy.close());
    const client = await connectNegotiating(`http://127.0.0.1:${proxy.port}/mcp`);
    expect(client.protocolVersion()).toBe(MODERN);
    const progress = () => client.notifications('notifications/progress').length;
    const call = client.callTool('hold', {}, { onprogress: () => {} });
    const held = await features.held();
    for (const n of [1, 2]) {
      await held.progress(n);
      await until(() => progress() === n, { what: `progress ${n}`, timeoutMs: 15_000 });
      proxy.cutAll();
    }
    await held.progress(3);
    await until(() => progress() === 3, { what: 'the progress after the second cut', timeoutMs: 15_000 });
    held.answer('done');
    expect((await call).content).toEqual([{ type: 'text', text: 'done' }]);
  });
});
