/** Which version a request speaks: by header, by envelope, by handshake, and what happens when they disagree. */
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { McpServer, PROTOCOL_VERSION_META_KEY } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { RawRequestOptions } from '../kit/raw-client.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { callModern, envelope, mirrored, MODERN, type ModernRequest } from '../kit/modern.ts';
import { serve, type ServeSettings } from '../kit/serve.ts';
import { perFace } from '../kit/sessions.ts';

const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'];
const modes = ['hybrid', 'stateful', 'stateless'] as const;

const open = async (options: McpEndpointOptions = {}, settings: ServeSettings = {}) =>
  (await serve(createEchoServer, options, settings)).client();

const clientInfo = { name: 'raw', version: '1' };
const echo = { name: 'echo', arguments: { text: 'hi' } };

describe.each(perFace)('over $face', ({ face }) => {
  test.each(LEGACY)('B144 in a session of %s the header is not needed', async (protocolVersion) => {
    const client = await open({}, { face });
    await client.initialize({ protocolVersion });
    const { response } = await client.call('tools/call', echo, { version: null });
    expect(response.status).toBe(200);
    expect((await client.notify('notifications/x', undefined, { version: null })).status).toBe(202);
    expect((await client.get({ version: null })).status).toBe(200);
    expect((await client.delete({ version: null })).status).toBe(200);
  });

  test.each(LEGACY)('B145 initialize may say %s in its header too', async (protocolVersion) => {
    const { response, message } = await (
      await open({}, { face })
    ).initialize({ protocolVersion, version: protocolVersion });
    expect(response.status).toBe(200);
    expect(message.result).toMatchObject({ protocolVersion });
  });

  test.each([
    ['of the past', '1999-01-01'],
    ['of the future', '2027-01-01'],
    ['that is none', 'junk'],
    ['that is empty', ''],
    ['twice', '2025-11-25, 2025-11-25'],
  ])('B146 a version %s is refused, with the ones to use', async (_, requested) => {
    const client = await open({}, { face });
    await client.initialize();
    const refused = await client.call('tools/call', echo, { version: requested });
    expect([refused.response.status, refused.message.id]).toEqual([400, refused.id]);
    expect(refused.message.error).toMatchObject({
      code: -32022,
      data: { requested, supported: [MODERN, ...LEGACY] },
    });
    const unheard = await client.notify('notifications/x', undefined, { version: requested });
    expect([unheard.status, unheard.json()]).toMatchObject([
      400,
      { id: null, error: { code: -32022 } },
    ]);
    expect((await client.call('tools/call', echo)).response.status).toBe(200);
  });
});

describe.each(modes)('in %s', (sessionMode) => {
  test('B148 an initialize whose header says something else is refused', async () => {
    const client = await open({ sessionMode });
    const { response, message } = await client.initialize({
      protocolVersion: '2025-11-25',
      version: '2025-06-18',
    });
    expect([response.status, message.id, message.error?.code]).toEqual([400, 1, -32020]);
    expect(message.error?.message).toContain('2025-11-25');
    expect(response.header('mcp-session-id')).toBeUndefined();
  });
});

/** The version of the answer to an `initialize` whose header names its version too. */
async function negotiated(version: string, options: McpEndpointOptions) {
  const client = await open(options);
  const { response, message } = await client.initialize({
    protocolVersion: version,
    version,
    initialized: false,
  });
  expect(response.status, version).toBe(200);
  return { client, version: (message.result as { protocolVersion: string }).protocolVersion };
}

test.each(modes)(
  'an unknown version is negotiated where the header has it too, in %s',
  async (sessionMode) => {
    for (const version of ['1999-01-01', '2027-01-01', 'junk'])
      expect((await negotiated(version, { sessionMode })).version, version).toBe('2025-11-25');
  },
);

