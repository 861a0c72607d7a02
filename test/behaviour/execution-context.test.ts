/** In which asynchronous context handlers run: of the HTTP request, or one of the session's own. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, currentRequest, currentSession, type McpEndpointOptions } from '../../src/index.ts';
import { createRawClient, type RawClient } from '../kit/raw-client.ts';
import { createLog } from '../kit/log.ts';
import { textOf, tool } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { listening } from '../kit/listening.ts';
import { perFace } from '../kit/sessions.ts';

const room = new AsyncLocalStorage<string>();
const requests = new AsyncLocalStorage<string>();

/** What a handler finds, at its beginning and after it has waited. */
const look: Tool = async () => {
  const early = [room.getStore(), requests.getStore()];
  await new Promise((later) => setImmediate(later));
  const late = [room.getStore(), requests.getStore()];
  const sessionId = currentSession()?.id;
  return said(JSON.stringify({ early, late, sessionId, path: currentRequest()?.method }));
};

const ask: Tool = async (_args, ctx) => {
  const { action } = await ctx.mcpReq.elicitInput({
    message: 'Which?',
    requestedSchema: { type: 'object', properties: {} },
  });
  return said(`${action} in ${room.getStore()}`);
};

/** Behind a middleware that runs each request in a separate context, named by `x-request`. */
async function serveBehindMiddleware(face: 'node' | 'fetch', options: McpEndpointOptions): Promise<() => RawClient> {
  const endpoint = createMcpEndpoint(toolServer({ look, ask }), { logger: createLog(), ...options });
  const listener = getRequestListener((request) => endpoint.fetch(request), { overrideGlobalObjects: false });
  const server = createServer((req, res) => {
    requests.run(String(req.headers['x-request'] ?? 'unnamed'), () => {
      if (face === 'node') endpoint.node(req, res);
      else void listener(req, res);
    });
  });
  const clients: RawClient[] = [];
  const origin = await listening(server, async () => {
    for (const client of clients) client.close();
    await endpoint.close();
  });
  return () => {
    const client = createRawClient(`${origin}/mcp`);
    clients.push(client);
    return client;
  };
}

const found = (message: unknown): unknown => JSON.parse(textOf(message) ?? '');

const named = (name: string, text = 'x'): object => ({ headers: { 'x-request': name, 'x-padding': text } });

