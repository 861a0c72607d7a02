import { createHash } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { sealedSessions } from '../../src/sealed/index.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime, type RawClient } from '../../src/testing/index.ts';
import { serve } from '../kit/serve.ts';

const KEY = 'k'.repeat(32);
const NEXT_KEY = 'n'.repeat(32);

const who = (client: RawClient, options: object) =>
  client.call('tools/call', { name: 'who', arguments: {} }, { version: '2025-11-25', ...options });

const statusOf = async (client: RawClient, options: object): Promise<number> =>
  (await client.post({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'who' } }, options)).status;

/** Says which client it was made for; each endpoint has a memory of its own. */
function start(options: McpEndpointOptions) {
  return serve(
    (ctx) => {
      const server = new McpServer({ name: 'sealed', version: '1' });
      server.registerTool('who', {}, () => ({
        content: [{ type: 'text', text: `${ctx.session?.clientInfo.name} restored: ${ctx.restored}` }],
      }));
      return server;
    },
    options,
    { face: 'node', auth: ({ authorization }) => authInfo(authorization) },
  );
}

function authInfo(user: string | undefined) {
  return user === undefined ? undefined : { token: user, clientId: 'app', scopes: [], extra: { sub: user } };
}

const as = (user: string | undefined) => (user === undefined ? {} : { headers: { authorization: user } });

async function opened(keys: string[], user?: string): Promise<string> {
  const first = await start(sealedSessions({ keys }));
  const client = first.client();
  await client.initialize({ clientInfo: { name: 'Ada', version: '1' }, ...as(user) });
  const id = client.sessionId;
  await first.endpoint.close();
  if (id === undefined) throw new Error('no session');
  return id;
}

describe('sealed sessions', () => {
  test('an instance that shares nothing but the keys goes on with the session', async () => {
    const sessionId = await opened([KEY]);
    const client = (await start(sealedSessions({ keys: [KEY] }))).client();
    const { response, message } = await who(client, { sessionId });
    expect(response.status).toBe(200);
    expect(message).toMatchObject({ result: { content: [{ text: 'Ada restored: true' }] } });
  });

  test('an id shows nothing of the handshake, and no two are alike', async () => {
    const [one, two] = [await opened([KEY]), await opened([KEY])];
    expect(one).not.toBe(two);
    expect(one).toMatch(/^v1\.[\w-]{40,4000}$/);
    expect(Buffer.from(one.slice(3), 'base64url').toString('latin1')).not.toContain('Ada');
  });

  test('a rotated key still opens, a key that was taken away does not', async () => {
    const sessionId = await opened([KEY]);
    const rotated = (await start(sealedSessions({ keys: [NEXT_KEY, KEY] }))).client();
    expect(await statusOf(rotated, { sessionId })).toBe(200);
    const without = (await start(sealedSessions({ keys: [NEXT_KEY] }))).client();
    expect(await statusOf(without, { sessionId })).toBe(404);
  });

  test('an id that was changed in any place is unknown', async () => {
    const sessionId = await opened([KEY]);
    const client = (await start(sealedSessions({ keys: [KEY] }))).client();
    for (const at of [0, 3, 10, Math.floor(sessionId.length / 2), sessionId.length - 2]) {
      const other = sessionId[at] === 'A' ? 'B' : 'A';
      const changed = sessionId.slice(0, at) + other + sessionId.slice(at + 1);
      expect(await statusOf(client, { sessionId: changed })).toBe(404);
    }
  });

  test('another user, or nobody, cannot use an id', async () => {
    const sessionId = await opened([KEY], 'ada');
    const client = (await start(sealedSessions({ keys: [KEY] }))).client();
    expect(await statusOf(client, { sessionId, ...as('eve') })).toBe(404);
    expect(await statusOf(client, { sessionId })).toBe(404);
    expect(await statusOf(client, { sessionId, ...as('ada') })).toBe(200);
  });

  test('an id older than maxAgeMs no longer rebuilds a session', async () => {
    const time = createFakeTime();
    const sealed = sealedSessions({ keys: [KEY], maxAgeMs: 1_000, timeProvider: time });
    const id = await sealed.sessionIdGenerator({
      request: new Request('http://localhost'),
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'Ada', version: '1' } },
    });
    const allow = () =>
      sealed.sessionMigrationHandler.allowSessionMigration(
        new Request('http://localhost'),
        id,
        new AbortController().signal,
      );
    await time.advance(1_000);
    expect(allow()).toMatchObject({ clientInfo: { name: 'Ada' } });
    await time.advance(1);
    expect(allow()).toBeNull();
  });

  test('a handshake that does not fit into an id fails its initialize, and the log says why', async () => {
    const { client, log } = await start(sealedSessions({ keys: [KEY] }));
    // Noise: what deflate cannot make smaller.
    let noise = '';
    while (noise.length < 6_000) noise += createHash('sha256').update(noise).digest('base64');
    const { response } = await client().initialize({ clientInfo: { name: noise, version: '1' } });
    expect(response.status).toBe(500);
    expect(response.header('mcp-session-id')).toBeUndefined();
    const [line] = log.matching(/sessionIdGenerator threw/, 'error');
    expect(line?.fields['err']).toMatchObject({ message: expect.stringContaining('4096 are allowed') });
  });

  test.each([
    ['no key', { keys: [] }],
    ['a short key', { keys: ['short'] }],
    ['a key that is none', { keys: [5 as never] }],
    ['an age of nothing', { keys: [KEY], maxAgeMs: 0 }],
  ])('%s is refused with the name of the option', (_, options) => {
    expect(() => sealedSessions(options)).toThrow(/^Option (keys|keys\[0\]|maxAgeMs): /);
    expect(() => sealedSessions(options)).not.toThrow(/short$|kkkk/);
  });
});
