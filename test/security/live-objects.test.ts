/** Attacks on live objects: what hangs, leaves, dies or lies, at the instance of the object and at that of the client. */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { McpServer as OlderServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { describe, expect, test } from 'vitest';
import {
  currentSession,
  live,
  type LiveObject,
  type LiveOptions,
  type McpEndpointOptions,
} from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { type LabInstance, openLab } from '../../src/testing/index.ts';
import { textOf, toolCall } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { serve, type Served } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

const inputSchema = z.looseObject({ desk: z.string().optional() });
type Args = z.infer<typeof inputSchema>;
interface Desk {
  readonly at: string;
}
type Given = LiveObject<Desk>;
type Tool = (ctx: ServerContext, given: Given, args: Args) => unknown;
type Tools = Readonly<Record<string, Tool>>;

/** A promise that the test settles. */
class Gate {
  readonly passed: Promise<void>;
  open!: () => void;

  constructor() {
    this.passed = new Promise((open) => (this.open = open));
  }
}

const deskAt = (
  at: string,
  changes: Partial<LiveOptions> = {},
): LiveOptions<Desk, { desk?: string | undefined }> => ({
  kind: 'desk',
  id: ({ desk }) => desk,
  open: () => ({ at }),
  closeAfterMs: 60_000,
  ...(changes as object),
});

const factoryOf =
  (at: string, tools: Tools, changes: Partial<LiveOptions> = {}) =>
  (): McpServer => {
    const server = new McpServer({ name: 'desks', version: '1.0.0' });
    const all: Tools = { make: (_, { handle }) => handle.id, ...tools };
    for (const [name, tool] of Object.entries(all)) {
      const run = live(
        deskAt(at, changes),
        async (args: Args, ctx: ServerContext, given: Given): Promise<ReturnType<typeof said>> =>
          said(String(await tool(ctx, given, args))),
      );
      const annotations = { idempotentHint: name.endsWith('_again') };
      server.registerTool(name, { inputSchema, annotations }, run);
    }
    server.registerTool('count', { inputSchema }, async () =>
      said(String(await currentSession()?.state.update('n', (n = 0) => n + 1))),
    );
    return server;
  };

async function openDesks(
  size: number,
  tools: Tools,
  changes: Partial<LiveOptions> = {},
  options: McpEndpointOptions = {},
) {
  const lab = await openLab(factoryOf('?', tools), options);
  const instances: LabInstance[] = [];
  for (const at of 'abc'.slice(0, size))
    instances.push(...(await lab.start(1, factoryOf(at, tools, changes))));
  return { lab, instances: instances as [LabInstance, LabInstance, LabInstance] };
}

const say = async (
  at: LabInstance,
  name: string,
  args: object = {},
  caller: object = {},
): Promise<string> => {
  const answer = await at.call(name, args as Record<string, unknown>, caller);
  if (answer.isError === true) throw new Error(answer.content[0]?.text);
  return answer.content[0]?.text ?? '';
};

const userOf = (sub: string) => ({
  authInfo: { token: 't', clientId: 'c', scopes: [], extra: { sub } },
});

/** A 2025-11-25 session at instances of a lab. */
class LabSession {
  #id: string | undefined = undefined;
  #last = 0;

  async #post(at: LabInstance, message: object): Promise<Response> {
    return at.fetch('http://localhost/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(this.#id && { 'mcp-session-id': this.#id, 'mcp-protocol-version': '2025-11-25' }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    });
  }

  static async open(at: LabInstance): Promise<LabSession> {
    const session = new LabSession();
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'lab', version: '1' },
    };
    const response = await session.#post(at, { id: 0, method: 'initialize', params });
    await response.text();
    session.#id = response.headers.get('mcp-session-id') ?? undefined;
    await session.#post(at, { method: 'notifications/initialized' });
    return session;
  }

  /** All that the answer to a call says. */
  async call(at: LabInstance, name: string, args: object = {}): Promise<string> {
    return (await this.#post(at, toolCall((this.#last += 1), name, args))).text();
  }

  /** From now on its session knows which tools may run twice. */
  async list(at: LabInstance): Promise<void> {
    await (await this.#post(at, { id: 'tools', method: 'tools/list' })).text();
  }

  async cancel(at: LabInstance): Promise<void> {
    const params = { requestId: this.#last };
    await this.#post(at, { method: 'notifications/cancelled', params });
  }
}

describe('in a lab', () => {
  test('a call that reaches an instance which gives the object away begins elsewhere, as one that never ran', async () => {
    const [closing, held] = [new Gate(), new Gate()];
    let [begun, closed] = [0, 0];
    const { lab, instances } = await openDesks(
      2,
      { hold: () => ((begun += 1), held.passed), at: (_, { object }) => object.at },
      { close: () => ((closed += 1), closing.passed) },
    );
    await using _ = lab;
    const [a, b] = instances;
    const [desk, busy] = [await say(a, 'make'), await say(a, 'make')];
    const holding = say(a, 'hold', { desk: busy });
    await lab.until(() => begun === 1);
    const drained = lab.drain(a);
    await lab.until(() => closed === 1);
    const call = say(b, 'at', { desk });
    await lab.advance(50);
    closing.open();
    expect(await call.finally(held.open)).toBe('b');
    await Promise.all([holding, drained]);
  });

  test('a call that waited in middleware while its object failed to open opens nothing', async () => {
    const [opening, waiting] = [new Gate(), new Gate()];
    const [seen, calls]: [string[], string[]] = [[], []];
    const { lab, instances } = await openDesks(
      1,
      { at: (_, { object }) => object.at },
      {
        open: async () => {
          seen.push('open');
          if (seen.length !== 3) return {};
          await opening.passed;
          throw new Error('No desk today');
        },
        close: () => void seen.push('close'),
      },
      {
        middleware: async (request, next) => {
          calls.push(request.method);
          if (calls.length === 3) await waiting.passed;
          return next();
        },
      },
    );
    await using _ = lab;
    const [a] = instances;
    const desk = await say(a, 'make');
    await lab.advance(65_000);
    expect(seen).toEqual(['open', 'close']);
    const [first, second] = [say(a, 'at', { desk }), say(a, 'at', { desk })];
    await lab.until(() => calls.length === 3 && seen.length === 3);
    opening.open();
    await expect(first).rejects.toThrow('No desk today');
    waiting.open();
    await expect(second).rejects.toThrow(/before this request ran/);
    expect(seen).toEqual(['open', 'close', 'open']);
  });

  test('a handler that asks for more of the state of a distant session than its instance reads is cut', async () => {
    let asked = 0;
    let isAborted = false;
    const { lab, instances } = await openDesks(2, {
      ask: async ({ mcpReq: { signal } }) => {
        signal.addEventListener('abort', () => (isAborted = true));
        const state = currentSession()?.state;
        const all = Array.from({ length: 100 }, async () => {
          await state?.get('large');
          asked += 1;
        });
        await Promise.allSettled(all);
        return 'all';
      },
      fill: async () => (await currentSession()?.state.set('large', 'x'.repeat(200_000)), 'filled'),
    });
    await using _ = lab;
    const [a, b] = instances;
    const desk = await say(b, 'make');
    const session = await LabSession.open(a);
    expect(await session.call(a, 'fill', { desk })).toContain('filled');
    expect(await session.call(a, 'ask', { desk })).toContain('messages_cut');
    await lab.until(async () => (await lab.advance(100), isAborted));
    expect(asked).toBeLessThan(100);
    expect(await session.call(a, 'make')).toContain('desk');
  });

  test('calls for an object that is not closed in time are refused together, not one after the other', async () => {
    const closing = new Gate();
    const { lab, instances } = await openDesks(
      1,
      { at: (_, { object }) => object.at },
      { close: () => closing.passed },
      { maxWaitMs: 1_000, hookTimeoutMs: 600_000 },
    );
    await using _ = lab;
    const [a] = instances;
    const desk = await say(a, 'make');
    await lab.advance(65_000);
    let refused = 0;
    const calls = Array.from({ length: 20 }, () =>
      say(a, 'at', { desk }).catch(() => (refused += 1)),
    );
    await lab.advance(2_500);
    expect(refused).toBe(20);
    closing.open();
    await Promise.all(calls);
    expect(await say(a, 'at', { desk })).toBe('a');
  });

  test.each(['end', 'forgetUser'])(
    'after %s() the object takes no call that was on its way, and is not opened again',
    async (how) => {
      const [waiting, held] = [new Gate(), new Gate()];
      const [seen, calls]: [string[], string[]] = [[], []];
      const { lab, instances } = await openDesks(
        2,
        {
          hold: () => (seen.push('hold'), held.passed),
          at: () => seen.push('at'),
          end: (_, { handle }) => handle.end(),
        },
        { open: () => (seen.push('open'), {}), close: () => void seen.push('close') },
        {
          middleware: async (request, next) => {
            if (request.name === 'at') calls.push('at');
            if (request.name === 'at') await waiting.passed;
            return next();
          },
        },
      );
      await using _ = lab;
      const [a, b] = instances;
      const ada = userOf('ada');
      const desk = await say(a, 'make', {}, ada);
      const holding = say(b, 'hold', { desk }, ada);
      holding.catch(() => {});
      const late = say(b, 'at', { desk }, ada);
      late.catch(() => {});
      await lab.until(() => calls.length === 1 && seen.includes('hold'));
      if (how === 'end') await say(b, 'end', { desk }, ada);
      else {
        const { userKey } = (await b.endpoint.handles.list()).handles[0] ?? {};
        expect((await b.endpoint.forgetUser(String(userKey))).handles).toBe(1);
      }
      await lab.advance(100);
      waiting.open();
      await expect(late).rejects.toThrow('There is no desk');
      held.open();
      if (how === 'end') await holding;
      else await expect(holding).rejects.toThrow('was closed');
      await lab.until(() => seen.includes('close'));
      await expect(say(b, 'at', { desk }, ada)).rejects.toThrow('There is no desk');
      if (how !== 'end') await expect(say(a, 'make', {}, ada)).rejects.toThrow();
      expect(seen).toEqual(['open', 'hold', 'close']);
    },
  );

  test('a call that the next owner of its session runs again is no first run at the instance of the object', async () => {
    const [attempts, held]: [number[], Gate] = [[], new Gate()];
    const { lab, instances } = await openDesks(
      3,
      { hold_again: () => held.passed },
      {},
      {
        middleware: (request, next) => {
          if (request.name === 'hold_again') attempts.push(request.attempt);
          return next();
        },
      },
    );
    await using _ = lab;
    const [a, b, c] = instances;
    const desk = await say(a, 'make');
    const session = await LabSession.open(b);
    session.call(b, 'hold_again', { desk }).catch(() => {});
    await lab.until(() => attempts.length === 1);
    await lab.kill(b);
    await lab.advance(10_000);
    const next = session.call(c, 'count');
    await lab.until(async () => (await lab.advance(100), attempts.length === 2));
    held.open();
    await next;
    expect(attempts).toEqual([1, 2]);
  });

  test('the instance of the object knows the caller as the other one checked it, without the token', async () => {
    const [asked, seen]: [unknown[], unknown[]] = [[], []];
    const { lab, instances } = await openDesks(
      2,
      { secret: () => 'told', open: () => 'told' },
      {},
      {
        auth: {
          verify: (token) => ({
            token,
            clientId: 'c',
            scopes: [token],
            resource: new URL('http://localhost/mcp'),
            expiresAt: Infinity,
            extra: { sub: 'ada', tenant: { id: 7 } },
          }),
          authorize: (_kind, name, authInfo) => {
            asked.push(name);
            return name !== 'secret' || authInfo?.scopes.includes('all') === true;
          },
        },
        middleware: ({ userKey, authInfo }, next) => {
          seen.push({ userKey, authInfo });
          return next();
        },
      },
    );
    await using _ = lab;
    const [a, b] = instances;
    const caller = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
    const [all, some] = [caller('all'), caller('some')];
    const desk = await say(a, 'make', {}, all);
    const [asHere] = seen.splice(0) as [{ authInfo: object }];
    asked.length = 0;
    await expect(say(b, 'secret', { desk }, some)).rejects.toThrow();
    expect(asked.filter((name) => name === 'secret')).toHaveLength(1);
    seen.length = 0;
    asked.length = 0;
    expect(await say(b, 'secret', { desk }, all)).toBe('told');
    expect(asked).toEqual(['secret']);
    expect(seen).toEqual([{ ...asHere, authInfo: { ...asHere.authInfo, token: '' } }]);
  });

  test("another user's server says nothing of whether a call may run again", async () => {
    const held = new Gate();
    const begun: unknown[] = [];
    const lab = await openLab(factoryOf('?', {}));
    await using _ = lab;
    const start = async (at: string): Promise<LabInstance> => {
      const [instance] = await lab.start(1, ({ authInfo }) => {
        const user = authInfo?.extra?.['sub'];
        const server = factoryOf(at, {})();
        const hold = live(deskAt(at), async (_: Args) => {
          begun.push(user);
          await held.passed;
          return said('');
        });
        const annotations = { idempotentHint: user === 'ada' };
        server.registerTool('hold', { inputSchema, annotations }, hold);
        return server;
      });
      return instance;
    };
    const [a, b] = [await start('a'), await start('b')];
    const users = [userOf('ada'), userOf('eve')] as const;
    const [ada, eve] = await Promise.all(users.map((user) => say(a, 'make', {}, user)));
    held.open();
    await say(b, 'hold', { desk: await say(b, 'make', {}, users[0]) }, users[0]);
    Object.assign(held, new Gate());
    begun.length = 0;
    const theirs = say(b, 'hold', { desk: eve }, users[1]);
    theirs.catch(() => {});
    const hers = say(b, 'hold', { desk: ada }, users[0]);
    await lab.until(() => begun.length === 2);
    await lab.kill(a);
    await lab.advance(10_000);
    await expect(theirs).rejects.toThrow('may have run');
    await lab.until(() => begun.length === 3);
    held.open();
    expect(await hers).toBe('');
    expect(begun.toSorted()).toEqual(['ada', 'ada', 'eve']);
  });

  test('a call that is cancelled while its instance asks the owner begins nowhere', async () => {
    let begun = 0;
    const { lab, instances } = await openDesks(2, { at: () => (begun += 1) });
    await using _ = lab;
    const [a, b] = instances;
    const desk = await say(a, 'make');
    const session = await LabSession.open(b);
    await lab.advance(10_000);
    const call = session.call(b, 'at', { desk });
    await session.cancel(b);
    await call;
    await lab.advance(1_000);
    expect(begun).toBe(0);
    expect(await session.call(b, 'at', { desk })).toContain('"text":"1"');
  });

  test('calls of one POST begin at another instance in their order', async () => {
    const order: unknown[] = [];
    const [a, b] = await openSockets({ at: (_, __, { n }) => order.push(n) });
    const desk = await makeAt(a);
    const session = await b.openSession({ protocolVersion: '2025-03-26' });
    const calls = [1, 2, 3, 4].map((n) => toolCall(10 + n, 'at', { desk, n }));
    const response = await session.post(calls);
    if (response.sse) await response.untilEnd();
    expect(order).toEqual([1, 2, 3, 4]);
  });

  test('a call of a session whose owners and objects die begins three times, wherever it runs', async () => {
    let begun = 0;
    const { lab, instances } = await openDesks(3, {
      hold_again: () => ((begun += 1), new Promise(() => {})),
    });
    await using _ = lab;
    const [a, b, c] = instances;
    const desk = await say(a, 'make');
    const session = await LabSession.open(b);
    session.call(b, 'hold_again', { desk }).catch(() => {});
    await lab.until(() => begun === 1);
    await lab.kill(a);
    await lab.until(async () => (await lab.advance(100), begun === 2));
    await lab.kill(b);
    const next = session.call(c, 'count');
    await lab.until(async () => (await lab.advance(100), begun === 3));
    await lab.kill(c);
    next.catch(() => {});
    const [last] = await lab.start(1, factoryOf('d', { hold_again: () => (begun += 1) }));
    let isCounted = false;
    void session.call(last, 'count').then(() => (isCounted = true));
    await lab.until(async () => (await lab.advance(100), isCounted));
    expect(begun).toBe(3);
  });

  test.each(['the instance that relayed it', 'another instance'])(
    'without logged streams a call begins three times too, where the next owner of its session is %s',
    async (next) => {
      const begun: unknown[] = [];
      const tools: Tools = {
        hold_again: (_, __, { call }) => (begun.push(call), new Promise(() => {})),
      };
      const { lab, instances } = await openDesks(3, tools, {}, { eventRetention: false });
      await using _ = lab;
      const [a, b, c] = instances;
      const [relaying] = await lab.start(1, factoryOf('relaying', tools));
      const [other] = await lab.start(1, factoryOf('other', tools));
      const desk = await say(b, 'make');
      const session = await LabSession.open(a);
      await session.list(a);
      const runs = (): number => begun.filter((call) => call === 'own').length;
      const own = session.call(relaying, 'hold_again', { desk, call: 'own' });
      await lab.until(() => runs() === 1);
      /** While the slower one sleeps, the other one takes what a dead instance had. */
      const takes = async (slower: LabInstance, took: () => boolean): Promise<void> => {
        await lab.advance(2_000);
        await lab.freeze(slower);
        await lab.until(async () => (await lab.advance(50), took()));
        await lab.wake(slower);
      };
      await lab.kill(b);
      say(c, 'hold_again', { desk, call: 'of c' }).catch(() => {});
      await takes(a, () => begun.includes('of c'));
      await lab.until(async () => (await lab.advance(100), runs() === 2));
      await lab.kill(a);
      if (next === 'another instance') {
        let isThere = false;
        void session.list(other).then(() => (isThere = true));
        await takes(relaying, () => isThere);
      }
      await lab.until(async () => (await lab.advance(100), runs() === 3));
      await lab.kill(next === 'another instance' ? other : c);
      let answer = '';
      void own.then((text) => (answer = text));
      await lab.until(async () => (await lab.advance(100), answer !== '' || runs() > 3));
      expect([runs(), answer]).toEqual([3, expect.stringContaining('began 3 times')]);
    },
  );

  test('a call at another instance, whose session leaves in a drain, runs again as one here does', async () => {
    const held = new Gate();
    let begun = 0;
    const { lab, instances } = await openDesks(3, {
      hold_again: () => ((begun += 1), held.passed),
    });
    await using _ = lab;
    const [a, b, c] = instances;
    const desk = await say(a, 'make');
    const session = await LabSession.open(b);
    session.call(b, 'hold_again', { desk }).catch(() => {});
    await lab.until(() => begun === 1);
    await lab.drain(b);
    const next = session.call(c, 'count');
    await lab.until(async () => (await lab.advance(100), begun === 2));
    held.open();
    expect(await next).toContain('"text":"1"');
  });
});

async function openSockets(
  tools: Tools,
  changes: Partial<LiveOptions> = {},
  options: McpEndpointOptions = {},
): Promise<[Served, Served]> {
  const store = memory();
  const at = (name: string) => serve(factoryOf(name, tools, changes), { store, ...options });
  return [await at('a'), await at('b')];
}

const makeAt = async (at: Served): Promise<string> =>
  textOf((await callModern(at.client(), 'tools/call', { name: 'make', arguments: {} })).message) ??
  '';

const elicitation = {
  message: 'Which colour?',
  requestedSchema: { type: 'object' as const, properties: { colour: { type: 'string' as const } } },
};

describe('on sockets', () => {
  test('a question whose handler at the other instance no longer waits is taken back from the client', async () => {
    const [a, b] = await openSockets({
      ask: ({ mcpReq }) =>
        mcpReq.elicitInput(elicitation, { timeout: 50 }).catch(() => 'no answer in time'),
    });
    const desk = await makeAt(a);
    const session = await b.openSession({ capabilities: { elicitation: {} } });
    const response = await session.post(toolCall(9, 'ask', { desk }));
    const asked = await response.nextMessage();
    expect(asked).toMatchObject({ method: 'elicitation/create' });
    const heard = [await response.nextMessage(), await response.nextMessage()];
    expect(heard).toContainEqual(
      expect.objectContaining({
        method: 'notifications/cancelled',
        params: expect.objectContaining({ requestId: asked.id }) as unknown,
      }),
    );
    expect(heard.map(textOf)).toContain('no answer in time');
  });

  test('a server of SDK 1 asks the client of a session from the instance of the object', async () => {
    const store = memory();
    const at = (name: string) =>
      serve(
        () => {
          const server = new OlderServer({ name: 'desks', version: '1.0.0' });
          server.registerTool(
            'ask',
            { inputSchema: { desk: z.string().optional() } },
            live(deskAt(name), async ({ desk }, extra, { object, handle }) => {
              if (desk === undefined) return { content: [{ type: 'text', text: handle.id }] };
              const params = elicitation;
              const asked = { method: 'elicitation/create' as const, params };
              const { content } = await extra.sendRequest(asked, ElicitResultSchema);
              const text = `${JSON.stringify(content)} at ${object.at}`;
              return { content: [{ type: 'text', text }] };
            }),
          );
          return server;
        },
        { store },
      );
    const [a, b] = [await at('a'), await at('b')];
    const capabilities = { elicitation: {} };
    const owner = await a.openSession({ capabilities });
    const { message } = await owner.call('tools/call', { name: 'ask', arguments: {} });
    const desk = textOf(message);
    const session = await b.openSession({ capabilities });
    const response = await session.post(toolCall(9, 'ask', { desk }));
    const asked = await response.nextMessage();
    const result = { action: 'accept', content: { colour: 'red' } };
    await session.post({ jsonrpc: '2.0', id: asked.id, result });
    expect(textOf(await response.nextMessage())).toBe('{"colour":"red"} at a');
  });

  test('a handler that runs on after its client has left is refused the state of the session', async () => {
    const seen: string[] = [];
    const [a, b] = await openSockets({
      leave: async ({ mcpReq: { signal } }) => {
        const session = currentSession();
        seen.push('begun');
        await new Promise((over) => signal.addEventListener('abort', over));
        await session?.state.get('n').catch((cause: unknown) => seen.push(String(cause)));
        return 'over';
      },
    });
    const desk = await makeAt(a);
    const session = await b.openSession();
    session.post(toolCall(9, 'leave', { desk })).catch(() => {});
    await until(() => seen.length === 1);
    await session.notify('notifications/cancelled', { requestId: 9 });
    await until(() => seen.length === 2);
  });

  test('a client that leaves while the object of a new handle opens leaves no handle behind', async () => {
    const opening = new Gate();
    let [opened, closed] = [0, 0];
    const [a] = await openSockets(
      {},
      { open: () => ((opened += 1), opening.passed), close: () => (closed += 1) },
    );
    const session = await a.openSession();
    session.post(toolCall(9, 'make')).catch(() => {});
    await until(() => opened === 1);
    await session.notify('notifications/cancelled', { requestId: 9 });
    opening.open();
    await until(() => closed === 1);
    expect((await a.endpoint.handles.list()).handles).toEqual([]);
  });

  test.each(['sojourn.guest.initialize', 'sojourn.guest.1', '__proto__', 'x'.repeat(10_000)])(
    'a session may number its calls as it likes: %.30s',
    async (id) => {
      const [a, b] = await openSockets({
        say: async (_, { object }) => {
          await currentSession()?.state.set('by', object.at);
          return `${object.at} ${String(await currentSession()?.state.get('by'))}`;
        },
      });
      const desk = await makeAt(a);
      const session = await b.openSession();
      const response = await session.post(toolCall(id, 'say', { desk }));
      const answer = await response.nextMessage();
      expect([answer.id, textOf(answer)]).toEqual([id, 'a a']);
    },
  );

  test('requests between instances are none that a client may send', async () => {
    const [a, b] = await openSockets({});
    await makeAt(a);
    const session = await b.openSession();
    for (const op of ['get', 'set', 'lock', 'entries']) {
      const { message } = await session.call('sojourn/state', { op, key: 'n', value: 1 });
      expect(message.error?.code).toBe(-32_601);
    }
    expect(textOf((await session.call('tools/call', { name: 'count' })).message)).toBe('1');
  });

  test('the answer to a call at another instance waits for a session whose client comes back', async () => {
    const held = new Gate();
    let begun = 0;
    const [a, b] = await openSockets({ hold: () => ((begun += 1), held.passed) });
    const desk = await makeAt(a);
    const session = await b.openSession();
    const leaving = new AbortController();
    const cut = await session.post(toolCall(9, 'hold', { desk }), { signal: leaving.signal });
    const { id } = await cut.next(({ id: event }) => event !== undefined);
    await until(() => begun === 1);
    leaving.abort();
    const resumed = session.get({ lastEventId: id });
    await new Promise((later) => setImmediate(later));
    held.open();
    expect(textOf(await (await resumed).nextMessage())).toBe('undefined');
    expect(begun).toBe(1);
  });
});
