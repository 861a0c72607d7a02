/** `initialize` first, what the server may send before `initialized`, and which version is spoken from then on. */
import { type McpServer, ProtocolError } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { perSession } from '../kit/making-servers.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';
import { connectSse } from '../kit/legacy-sse.ts';
import { failure } from '../kit/refusals.ts';

const params = (protocolVersion: string, capabilities = {}) => ({
  protocolVersion,
  capabilities,
  clientInfo: { name: 'raw', version: '1' },
});

/** What becomes of each thing that a server sends. */
async function outcomes(server: McpServer | undefined, ctx: Parameters<Tool>[1]): Promise<unknown> {
  const told = (sent: Promise<unknown> | undefined): Promise<unknown> =>
    (sent ?? Promise.resolve()).then(
      () => 'sent',
      (error: { code?: unknown }) => error.code,
    );
  return {
    roots: await told(server?.server.listRoots()),
    elicit: await told(
      ctx.mcpReq.elicitInput({ message: '?', requestedSchema: { type: 'object', properties: {} } }),
    ),
    log: await told(ctx.mcpReq.log('error', 'logged')),
  };
}

describe.each(perFace)('over $face', ({ serve, session, inLab }) => {
  test.each(['tools/list', 'ping', 'notifications/initialized'])(
    'B14 B217 %s before initialize gets 400, which says what comes first',
    async (method) => {
      const { client, endpoint } = await serve(createLab().factory);
      const one = client();
      const body = method.startsWith('notifications/')
        ? { jsonrpc: '2.0', method }
        : { jsonrpc: '2.0', id: 3, method };
      const response = await one.post(body);
      expect([response.status, response.json()]).toEqual([
        400,
        failure(
          'id' in body ? 3 : null,
          -32000,
          'Bad Request: the Mcp-Session-Id header is required; send initialize first, without it, to get one',
        ),
      ]);
      expect(endpoint.sessions.liveCount).toBe(0);
    },
  );

  test('B217 before notifications/initialized the server sends logs and pings, and nothing else', async () => {
    let server: McpServer | undefined;
    const found: unknown[] = [];
    const time = createFakeTime();
    const { one, log } = await session(
      toolServer(
        {
          send: async (_args, ctx) => {
            found.push(await outcomes(server, ctx));
            await server?.server.ping();
            return said('sent');
          },
        },
        (made) => (server = made),
      ),
      { timeProvider: time },
      { initialized: false, capabilities: { roots: {}, elicitation: {} } },
    );
    const get = await one.get();
    await get.next();
    server?.sendToolListChanged();
    const stream = await one.post({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'send' },
    });
    await until(async () => {
      await time.advance(1_000);
      return found.length === 1;
    });
    const sent = [await stream.nextMessage(), await stream.nextMessage()];
    expect(sent.map(({ method }) => method)).toEqual(['notifications/message', 'ping']);
    expect(found).toEqual([{ roots: 'NOT_INITIALIZED', elicit: 'NOT_INITIALIZED', log: 'sent' }]);
    await one.post({ jsonrpc: '2.0', id: sent[1]?.id, result: {} });
    expect(textOf(await stream.nextMessage())).toBe('sent');
    expect(
      log
        .matching(/has not sent notifications\/initialized/, 'debug')
        .map(({ fields }) => fields['method']),
    ).toEqual(['notifications/tools/list_changed']);

    expect((await one.notify('notifications/initialized')).status).toBe(202);
    server?.sendToolListChanged();
    expect(await get.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
    expect(get.messages).toHaveLength(1);
  });

  test('B217 a second initialize on a live session is refused, and the session continues', async () => {
    const { one, endpoint, lab } = await inLab();
    const { id, response, message } = await one.call('initialize', params('2025-11-25'));
    expect([response.status, response.header('sojourn-refused'), message]).toEqual([
      200,
      'already_initialized',
      failure(
        id,
        -32600,
        'Invalid Request: this session is initialized; open a new one without Mcp-Session-Id',
      ),
    ]);
    expect(textOf((await one.call(...tool('echo', { text: 'still here' }))).message)).toBe(
      'still here',
    );
    expect([lab.made.length, endpoint.sessions.liveCount]).toEqual([1, 1]);
  });

  test('B12 B217 an initialize without what it needs is refused with its id', async () => {
    const { client } = await serve(createLab().factory);
    const { id, response, message } = await client().call('initialize', {});
    expect([response.status, message]).toMatchObject([400, { id, error: { code: -32602 } }]);
  });

  test('B217 an initialize that the server itself refuses is answered with its error, and opens nothing', async () => {
    const lab = createLab();
    const { client, endpoint } = await serve(
      perSession((ctx: McpEndpointContext) => {
        const made = lab.factory(ctx);
        made.server.setRequestHandler('initialize', () => {
          throw new ProtocolError(-32602, 'not today');
        });
        return made;
      }),
      { limits: { sessions: 1 } },
    );
    for (let n = 0; n < 2; n++) {
      const { response, message } = await client().initialize();
      expect([response.status, response.header('mcp-session-id')]).toEqual([200, undefined]);
      expect(message).toMatchObject({ id: 1, error: { code: -32602, message: 'not today' } });
    }
    expect(await endpoint.sessions.list()).toEqual({ sessions: [] });
    expect(lab.made.map(({ closed }) => closed)).toEqual([true, true]);
  });

  test.each([
    ['2025-11-25', '2025-11-25'],
    ['2025-06-18', '2025-06-18'],
    ['2025-03-26', '2025-03-26'],
    ['1999-01-01', '2025-11-25'],
    ['2030-01-01', '2025-11-25'],
    ['2026-07-28', '2025-11-25'],
    ['DRAFT-2025-v3', '2025-11-25'],
    ['', '2025-11-25'],
  ])('B218 initialize with %j is answered 200 with %s', async (asked, negotiated) => {
    const { client } = await serve(createLab().factory, { sessionMode: 'stateful' });
    const one = client();
    const { response, message } = await one.initialize({ protocolVersion: asked });
    expect([
      response.status,
      (message.result as { protocolVersion: string }).protocolVersion,
    ]).toEqual([200, negotiated]);
    expect((await one.call(...tool('echo', { text: 'x' }))).response.status).toBe(200);
  });
});

test('B217 the 2024-11-05 transport takes initialize first, and once', async () => {
  const { client } = await serve(createLab().factory, { legacySse: true });
  const one = client();
  const { stream, post } = await connectSse(one, '/mcp/sse');
  const send = async (method: string, more = {}) =>
    (await post({ jsonrpc: '2.0', id: one.nextId(), method, params: more })).status;
  expect(await send('tools/list')).toBe(400);
  expect(await send('initialize', params('2024-11-05'))).toBe(202);
  expect(await stream.nextMessage()).toMatchObject({ result: { protocolVersion: '2024-11-05' } });
  expect(await send('initialize', params('2024-11-05'))).toBe(202);
  expect(await stream.nextMessage()).toMatchObject({ error: { code: -32_600 } });
  expect(await send('tools/list')).toBe(202);
});
