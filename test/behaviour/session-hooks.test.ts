// @module-tag per-session
/** The two hooks around a session: its options from the request that opens it, and code that surrounds it. */
import { describe, expect, test } from 'vitest';
import type { ConfigureSessionOptions, McpSession, RunSessionHandler } from '../../src/index.ts';
import { createLab, tool } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { gate } from '../kit/watched-store.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';
import { perFace } from '../kit/sessions.ts';
import { failure } from '../kit/refusals.ts';

/** It called run(). */
const RETURNED = 'runSessionHandler returned ';
const THREW = 'runSessionHandler threw before it called run()';

const failed = (message: string) => failure(1, -32603, message);

describe.each(perFace)('over $face', ({ serve, inLab }) => {
  test('B191 the options callback gets the request that opens the session, once, and what it says reaches the server', async () => {
    const seen: Array<{ tenant: string | null; method: string; path: string; aborted: boolean }> =
      [];
    const { client } = await serve(createLab().factory, {
      configureSessionOptions: async (request, serverOptions, signal) => {
        const tenant = request.headers.get('x-tenant');
        seen.push({
          tenant,
          method: request.method,
          path: new URL(request.url).pathname,
          aborted: signal.aborted,
        });
        if (tenant !== 'red') return { ...serverOptions, instructions: 'another object' };
        serverOptions.instructions = 'in place';
        return undefined;
      },
    });
    const red = client({ headers: { 'x-tenant': 'red' } });
    expect((await red.initialize()).message.result).toMatchObject({ instructions: 'in place' });
    await red.call('tools/list');
    await red.call('ping');
    const get = await red.get();
    get.abort();
    await red.delete();
    expect(seen).toEqual([{ tenant: 'red', method: 'POST', path: '/mcp', aborted: false }]);
    const blue = client({ headers: { 'x-tenant': 'blue' } });
    expect((await blue.initialize()).message.result).toMatchObject({
      instructions: 'another object',
    });
    expect(seen.map(({ tenant }) => tenant)).toEqual(['red', 'blue']);
  });

  test('B191 an options callback that throws fails the initialize and leaves nothing behind', async () => {
    const lab = createLab();
    const configureSessionOptions: ConfigureSessionOptions = () => {
      throw new Error('no tenant in /srv/tenants');
    };
    const { client, endpoint } = await serve(lab.factory, { configureSessionOptions });
    const { response, message } = await client().initialize();
    expect(response.status).toBe(500);
    expect(response.header('mcp-session-id')).toBeUndefined();
    expect(message).toEqual(failed('Internal error: configureSessionOptions threw'));
    expect(lab.made).toHaveLength(0);
    expect(await endpoint.sessions.list()).toEqual({ sessions: [] });
  });

  test('B192 the run hook surrounds the session, with its server, its signal and the reason of its end', async () => {
    const lab = createLab();
    const story: unknown[] = [];
    let given: McpSession | undefined;
    const { openSession } = await serve(lab.factory, {
      runSessionHandler: async (request, session, run) => {
        if (session.kind === 'session') given = session;
        story.push([
          'start',
          request.headers.get('x-tenant'),
          session.server === lab.made[0]?.server,
        ]);
        session.signal.addEventListener('abort', () =>
          story.push(['aborted', session.signal.reason]),
        );
        story.push(['end', await run()]);
      },
    });
    const one = await openSession({}, { headers: { 'x-tenant': 'red' } });
    expect(story).toEqual([['start', 'red', true]]);
    expect(given).toMatchObject({ id: one.sessionId, protocolVersion: '2025-11-25' });
    expect((await one.call(...tool('echo', { text: 'within' }))).response.status).toBe(200);
    expect(given?.signal.aborted).toBe(false);
    await one.delete();
    expect(story.slice(1)).toEqual([
      ['aborted', 'deleted'],
      ['end', 'deleted'],
    ]);
  });

  test('B192 a run hook that returns while the session lives ends it', async () => {
    const { hook, open: leave } = gate();
    const runSessionHandler: RunSessionHandler = async (_request, _session, run) => {
      void run();
      await hook();
    };
    const { one, lab, endpoint } = await inLab({ runSessionHandler });
    const ended: unknown[] = [];
    endpoint.notices.on('sessionEnded', ({ sessionId, reason }) => ended.push([sessionId, reason]));
    const held = one.call(...tool('hold'));
    await lab.held();
    leave();
    const { message } = await held;
    expect(message.error).toMatchObject({ code: -32000, data: { reason: 'session_ended' } });
    await until(() => ended.length > 0);
    expect(ended).toEqual([[one.sessionId, 'handler_returned']]);
    expect((await one.call('ping')).response.status).toBe(404);
    expect(lab.made.map(({ closed }) => closed)).toEqual([true]);
  });

  test.each<[string, RunSessionHandler, string]>([
    ['throws before run()', () => Promise.reject(new Error('no room in /var/lib/rooms')), THREW],
    [
      'returns before run()',
      () => Promise.resolve(),
      'runSessionHandler returned before it called run(); it must',
    ],
    [
      'throws synchronously',
      () => {
        throw new Error('no room in /var/lib/rooms');
      },
      THREW,
    ],
    ['forgets to return run()', (_request, _session, run) => void run(), RETURNED],
    [
      'forgets to await run()',
      async (_request, _session, run) => {
        void run();
      },
      RETURNED,
    ],
  ])(
    'B192 a run hook that %s fails the initialize and leaves nothing behind',
    async (_, runSessionHandler, why) => {
      const lab = createLab();
      const { client, endpoint, log } = await serve(lab.factory, { runSessionHandler });
      const one = client();
      const { response, message } = await one.initialize();
      expect(response.status).toBe(500);
      expect(response.header('mcp-session-id')).toBeUndefined();
      expect(message.error).toMatchObject({
        code: -32603,
        message: expect.stringContaining(`Internal error: ${why}`),
      });
      if (why !== THREW)
        expect(message.error?.message).toMatch(/; it must return run\(\), or await it$/);
      expect(log.matching(/runSessionHandler/, 'warn').map((line) => line.message)).toEqual([
        expect.stringContaining(message.error?.message ?? '?'),
      ]);
      expect(endpoint.sessions.liveCount).toBe(0);
      // A server that was connected is closed.
      expect(lab.made.map(({ closed }) => closed)).toEqual([why === RETURNED]);
      expect(await endpoint.sessions.list()).toEqual({ sessions: [] });
      const { response: modern, message: refused } = await callModern(client(), 'server/discover');
      expect([modern.status, refused.error?.code]).toEqual([500, -32603]);
    },
  );

  test('B192 a run hook that throws afterwards is logged, and its session ends', async () => {
    let fail!: (error: Error) => void;
    const failed = new Promise<void>((_, reject) => (fail = reject));
    const { one, endpoint, log } = await inLab({
      runSessionHandler: async (_request, _session, run) => {
        await Promise.race([run(), failed]);
      },
    });
    fail(new Error('the room burnt down'));
    await until(() => endpoint.sessions.liveCount === 0);
    expect(
      log.matching(/runSessionHandler threw/, 'warn').map(({ fields }) => fields['sessionId']),
    ).toEqual([hashOf(one.sessionId)]);
    expect((await one.call('ping')).response.status).toBe(404);
  });

  test('B192 a run hook that throws while the session leaves is logged, and DELETE is answered', async () => {
    const { one, log } = await inLab({
      runSessionHandler: async (_request, _session, run) => {
        await run();
        throw new Error('the broom is broken');
      },
    });
    expect((await one.delete()).status).toBe(200);
    expect(log.matching(/runSessionHandler threw/, 'warn')).toHaveLength(1);
  });
});
