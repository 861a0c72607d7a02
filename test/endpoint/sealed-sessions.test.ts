import { createHash } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { sealedSessions } from '../../src/endpoint/sealed.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serve, userHeader } from '../kit/serve.ts';

const KEY = 'k'.repeat(32);
const NEXT_KEY = 'n'.repeat(32);

const who = (client: RawClient, options: object) =>
  client.call('tools/call', { name: 'who', arguments: {} }, { version: '2025-11-25', ...options });

const statusOf = async (client: RawClient, options: object): Promise<number> =>
  (
    await client.post(
      { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'who' } },
      options,
    )
  ).status;

/** Names the client it was made for. Each endpoint has its own memory store. */
function start(options: McpEndpointOptions) {
  return serve(
    (ctx) => {
      const server = new McpServer({ name: 'sealed', version: '1' });
      server.registerTool('who', {}, () => ({
        content: [
          { type: 'text', text: `${ctx.session?.clientInfo.name} restored: ${ctx.restored}` },
        ],
      }));
      return server;
    },
    options,
    { face: 'node', auth: userHeader },
  );
}

const as = (user: string | undefined) =>
  user === undefined ? {} : { headers: { 'x-user': user } };

/** The hooks of sealed sessions whose clock the test has, without an endpoint. */
function timed() {
  const time = createFakeTime();
  const sealed = sealedSessions({ keys: [KEY], maxAgeMs: 1_000, timeProvider: time });
  const request = new Request('http://localhost');
  const params = { protocolVersion: '2025-11-25', capabilities: {} };
  return {
    time,
    make: (name: string) =>
      sealed.sessionIdGenerator({
        request,
        params: { ...params, clientInfo: { name, version: '1' } },
      }),
    allow: (id: string) =>
      sealed.sessionMigrationHandler.allowSessionMigration(
        request,
        id,
        new AbortController().signal,
      ),
    end: sealed.sessionMigrationHandler.onSessionEnded,
  };
}

const bytesOf = (id: string): Buffer => Buffer.from(id.slice(3), 'base64url');

/** Other ids that decode to the same bytes. */
function otherSpellings(id: string): string[] {
  const last = id.length - 1;
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return [
    ...['=', '==', '=x', '=!'].map((padding) => id + padding),
    // Standard base64 in place of base64url.
    id.replaceAll('-', '+').replaceAll('_', '/'),
    // Unused bits of the last character.
    ...ALPHABET.split('').map((character) => id.slice(0, last) + character),
    ...'!.~*,:;@'
      .split('')
      .flatMap((stray) => [3, 20, last].map((at) => id.slice(0, at) + stray + id.slice(at))),
  ].filter((spelling) => spelling !== id && bytesOf(spelling).equals(bytesOf(id)));
}

const openWith = async (...keys: string[]): Promise<RawClient> =>
  (await start(sealedSessions({ keys }))).client();

async function opened(keys: string[], user?: string): Promise<string> {
  const first = await start(sealedSessions({ keys }));
  const client = first.client();
  await client.initialize({ clientInfo: { name: 'Ada', version: '1' }, ...as(user) });
  const id = client.sessionId;
  await first.endpoint.close({ timeoutMs: 0 });
  if (id === undefined) throw new Error('no session');
  return id;
}

async function expectUnknown(client: RawClient, ids: readonly string[]): Promise<void> {
  const statuses = await Promise.all(ids.map((sessionId) => statusOf(client, { sessionId })));
  expect(statuses).toEqual(ids.map(() => 404));
}