describe.each(perFace)('over $face', ({ face }) => {
  test('B193 what the run hook entered is seen by all tools of its session, and by no other session', async () => {
    let n = 0;
    const client = await serveBehindMiddleware(face, {
      perSessionExecutionContext: true,
      runSessionHandler: async (_request, _session, run) => {
        await room.run(`room ${++n}`, run);
      },
    });
    const [one, two] = [client(), client()];
    await one.initialize();
    await two.initialize();
    for (const [who, name] of [
      [one, 'room 1'],
      [two, 'room 2'],
      [one, 'room 1'],
    ] as const) {
      const { message } = await who.call(...tool('look'), named('later'));
      // The context is that of the request that opened the session, and no request is current.
      expect(found(message)).toEqual({
        early: [name, 'unnamed'],
        late: [name, 'unnamed'],
        sessionId: who.sessionId,
      });
    }
  });

  test('B193 what a hook enters before its first await lasts the session too, and stays in it', async () => {
    const client = await serveBehindMiddleware(face, {
      perSessionExecutionContext: true,
      configureSessionOptions: (request) => {
        room.enterWith(`of ${request.headers.get('x-request')}`);
      },
    });
    const [one, two] = [client(), client()];
    await one.initialize(named('one'));
    await two.initialize(named('two'));
    expect(found((await one.call(...tool('look'))).message)).toMatchObject({ early: ['of one', 'one'] });
    expect(found((await two.call(...tool('look'))).message)).toMatchObject({ early: ['of two', 'two'] });
    // The next request on the same connection has nothing of it.
    const { message } = await callModern(one, 'tools/call', { name: 'look' }, { headers: { 'x-request': 'modern' } });
    expect(found(message)).toMatchObject({ early: ['of modern', 'modern'] });
  });

  test('B193 the run hook adds to what the options callback entered', async () => {
    const client = await serveBehindMiddleware(face, {
      perSessionExecutionContext: true,
      configureSessionOptions: () => {
        room.enterWith('a room');
      },
      runSessionHandler: (_request, _session, run) => requests.run('the hook', async () => void (await run())),
    });
    const one = client();
    await one.initialize();
    expect(found((await one.call(...tool('look'))).message)).toMatchObject({ early: ['a room', 'the hook'] });
  });

  test('B193 in 2026-07-28 a tool sees what the hooks of the same request entered', async () => {
    let n = 0;
    const client = await serveBehindMiddleware(face, {
      perSessionExecutionContext: true,
      runSessionHandler: async (_request, _session, run) => {
        await room.run(`room ${++n}`, run);
      },
    });
    const one = client();
    for (const name of ['room 1', 'room 2']) {
      const { message } = await callModern(one, 'tools/call', { name: 'look' }, named('modern'));
      expect(found(message)).toMatchObject({ early: [name, 'modern'], late: [name, 'modern'] });
    }
  });

  test('B193 a question still goes out on the stream of its call', async () => {
    const client = await serveBehindMiddleware(face, {
      perSessionExecutionContext: true,
      runSessionHandler: async (_request, _session, run) => {
        await room.run('the room', run);
      },
    });
    const one = client();
    await one.initialize({ capabilities: { elicitation: {} } });
    const stream = await one.post({ jsonrpc: '2.0', id: 'q', method: 'tools/call', params: { name: 'ask' } });
    const question = (await stream.nextMessage()) as { id: string; method: string };
    expect(question.method).toBe('elicitation/create');
    await one.post({ jsonrpc: '2.0', id: question.id, result: { action: 'decline' } });
    expect(textOf(await stream.nextMessage())).toBe('decline in the room');
  });

  test('B194 by default a handler runs in the context of the HTTP request that called it, and not in the hook’s', async () => {
    const client = await serveBehindMiddleware(face, {
      runSessionHandler: async (_request, _session, run) => {
        await room.run('the room', run);
      },
    });
    const one = client();
    await one.initialize(named('opening'));
    const calls = ['a', 'b', 'c'].map((name) => one.call(...tool('look'), named(name)));
    const answers = await Promise.all(calls);
    expect(answers.map(({ message }) => found(message))).toEqual(
      ['a', 'b', 'c'].map((name) => ({
        early: [null, name],
        late: [null, name],
        sessionId: one.sessionId,
        path: 'POST',
      })),
    );
  });

  test('B194 so it does when the calls of many requests wait for their turn, and when their bodies are large', async () => {
    const client = await serveBehindMiddleware(face, {});
    const one = client();
    await one.initialize(named('opening'));
    const names = Array.from({ length: 24 }, (_, n) => `request ${n}`);
    for (const padding of [10, 300_000]) {
      const args = { arguments: { padding: 'x'.repeat(padding) } };
      const calls = names.map((name) => one.call('tools/call', { name: 'look', ...args }, named(name)));
      const answers = await Promise.all(calls);
      expect(answers.map(({ message }) => (found(message) as { early: unknown[] }).early[1])).toEqual(names);
    }
  });

  test('B194 so it does when the body comes in pieces, after the head', async () => {
    const client = await serveBehindMiddleware(face, {});
    const one = client();
    await one.initialize(named('opening'));
    const { request, response } = one.start('POST', named('slow'), {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    });
    const body = JSON.stringify({ jsonrpc: '2.0', id: 'slow', method: 'tools/call', params: { name: 'look' } });
    request.write(body.slice(0, 10));
    expect((await one.call('ping', {}, named('between'))).response.status).toBe(200);
    request.end(body.slice(10));
    expect(found(await (await response).nextMessage())).toMatchObject({ early: [null, 'slow'], late: [null, 'slow'] });
  });
});

describe.each(['stateful', 'stateless', '2026-07-28'] as const)('perSessionExecutionContext: %s', (mode) => {
  const turn = (): Promise<void> => new Promise((later) => setImmediate(later));

  test.each([
    ['in runSessionHandler at once', 'kept'],
    ['in runSessionHandler after an await', 'kept'],
    ['in configureSessionOptions at once', 'kept'],
    ['in configureSessionOptions after an await', null],
    ['in the factory', null],
  ])('B193 what enterWith() enters %s reaches handlers: %s', async (where, expected) => {
    const enter = (here: string): void => {
      if (where === here) room.enterWith('kept');
    };
    const tools = toolServer({ look }, () => enter('in the factory'));
    const endpoint = createMcpEndpoint(tools, {
      logger: createLog(),
      perSessionExecutionContext: true,
      sessionMode: mode === '2026-07-28' ? 'hybrid' : mode,
      configureSessionOptions: async () => {
        enter('in configureSessionOptions at once');
        await turn();
        enter('in configureSessionOptions after an await');
      },
      runSessionHandler: async (_request, _session, run) => {
        enter('in runSessionHandler at once');
        await turn();
        enter('in runSessionHandler after an await');
        await run();
      },
    });
    onTestFinished(() => endpoint.close());
    const { url } = await endpoint.listen({ port: 0 });
    const client = createRawClient(url);
    onTestFinished(() => client.close());
    if (mode === 'stateful') await client.initialize();
    const call = mode === '2026-07-28' ? callModern(client, ...tool('look')) : client.call(...tool('look'));
    expect(found((await call).message)).toMatchObject({ early: [expected, null], late: [expected, null] });
  });
});
