import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { connectNegotiating, connectV2 } from '../clients/official.ts';
import { perSession } from '../kit/making-servers.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { callModern, MODERN } from '../kit/modern.ts';
import { serve, type ServeSettings } from '../kit/serve.ts';
import { perFace } from '../kit/sessions.ts';

/** The test counts the servers. */
async function serveCounted(options: McpEndpointOptions, settings: ServeSettings) {
  const lab = createLab();
  return { lab, ...(await serve(perSession(lab.factory), options, settings)) };
}

/** The person behind an official client likes green. */
const GREEN = { elicit: () => ({ action: 'accept', content: { colour: 'green' } }) };

describe('B101 one endpoint serves official clients of both eras at once', () => {
  test('the modern one without a session, the legacy one in a session', async () => {
    const { url, endpoint } = await serve(createLab().factory);
    const [modern, legacy] = await Promise.all([
      connectNegotiating(url, GREEN),
      connectV2(url, GREEN),
    ]);
    expect(modern.protocolVersion()).toBe(MODERN);
    expect(modern.sessionId).toBeUndefined();
    expect(legacy.protocolVersion()).toBe('2025-11-25');
    expect(legacy.sessionId).toMatch(/^[\w-]{22}$/);
    expect(
      await Promise.all([modern, legacy].map(({ say }) => say('echo', { text: 'hi' }))),
    ).toEqual(['hi', 'hi']);
    expect([await legacy.say('count'), await legacy.say('count')]).toEqual(['1', '2']);
    expect(endpoint.sessions.liveCount).toBe(1);
  });
});

describe.each(perFace)('over the $face face', ({ face }) => {
  test('B69 B103 B104 options callback and run hook: once per legacy session, once per modern request, discover too', async () => {
    const seen: string[] = [];
    const served = await serve(
      createLab().factory,
      {
        configureSessionOptions: (request) =>
          void seen.push(`options ${request.headers.get('x-n')}`),
        runSessionHandler: async (request, session, run) => {
          seen.push(`run ${request.headers.get('x-n')} ${session.protocolVersion}`);
          seen.push(`ran ${request.headers.get('x-n')} ${await run()}`);
        },
      },
      { face },
    );
    const one = served.client();
    const at = (n: string) => ({ headers: { 'x-n': n } });
    await one.initialize(at('a'));
    await one.call('ping', undefined, at('b'));
    // Another client with the session's id.
    await served.client({ of: one }).call('tools/list', undefined, at('c'));
    expect(seen.splice(0)).toEqual(['options a', 'run a 2025-11-25']);
    await callModern(one, 'server/discover', {}, at('d'));
    await callModern(one, 'tools/list', {}, at('e'));
    expect(seen.splice(0)).toEqual([
      'options d',
      'run d 2026-07-28',
      'ran d request_done',
      'options e',
      'run e 2026-07-28',
      'ran e request_done',
    ]);
    await one.delete(at('f'));
    expect(seen).toEqual(['ran a deleted']);
  });

  test('B105 B106 B220 a modern POST gets no session header, and a session header of the request is neither looked up nor echoed', async () => {
    const asked: string[] = [];
    const { client, lab } = await serveCounted(
      {
        sessionMigrationHandler: {
          allowSessionMigration: (_request, id) => {
            asked.push(id);
            return null;
          },
        },
      },
      { face },
    );
    const one = client();
    const { response } = await one.initialize();
    expect(response.headers('mcp-session-id')).toEqual([one.sessionId]);
    for (const sessionId of [null, one.sessionId, 'made-up', 'white space']) {
      const modern = await callModern(
        one,
        'tools/call',
        { name: 'who', arguments: {} },
        { sessionId, lastEventId: 'x-1-g-0' },
      );
      expect(modern.response.status).toBe(200);
      expect(modern.response.header('mcp-session-id')).toBeUndefined();
      expect(JSON.parse(textOf(modern.message) ?? '')).not.toHaveProperty('id');
      const refused = await callModern(
        one,
        'tools/call',
        { name: 'who' },
        { sessionId, headers: { accept: 'text/html' } },
      );
      expect([refused.response.status, refused.response.header('sojourn-refused')]).toEqual([
        406,
        undefined,
      ]);
    }
    expect(asked).toEqual([]);
    expect(lab.made.length).toBe(5);
  });
});

test('B109 a modern-first official client falls back to initialize against a stateful endpoint; tools and elicitation work', async () => {
  const { url, endpoint } = await serve(createLab().factory, { sessionMode: 'stateful' });
  const { protocolVersion, sessionId, say } = await connectNegotiating(url, GREEN);
  expect(protocolVersion()).toBe('2025-11-25');
  expect(sessionId).toMatch(/^[\w-]{22}$/);
  expect(await say('echo', { text: 'hi' })).toBe('hi');
  expect(await say('ask')).toBe('accept {"colour":"green"}');
  expect(endpoint.sessions.liveCount).toBe(1);
});