describe('sealed sessions', () => {
  test('an instance that shares only the keys continues the session', async () => {
    const sessionId = await opened([KEY]);
    const client = await openWith(KEY);
    const { response, message } = await who(client, { sessionId });
    expect(response.status).toBe(200);
    expect(message).toMatchObject({ result: { content: [{ text: 'Ada restored: true' }] } });
  });

  test('an id shows nothing of the handshake, and all ids differ', async () => {
    const [one, two] = [await opened([KEY]), await opened([KEY])];
    expect(one).not.toBe(two);
    expect(one).toMatch(/^v1\.[\w-]{40,4000}$/);
    expect(Buffer.from(one.slice(3), 'base64url').toString('latin1')).not.toContain('Ada');
  });

  test('limits of the application keep room for the ids: the handshake of VS Code opens a session', async () => {
    // What VS Code 1.109 sends, with the extension of MCP Apps.
    const handshake = {
      clientInfo: { name: 'Visual Studio Code - Insiders', version: '1.109.0-insider' },
      capabilities: {
        roots: { listChanged: true },
        sampling: {},
        elicitation: { form: {}, url: {} },
        tasks: {
          list: {},
          cancel: {},
          requests: { sampling: { createMessage: {} }, elicitation: { create: {} } },
        },
        extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
      },
    };
    const client = (
      await start({ ...sealedSessions({ keys: [KEY] }), limits: { sessions: 50 } })
    ).client();
    await client.initialize(handshake);
    expect(client.sessionId?.length).toBeGreaterThan(256);
    const { message } = await who(client, { sessionId: client.sessionId });
    expect(message).toMatchObject({
      result: { content: [{ text: `${handshake.clientInfo.name} restored: false` }] },
    });
  });

  test('a rotated key still opens an id, a removed key does not', async () => {
    const sessionId = await opened([KEY]);
    expect(await statusOf(await openWith(NEXT_KEY, KEY), { sessionId })).toBe(200);
    expect(await statusOf(await openWith(NEXT_KEY), { sessionId })).toBe(404);
  });

  test('an id with any changed character is unknown', async () => {
    const sessionId = await opened([KEY]);
    const client = await openWith(KEY);
    for (const at of [0, 3, 10, Math.floor(sessionId.length / 2), sessionId.length - 2]) {
      const other = sessionId[at] === 'A' ? 'B' : 'A';
      const changed = sessionId.slice(0, at) + other + sessionId.slice(at + 1);
      expect(await statusOf(client, { sessionId: changed })).toBe(404);
    }
  });

  test('other spellings of an id are unknown, and none brings an ended session back', async () => {
    const client = (await start(sealedSessions({ keys: [KEY] }))).client();
    await client.initialize();
    const { sessionId = '' } = client;
    const spellings = otherSpellings(sessionId);
    expect(spellings.length).toBeGreaterThan(25);
    // While the session lives, after its end, and on an instance that never knew the session.
    await expectUnknown(client, spellings);
    expect(await statusOf(client, { sessionId })).toBe(200);
    expect((await client.delete()).status).toBe(200);
    await expectUnknown(client, [...spellings, sessionId]);
    await expectUnknown(await openWith(KEY), spellings);
  });

  test('every endpoint of one sealedSessions() remembers an end, until the id is too old', async () => {
    const { make, allow, end } = timed();
    const [deleted, lost, other] = [await make('a'), await make('b'), await make('c')];
    await end?.(deleted, 'deleted');
    // The endpoint closed and lost its memory store. The id must work on the next endpoint.
    await end?.(lost, 'endpoint_closed');
    expect(allow(deleted)).toBeNull();
    expect(allow(lost)).toMatchObject({ clientInfo: { name: 'b' } });
    expect(allow(other)).toMatchObject({ clientInfo: { name: 'c' } });
  });

  test('an id does not work for another user or without a user', async () => {
    const sessionId = await opened([KEY], 'ada');
    const client = await openWith(KEY);
    expect(await statusOf(client, { sessionId, ...as('eve') })).toBe(404);
    expect(await statusOf(client, { sessionId })).toBe(404);
    expect(await statusOf(client, { sessionId, ...as('ada') })).toBe(200);
  });

  test('an id older than maxAgeMs no longer rebuilds a session', async () => {
    const { time, make, allow } = timed();
    const id = await make('Ada');
    await time.advance(1_000);
    expect(allow(id)).toMatchObject({ clientInfo: { name: 'Ada' } });
    await time.advance(1);
    expect(allow(id)).toBeNull();
  });

  test('a handshake that does not fit into an id fails its initialize and logs the reason', async () => {
    const { client, log } = await start(sealedSessions({ keys: [KEY] }));
    // Random text, which deflate cannot compress.
    let noise = '';
    while (noise.length < 6_000) noise += createHash('sha256').update(noise).digest('base64');
    const { response } = await client().initialize({ clientInfo: { name: noise, version: '1' } });
    expect(response.status).toBe(500);
    expect(response.header('mcp-session-id')).toBeUndefined();
    const [line] = log.matching(/sessionIdGenerator threw/, 'warn');
    expect(line?.fields['err']).toMatchObject({
      message: expect.stringContaining('4096 are allowed'),
    });
  });

  test.each([
    ['no key', { keys: [] }],
    ['a key that is no list', { keys: KEY as never }],
    ['a short key', { keys: ['short'] }],
    ['a key that is none', { keys: [5 as never] }],
    ['an age of nothing', { keys: [KEY], maxAgeMs: 0 }],
    ['a clock without now()', { keys: [KEY], timeProvider: {} as never }],
    ['an age by another name', { keys: [KEY], maxAge: 60_000 }],
  ])('%s is refused with the name of the option', (_, options) => {
    expect(() => sealedSessions(options)).toThrow(
      /^Option (keys|keys\[0\]|maxAgeMs|timeProvider): |did you mean sealedSessions\(\).maxAgeMs\?/,
    );
    expect(() => sealedSessions(options)).not.toThrow(/short$|kkkk/);
  });
});
