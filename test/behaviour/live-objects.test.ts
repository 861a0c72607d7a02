/** Live objects behind handles: 258 to 265. The instances of a lab share a store; each has a server of its own. */
import { inputRequired, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { describe, expect, test } from 'vitest';
import {
  currentSession,
  live,
  type LiveObject,
  type LiveOptions,
  type McpEndpointOptions,
  openHandle,
} from '../../src/index.ts';
import { type LabInstance, openLab } from '../../src/testing/index.ts';
import { textOf } from '../kit/lab.ts';
import { givings } from '../kit/making-servers.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { serve, type Served, userHeader } from '../kit/serve.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

const inputSchema = z.looseObject({ desk: z.string().optional(), note: z.string().optional() });
type Args = z.infer<typeof inputSchema>;

/** What the object of a handle is here. */
interface Desk {
  /** The instance that has opened it. */
  readonly at: string;
  calls: number;
  readonly notes: unknown;
}

/** What happened, in order. */
class Room {
  readonly seen: string[] = [];
  /** Handlers of `hold` that run. */
  readonly held: Array<() => void> = [];

  optionsAt(at: string): LiveOptions<Desk, { desk?: string | undefined }> {
    return {
      kind: 'desk',
      id: ({ desk }) => desk,
      open: async (state) => {
        this.seen.push(`open ${at}`);
        return { at, calls: 0, notes: await state.get('notes') };
      },
      close: (desk) => void this.seen.push(`close ${desk.at}`),
      closeAfterMs: 60_000,
    };
  }

  /** The server of the instance `at`. */
  factory(at: string, changes: Partial<LiveOptions> = {}) {
    const options = { ...this.optionsAt(at), ...(changes as object) };
    return () => {
      const server = new McpServer(
        { name: 'desks', version: '1.0.0' },
        { capabilities: { logging: {} } },
      );
      const note = live(
        options,
        async ({ note }: Args, _: ServerContext, { object, handle }: LiveObject<Desk>) => {
          object.calls += 1;
          if (note !== undefined) await handle.state.set('notes', note);
          const { at: by, calls, notes } = object;
          return said(JSON.stringify({ id: handle.id, created: handle.created, by, calls, notes }));
        },
      );
      server.registerTool('note', { inputSchema }, note);
      const hold = live(
        options,
        async (_: Args, _ctx: ServerContext, { object, handle }: LiveObject<Desk>) => {
          object.calls += 1;
          this.seen.push(`hold ${at}`);
          await new Promise<void>((go) => this.held.push(go));
          await handle.state.set('notes', `held at ${at}`);
          return said(`held at ${object.at}`);
        },
      );
      server.registerTool('hold', { inputSchema }, hold);
      server.registerTool(
        'hold_again',
        { inputSchema, annotations: { idempotentHint: true } },
        hold,
      );
      server.registerTool(
        'end',
        { inputSchema },
        live(options, async (_: Args, _ctx: ServerContext, { handle }: LiveObject<Desk>) =>
          said(String(await handle.end())),
        ),
      );
      server.registerTool('end_unseen', { inputSchema }, async ({ desk }) =>
        said(String(await (await openHandle('desk', desk)).end())),
      );
      return server;
    };
  }
}

type Noted = { id: string; created: boolean; by: string; calls: number; notes?: string };

async function note(at: LabInstance, args: object = {}): Promise<Noted> {
  const { content, isError } = await at.call('note', args as Record<string, unknown>);
  if (isError === true) throw new Error(content[0]?.text);
  return JSON.parse(content[0]?.text ?? '') as Noted;
}

async function openRoom(size: number, options: McpEndpointOptions = {}, changes = {}) {
  const room = new Room();
  const lab = await openLab(room.factory('?'), options);
  const instances: LabInstance[] = [];
  for (const at of 'abc'.slice(0, size))
    instances.push(...(await lab.start(1, room.factory(at, changes))));
  return { room, lab, instances: instances as [LabInstance, LabInstance, LabInstance] };
}

describe('in a lab', () => {
  test('B258 calls for a handle run at the instance that has its object, which middleware enters once', async () => {
    const entered: string[] = [];
    const { lab, instances, room } = await openRoom(3, {
      middleware: (request, next) => {
        entered.push(request.name ?? '');
        return next();
      },
    });
    await using _ = lab;
    const [a, b, c] = instances;
    const { id, ...first } = await note(a, { note: 'one' });
    expect(first).toEqual({ created: true, by: 'a', calls: 1 });
    expect(await note(b, { desk: id })).toEqual({ id, created: false, by: 'a', calls: 2 });
    const together = await Promise.all([a, b, c, a, b, c].map((at) => note(at, { desk: id })));
    expect(together.map(({ by }) => by)).toEqual(Array(6).fill('a'));
    expect(together.map(({ calls }) => calls).sort()).toEqual([3, 4, 5, 6, 7, 8]);
    expect(entered).toHaveLength(8);
    expect(room.seen).toEqual(['open a']);
  });

  test('B261 after a kill the next call opens the object from its state at another instance', async () => {
    const { lab, instances, room } = await openRoom(2);
    await using _ = lab;
    const [a, b] = instances;
    const { id } = await note(a, { note: 'kept' });
    await note(b, { desk: id });
    await lab.kill(a);
    await lab.advance(5_000);
    expect(await note(b, { desk: id })).toMatchObject({ by: 'b', calls: 1, notes: 'kept' });
    expect(room.seen).toEqual(['open a', 'open b']);
  });

  test('B261 a call that comes soon after the kill of its owner begins at another instance', async () => {
    const { lab, instances, room } = await openRoom(2);
    await using _ = lab;
    const [a, b] = instances;
    const { id } = await note(a, { note: 'kept' });
    await note(b, { desk: id });
    await lab.kill(a);
    await lab.advance(500);
    const called = note(b, { desk: id });
    called.catch(() => {});
    await lab.advance(5_000);
    expect(await called).toMatchObject({ by: 'b', calls: 1, notes: 'kept' });
    expect(room.seen).toEqual(['open a', 'open b']);
  });

  test.each([
    ['hold', /may have run/, ['hold a']],
    ['hold_again', undefined, ['hold a', 'open b', 'hold b']],
  ])(
    'B261 a call of %s whose owner is killed ends as its hints say',
    async (tool, refused, ran) => {
      const { lab, instances, room } = await openRoom(2);
      await using _ = lab;
      const [a, b] = instances;
      const { id } = await note(a);
      const call = b.call(tool, { desk: id });
      call.catch(() => {});
      await lab.until(() => room.held.length === 1);
      await lab.kill(a);
      await lab.advance(10_000);
      if (refused === undefined) {
        await lab.until(() => room.held.length === 2);
        room.held[1]?.();
        expect((await call).content[0]?.text).toBe('held at b');
      } else await expect(call).rejects.toThrow(refused);
      expect(room.seen.slice(1)).toEqual(ran);
    },
  );

  test('B262 a drain closes the object, and the next call opens it at another instance', async () => {
    const { lab, instances, room } = await openRoom(2);
    await using _ = lab;
    const [a, b] = instances;
    const { id } = await note(a, { note: 'kept' });
    await lab.drain(a);
    expect(room.seen).toEqual(['open a', 'close a']);
    expect(await note(b, { desk: id })).toMatchObject({ by: 'b', calls: 1, notes: 'kept' });
    expect(room.seen).toEqual(['open a', 'close a', 'open b']);
  });

  test('B262 a call that runs while its instance drains ends there, and later ones begin elsewhere', async () => {
    const { lab, instances, room } = await openRoom(2);
    await using _ = lab;
    const [a, b] = instances;
    const { id } = await note(a);
    const call = b.call('hold', { desk: id });
    await lab.until(() => room.held.length === 1);
    const drained = lab.drain(a);
    await lab.advance(1_000);
    expect(room.seen).toEqual(['open a', 'hold a']);
    room.held[0]?.();
    expect((await call).content[0]?.text).toBe('held at a');
    expect((await drained).interrupted).toBe(0);
    expect(await note(b, { desk: id })).toMatchObject({ by: 'b', notes: 'held at a' });
  });

  test('B263 an object without calls is closed, and opened again from its state', async () => {
    const { lab, instances, room } = await openRoom(2);
    await using _ = lab;
    const [a, b] = instances;
    const { id } = await note(a, { note: 'kept' });
    await lab.advance(50_000);
    await note(b, { desk: id });
    await lab.advance(50_000);
    expect(room.seen).toEqual(['open a']);
    await lab.advance(15_000);
    expect(room.seen).toEqual(['open a', 'close a']);
    expect(await note(b, { desk: id })).toMatchObject({ by: 'b', calls: 1, notes: 'kept' });
  });

  test.each(['end', 'end_unseen'])(
    'B263 %s() closes the object, from any instance',
    async (tool) => {
      const { lab, instances, room } = await openRoom(2);
      await using _ = lab;
      const [a, b] = instances;
      const { id } = await note(a);
      expect((await b.call(tool, { desk: id })).content[0]?.text).toBe('true');
      await lab.until(() => room.seen.length === 2);
      expect(room.seen).toEqual(['open a', 'close a']);
      await expect(note(b, { desk: id })).rejects.toThrow('There is no desk');
      await expect(note(a, { desk: id })).rejects.toThrow('There is no desk');
    },
  );

  test('B263 an instance has so many objects as limits.liveObjects says, and a user a part of them', async () => {
    const { lab, instances } = await openRoom(1, { limits: { liveObjects: 4 } });
    await using _ = lab;
    const [a] = instances;
    await Promise.all([note(a), note(a)]);
    await expect(note(a)).rejects.toThrow('limits.liveObjects');
    await lab.advance(65_000);
    await note(a);
  });

  test('B264 the object of a frozen instance writes no state and answers nothing once another one is open', async () => {
    const { lab, instances, room } = await openRoom(2);
    await using _ = lab;
    const [a, b] = instances;
    const { id } = await note(a, { note: 'kept' });
    const late = a.call('hold', { desk: id });
    late.catch(() => {});
    await lab.until(() => room.held.length === 1);
    await lab.freeze(a);
    await lab.advance(10_000);
    expect(await note(b, { desk: id, note: 'newer' })).toMatchObject({ by: 'b', notes: 'kept' });
    room.held[0]?.();
    await lab.wake(a);
    await lab.advance(5_000);
    await expect(late).rejects.toThrow(/may have run/);
    await lab.until(() => room.seen.includes('close a'));
    expect(await note(a, { desk: id })).toMatchObject({ by: 'b', calls: 2 });
    await lab.drain(b);
    expect(await note(a, { desk: id })).toMatchObject({ by: 'a', notes: 'newer' });
  });

  test('B261 an open() that fails is answered, keeps no new handle, and is tried again', async () => {
    let fails = true;
    const { lab, instances } = await openRoom(
      1,
      {},
      {
        open: () => {
          if (fails) throw new Error('no desk left');
          return { at: 'a', calls: 0, notes: undefined };
        },
      },
    );
    await using _ = lab;
    const [a] = instances;
    await expect(note(a)).rejects.toThrow('no desk left');
    expect(await a.endpoint.handles.count()).toBe(0);
    fails = false;
    const { id } = await note(a);
    fails = true;
    await lab.advance(65_000);
    await expect(note(a, { desk: id })).rejects.toThrow('no desk left');
    fails = false;
    expect(await note(a, { desk: id })).toMatchObject({ id, calls: 1 });
  });

  test('B263 forgetUser() closes the objects of the user', async () => {
    const { lab, instances, room } = await openRoom(2, { sessionUser: () => 'ada' });
    await using _ = lab;
    const [a, b] = instances;
    const authInfo = { token: 't', clientId: 'c', scopes: [], extra: { sub: 'ada' } };
    const made = await a.call('note', {}, { authInfo });
    expect(made.isError).toBeUndefined();
    const { handles } = await b.endpoint.handles.list();
    const userKey = handles[0]?.userKey ?? '';
    expect((await b.endpoint.forgetUser(userKey)).handles).toBe(1);
    await lab.until(() => room.seen.length === 2);
    expect(room.seen).toEqual(['open a', 'close a']);
  });

  test('B258 a call that becomes no task runs at its object for a client with tasks', async () => {
    const { lab, instances } = await openRoom(2, { tasks: true });
    await using _ = lab;
    const [a, b] = instances;
    const { id } = await note(a);
    await expect(b.callTask('note', { desk: id })).rejects.toThrow('did not become a task');
    expect(await note(b, { desk: id })).toMatchObject({ by: 'a', calls: 3 });
  });

  test('B258 middleware cannot pass another handle to the handler', async () => {
    const { lab, instances } = await openRoom(1, {
      middleware: (request, next) =>
        next({ params: { ...request.params, arguments: { desk: 'desk_AAAAAAAAAAAAAAAAAAAAAA' } } }),
    });
    await using _ = lab;
    const { content, isError } = await instances[0].call('note', {
      desk: 'desk_BBBBBBBBBBBBBBBBBBBBBB',
    });
    expect([isError, content[0]?.text]).toEqual([
      true,
      expect.stringContaining('middleware changed'),
    ]);
  });

  test('B265 a handle that is wrong opens nothing, whatever it is', async () => {
    const { lab, instances, room } = await openRoom(2);
    await using _ = lab;
    const [a] = instances;
    await note(a);
    const wrong = ['desk_AAAAAAAAAAAAAAAAAAAAAA', 'desk_', '', '__proto__', 'x'.repeat(1_000_000)];
    for (const desk of wrong) await expect(note(a, { desk })).rejects.toThrow('There is no desk');
    expect(room.seen).toEqual(['open a']);
  });
});

/** Two instances on sockets. */
async function openSockets(
  fill: (server: McpServer, at: string) => void,
): Promise<[Served, Served]> {
  const store = memory();
  const at = async (name: string): Promise<Served> => {
    const factory = () => {
      const server = new McpServer(
        { name: 'desks', version: '1.0.0' },
        { capabilities: { logging: {} } },
      );
      fill(server, name);
      return server;
    };
    return serve(factory, { store }, { face: 'node', auth: userHeader });
  };
  return [await at('a'), await at('b')];
}

const deskAt = (at: string): LiveOptions<{ at: string }, { desk?: string | undefined }> => ({
  kind: 'desk',
  id: ({ desk }) => desk,
  open: () => ({ at }),
});

const toolCall = (name: string, args: object = {}, meta: object = {}) => ({
  name,
  arguments: args,
  _meta: meta,
});

/** Registers a live tool whose handler gets its context, and the instance that has its object. */
function register(
  server: McpServer,
  at: string,
  name: string,
  handler: (ctx: ServerContext, at: string, id: string) => unknown,
): void {
  const run = live(
    deskAt(at),
    async (_: Args, ctx: ServerContext, { object, handle }: LiveObject<{ at: string }>) => {
      const result = await handler(ctx, object.at, handle.id);
      return (typeof result === 'string' ? said(result) : result) as ReturnType<typeof said>;
    },
  );
  server.registerTool(name, { inputSchema }, run);
}

/** Makes a handle at an instance. */
const made = async (at: Served, headers = {}): Promise<string> => {
  const { message } = await callModern(at.client({ headers }), 'tools/call', {
    name: 'make',
    arguments: {},
  });
  return textOf(message) ?? '';
};

const make = (server: McpServer, at: string): void =>
  register(server, at, 'make', (_ctx, _at, id) => id);

const question = {
  message: 'Which colour?',
  requestedSchema: { type: 'object' as const, properties: { colour: { type: 'string' as const } } },
};

/** A session at one instance, the object at another one, with each way to give an endpoint its server. */
test.each(givings)(
  'B260 $name: a session asks its client for a handler elsewhere',
  async ({ give, sdk }) => {
    const store = memory();
    const at = (name: string): Promise<Served> =>
      serve(
        give((server) => {
          make(server, name);
          register(server, name, 'ask', async (ctx, by) => {
            const params = question;
            const extra = ctx as unknown as {
              sendRequest(request: object, schema: object): Promise<{ content: unknown }>;
              sendNotification(notification: object): Promise<void>;
            };
            const progress = {
              method: 'notifications/progress' as const,
              params: { progressToken: 'p', progress: 1 },
            };
            await (sdk === 2 ? ctx.mcpReq.notify(progress) : extra.sendNotification(progress));
            const { content } =
              sdk === 2
                ? await ctx.mcpReq.elicitInput(params)
                : await extra.sendRequest(
                    { method: 'elicitation/create', params },
                    ElicitResultSchema,
                  );
            const n = await currentSession()?.state.update('n', (before = 0) => before + 1);
            return JSON.stringify({ by, content, n });
          });
        }),
        { store },
      );
    const [a, b] = [await at('a'), await at('b')];
    const first = await a.openSession({ capabilities: { elicitation: {} } });
    const { message } = await first.call('tools/call', toolCall('make'));
    const session = await b.openSession({ capabilities: { elicitation: {} } });
    const response = await session.post({
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: toolCall('ask', { desk: textOf(message) }, { progressToken: 'p' }),
    });
    expect(await response.nextMessage()).toMatchObject({ params: { progress: 1 } });
    const asked = await response.nextMessage();
    expect(asked).toMatchObject({ method: 'elicitation/create' });
    const result = { action: 'accept', content: { colour: 'red' } };
    await session.post({ jsonrpc: '2.0', id: asked.id, result });
    expect(JSON.parse(textOf(await response.nextMessage()) ?? '')).toEqual({
      by: 'a',
      content: { colour: 'red' },
      n: 1,
    });
  },
);

describe('on sockets', () => {
  const notifying = (server: McpServer, at: string): void => {
    make(server, at);
    register(server, at, 'tell', async ({ mcpReq }, by) => {
      const progressToken = mcpReq._meta?.progressToken ?? 'none';
      for (const progress of [1, 2])
        await mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress },
        });
      await mcpReq.log('error', `at ${by}`);
      return `done at ${by}`;
    });
  };
  const heard = [
    ['notifications/progress', 1],
    ['notifications/progress', 2],
    ['notifications/message', 'at a'],
    [undefined, 'done at a'],
  ];

  test('B259 progress, log messages and the answer come in their order from the instance of the object', async () => {
    const [a, b] = await openSockets(notifying);
    const desk = await made(a);
    const modern = await postModern(b.client(), 'tools/call', toolCall('tell', { desk }), {
      meta: { progressToken: 'p', 'io.modelcontextprotocol/logLevel': 'info' },
    });
    await modern.untilEnd();
    const session = await b.openSession();
    const legacy = await session.post({
      jsonrpc: '2.0',
      id: 9,
      method: 'tools/call',
      params: toolCall('tell', { desk }, { progressToken: 'p' }),
    });
    await legacy.untilEnd();
    for (const { messages } of [modern, legacy])
      expect(
        messages.map(({ method, params, ...answer }) => [
          method,
          params?.['progress'] ?? params?.['data'] ?? textOf(answer),
        ]),
      ).toEqual(heard);
  });

  test('B259 a cancellation reaches the handler at the other instance, in both eras', async () => {
    const seen: string[] = [];
    const [a, b] = await openSockets((server, at) => {
      make(server, at);
      register(server, at, 'wait', async ({ mcpReq: { signal } }, by) => {
        seen.push(`begun at ${by}`);
        await new Promise((over) => signal.addEventListener('abort', over));
        seen.push('aborted');
        return 'never';
      });
    });
    const desk = await made(a);
    const leaving = new AbortController();
    const gone = postModern(b.client(), 'tools/call', toolCall('wait', { desk }), {
      signal: leaving.signal,
    });
    gone.catch(() => {});
    await until(() => seen.length === 1);
    leaving.abort();
    await until(() => seen.length === 2);
    const session = await b.openSession();
    const waiting = session.post({
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: toolCall('wait', { desk }),
    });
    waiting.catch(() => {});
    await until(() => seen.length === 3);
    await session.notify('notifications/cancelled', { requestId: 7 });
    await until(() => seen.length === 4);
    expect(seen).toEqual(['begun at a', 'aborted', 'begun at a', 'aborted']);
  });

  test('B260 a 2026-07-28 client is asked by the instance of the object, in rounds', async () => {
    const [a, b] = await openSockets((server, at) => {
      make(server, at);
      register(server, at, 'ask', ({ mcpReq }, by) => {
        const answers = mcpReq.inputResponses as Record<string, { content?: unknown }> | undefined;
        return answers === undefined
          ? inputRequired({
              inputRequests: { colour: inputRequired.elicit(question) },
              requestState: by,
            })
          : `${JSON.stringify(answers['colour']?.content)} at ${by}`;
      });
    });
    const desk = await made(a);
    const client = b.client();
    const asks = { capabilities: { elicitation: { form: {} } } };
    const first = await callModern(client, 'tools/call', toolCall('ask', { desk }), asks);
    expect(first.message.result).toMatchObject({
      resultType: 'input_required',
      inputRequests: { colour: { method: 'elicitation/create' } },
      requestState: 'a',
    });
    const answered = {
      ...toolCall('ask', { desk }),
      inputResponses: { colour: { action: 'accept', content: { colour: 'red' } } },
      requestState: 'a',
    };
    const second = await callModern(client, 'tools/call', answered, asks);
    expect(textOf(second.message)).toBe('{"colour":"red"} at a');
  });

  test('B260 a session asks its client, and has its state, for a handler at another instance', async () => {
    const [a, b] = await openSockets((server, at) => {
      make(server, at);
      register(server, at, 'ask', async ({ mcpReq }, by) => {
        const session = currentSession();
        const { content } = await mcpReq.elicitInput(question);
        const n = await session?.state.update('n', (before = 0) => before + 1);
        await session?.state.set('by', by);
        const entries = await session?.state.entries();
        const { id, protocolVersion, clientInfo } = session ?? {};
        return JSON.stringify({ by, content, n, entries, id, protocolVersion, clientInfo });
      });
      server.registerTool('state', { inputSchema }, async () =>
        said(JSON.stringify(await currentSession()?.state.entries())),
      );
    });
    const desk = await made(a);
    const session = await b.openSession({ capabilities: { elicitation: {} } });
    for (const n of [1, 2]) {
      const response = await session.post({
        jsonrpc: '2.0',
        id: 10 + n,
        method: 'tools/call',
        params: toolCall('ask', { desk }),
      });
      const asked = await response.nextMessage();
      expect(asked).toMatchObject({
        method: 'elicitation/create',
        params: { message: 'Which colour?' },
      });
      const result = { action: 'accept', content: { colour: 'red' } };
      await session.post({ jsonrpc: '2.0', id: asked.id, result });
      const answer = await response.nextMessage();
      expect(JSON.parse(textOf(answer) ?? '')).toEqual({
        by: 'a',
        content: { colour: 'red' },
        n,
        entries: expect.arrayContaining([
          ['n', n],
          ['by', 'a'],
        ]) as unknown,
        id: session.sessionId,
        protocolVersion: '2025-11-25',
        clientInfo: { name: 'raw-client', version: '0.0.0' },
      });
    }
    const { message } = await session.call('tools/call', toolCall('state'));
    expect(JSON.parse(textOf(message) ?? '')).toEqual([
      ['n', 2],
      ['by', 'a'],
    ]);
  });

  test("B265 another user's handle is unknown, at each instance", async () => {
    const [a, b] = await openSockets(make);
    const desk = await made(a, { 'x-user': 'ada' });
    for (const at of [a, b])
      for (const headers of [{ 'x-user': 'eve' }, {}]) {
        const { message } = await callModern(
          at.client({ headers }),
          'tools/call',
          toolCall('make', { desk }),
        );
        expect(message.result).toMatchObject({ isError: true });
        expect(textOf(message)).toContain('There is no desk');
      }
  });
});