describe.each(['hybrid', 'stateless'] as const)('in %s', (sessionMode) => {
  /** What is refused with 400, and how. */
  const refusal = async (
    method: string,
    params: object | undefined,
    options: RawRequestOptions,
  ) => {
    const { id, response, message } = await (
      await open({ sessionMode })
    ).call(method, params, options);
    expect([response.status, message.id]).toEqual([400, id]);
    return message.error;
  };
  const headers = mirrored('tools/call', echo);

  test('B149 the handshake of earlier revisions under a modern header is refused', async () => {
    const handshake = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
    const error = await refusal('initialize', handshake, { headers: mirrored('initialize') });
    expect(error).toMatchObject({ code: -32020 });
    expect(
      await refusal('initialize', { ...handshake, protocolVersion: MODERN }, { version: MODERN }),
    ).toMatchObject({
      code: -32020,
    });
  });

  const over = (version: string) => ({ meta: { [PROTOCOL_VERSION_META_KEY]: version } });
  const under = (version: string | null) => ({ headers: { 'mcp-protocol-version': version } });
  test.each<[string, ModernRequest, string]>([
    ['B150 a modern header over an envelope of 2025-11-25', over('2025-11-25'), ''],
    ['B150 a modern header over an envelope of 2027-01-01', over('2027-01-01'), ''],
    ['B150 a modern header over an envelope of junk', over('junk'), ''],
    ['B150 a header of an earlier revision over a modern envelope', under('2025-11-25'), ''],
    ['B150 a header of 2027-01-01 over a modern envelope', under('2027-01-01'), ''],
    ['B150 an empty header over a modern envelope', under(''), ''],
    ['B150 the header twice over a modern envelope', under(`${MODERN}, ${MODERN}`), ''],
    ['B152 a modern envelope without the header', under(null), 'MCP-Protocol-Version'],
  ])('%s is refused', async (_, options, word) => {
    const { id, response, message } = await callModern(
      await open({ sessionMode }),
      'tools/call',
      echo,
      options,
    );
    expect([response.status, message.id, message.error?.code]).toEqual([400, id, -32020]);
    expect(message.error?.message).toContain(word);
  });

  test('B146 a version of header and envelope that is not served is refused as a version', async () => {
    const version = '2027-01-01';
    const { message } = await callModern(await open({ sessionMode }), 'tools/call', echo, {
      ...over(version),
      ...under(version),
    });
    expect(message.error).toMatchObject({
      code: -32022,
      data: { requested: version, supported: [MODERN] },
    });
  });

  test.each([
    [
      'that has no version',
      { _meta: { 'io.modelcontextprotocol/clientCapabilities': {} } },
      PROTOCOL_VERSION_META_KEY,
    ],
    ['that is empty', { _meta: {} }, PROTOCOL_VERSION_META_KEY],
    ['that is not there', {}, '_meta'],
    [
      'whose version is a number',
      { _meta: envelope({}, { [PROTOCOL_VERSION_META_KEY]: 7 }) },
      PROTOCOL_VERSION_META_KEY,
    ],
  ])('B151 a modern header over an envelope %s is refused by its key', async (_, params, key) => {
    const error = await refusal('tools/call', { ...echo, ...params }, { headers });
    expect(error?.code).toBe(-32602);
    expect(error?.message).toContain(key);
  });

  test('B151 a notification needs no envelope', async () => {
    const response = await (
      await open({ sessionMode })
    ).notify('notifications/x', undefined, { version: MODERN });
    expect([response.status, response.body]).toEqual([202, '']);
  });
});

describe('an endpoint pinned to a legacy version', () => {
  const supportedProtocolVersions = ['2025-06-18'];
  const factories = {
    'that passes it on': (ctx: McpEndpointContext) =>
      new McpServer(clientInfo, { ...ctx.serverOptions }),
    'that does not': createEchoServer,
    'of SDK v1, which has no such option': () => new McpServerV1(clientInfo),
  };

  test.each(modes)('B153 refuses modern requests with it, in %s', async (sessionMode) => {
    const client = await open({ sessionMode, supportedProtocolVersions });
    for (const headers of [{}, { 'mcp-protocol-version': null }]) {
      const { id, response, message } = await callModern(client, 'tools/call', echo, { headers });
      expect([response.status, message.id]).toEqual([400, id]);
      expect(message.error).toMatchObject({
        code: -32022,
        data: { requested: MODERN, supported: ['2025-06-18'] },
      });
    }
  });

  test.each(Object.entries(factories))(
    'B153 negotiates nothing else, with a factory %s',
    async (_, factory) => {
      for (const stateless of [false, true]) {
        const client = (await serve(factory, { supportedProtocolVersions, stateless })).client();
        const { message } = await client.initialize({ protocolVersion: '2025-11-25' });
        expect(message.result).toMatchObject({ protocolVersion: '2025-06-18' });
        expect((await client.call('ping')).message.result).toEqual({});
      }
    },
  );

  test.each(modes)(
    'B153 negotiates nothing else where the header names a version too, in %s',
    async (sessionMode) => {
      for (const version of ['2025-11-25', MODERN, '2027-01-01', '1999-01-01']) {
        const { client, version: spoken } = await negotiated(version, {
          supportedProtocolVersions,
          sessionMode,
        });
        expect(spoken, version).toBe('2025-06-18');
        expect((await client.call('ping')).message.result).toEqual({});
      }
    },
  );

  test('B153 leaves sessions behind that go on where more is served', async () => {
    const store = memory();
    const before = await serve(createEchoServer, { store, supportedProtocolVersions });
    const after = await serve(createEchoServer, { store });
    const client = await before.openSession({ protocolVersion: '2025-11-25' });
    await before.endpoint.close({ timeoutMs: 0 });
    const { sessionId } = client;
    const { message } = await after
      .client()
      .call('tools/call', echo, { sessionId, version: '2025-06-18' });
    expect(message.result).toEqual({ content: [{ type: 'text', text: 'hi' }] });
  });
});

describe.each(['2025-11-25', '2025-06-18', '2025-03-26'])('a session of %s', (protocolVersion) => {
  const others = LEGACY.filter((version) => version !== protocolVersion);
  test.each(others)('B154 B218 does not become one of %s', async (version) => {
    const client = await open();
    await client.initialize({ protocolVersion });
    const { id, response, message } = await client.call('tools/call', echo, { version });
    const why = `MCP-Protocol-Version is ${version}, but this session was negotiated at ${protocolVersion}`;
    expect([response.status, message.id]).toEqual([400, id]);
    expect(message.error).toEqual({ code: -32600, message: `Invalid Request: ${why}` });
    for (const refused of [await client.get({ version }), await client.delete({ version })]) {
      expect(refused.json()).toMatchObject({ id: null, error: { code: -32600 } });
      expect(refused.status).toBe(400);
    }
    expect((await client.call('tools/call', echo)).response.status).toBe(200);
  });
});
