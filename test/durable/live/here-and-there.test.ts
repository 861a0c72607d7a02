/**
 * Every member of a handler's context, used twice: where the client is, and at another instance. What the client reads
 * is the same, in both eras and with both forms of an answer. So is what its operator reads of the end of the call.
 */
import {
  inputRequired,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { describe, expect, test } from 'vitest';
import {
  currentRequest,
  currentSession,
  listHandles,
  live,
  type LiveObject,
  type McpSession,
  type Notice,
  openHandle,
  userState,
} from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { textOf } from '../../kit/lab.ts';
import { callModern, envelope, mirrored } from '../../kit/modern.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { serve, type Served, userHeader } from '../../kit/serve.ts';
import type { Message } from '../../kit/sse-parser.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';

type Given = ServerContext & { readonly handle: LiveObject['handle'] };

const ASKED = {
  mode: 'form' as const,
  message: 'Which?',
  requestedSchema: { type: 'object' as const, properties: { colour: { type: 'string' as const } } },
};
const SAMPLED = {
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'say' } }],
  maxTokens: 1,
};
const TOO_LARGE = 'x'.repeat(300_000);

const state = (): McpSession['state'] => {
  const session = currentSession();
  if (session === undefined) throw new Error('no session');
  return session.state;
};

/** A session of this test can be asked, a request of 2026-07-28 not. */
const CANNOT = 'inputRequired(), which the client cannot';

/** What a handler may use. What it returns or throws is in the answer. */
const MEMBERS: Readonly<Record<string, (given: Given) => unknown>> = {
  'mcpReq.method, _meta, envelope': ({ mcpReq: { method, _meta, envelope: own } }) => [
    method,
    _meta,
    own,
  ],
  'mcpReq.log': ({ mcpReq }) => mcpReq.log('error', 'logged'),
  'mcpReq.log below the level': ({ mcpReq }) => mcpReq.log('debug', 'logged'),
  'mcpReq.notify': ({ mcpReq }) =>
    mcpReq.notify({
      method: 'notifications/progress',
      params: { progressToken: mcpReq._meta?.progressToken ?? '', progress: 1 },
    }),
  'mcpReq.notify of a list': ({ mcpReq }) =>
    mcpReq.notify({ method: 'notifications/tools/list_changed' }),
  'mcpReq.elicitInput': ({ mcpReq }) => mcpReq.elicitInput(ASKED),
  'mcpReq.elicitInput, with progress': async ({ mcpReq }) => {
    const heard: unknown[] = [];
    const answer = await mcpReq.elicitInput(ASKED, {
      onprogress: ({ progress }) => void heard.push(progress),
    });
    return [answer, heard];
  },
  'mcpReq.elicitInput, cancelled': ({ mcpReq }) =>
    mcpReq.elicitInput({ ...ASKED, message: 'Never answered' }, { timeout: 50 }),
  'mcpReq.requestSampling': ({ mcpReq }) => mcpReq.requestSampling(SAMPLED),
  'mcpReq.send, refused by the client': ({ mcpReq }) => mcpReq.send({ method: 'roots/list' }),
  'mcpReq.requestState': ({ mcpReq }) => mcpReq.requestState(),
  'mcpReq.inputResponses': ({ mcpReq }) => mcpReq.inputResponses,
  sessionId: ({ sessionId }) => typeof sessionId,
  http: ({ http }) => [http?.req?.method, http?.req?.headers.get('x-user')],
  'http.authInfo': ({ http }) => http?.authInfo?.extra,
  'currentSession()': () => {
    const { kind, userKey, userName, clientInfo, clientCapabilities, protocolVersion, signal } =
      currentSession() ?? {};
    return [
      kind,
      userKey,
      userName,
      clientInfo,
      clientCapabilities,
      protocolVersion,
      signal?.aborted,
    ];
  },
  'currentRequest()': () => currentRequest()?.headers.get('x-user'),
  'state.update': () => state().update<number>('n', (before = 0) => before + 1),
  'state.update, async': () => state().update('n', async () => 1),
  'state.set, get, delete, entries': async () => {
    await state().set('a', { b: [1] });
    const got = await state().get('a');
    return [got, await state().delete('a'), await state().delete('a'), await state().entries()];
  },
  'state.set, too large': () => state().set('large', TOO_LARGE),
  'state.set, no JSON': () => state().set('n', 1n),
  'state.set, an empty key': () => state().set('', 1),
  'state.update that throws': () =>
    state().update('n', () => {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'not this', { of: 'n' });
    }),
  'handle.state': ({ handle }) => handle.state.update<number>('n', (before = 0) => before + 1),
  'handle.state, too large': ({ handle }) => handle.state.set('large', TOO_LARGE),
  'handle.created': ({ handle }) => [handle.created, handle.kind],
  'userState()': () => userState().update<number>('n', () => 1),
  'userState(), too large': () => userState().set('large', TOO_LARGE),
  'openHandle(), which is not there': () => openHandle('desk', 'desk_AAAAAAAAAAAAAAAAAAAAAA'),
  'listHandles()': async () => (await listHandles('desk')).length > 0,
  'inputRequired()': () =>
    inputRequired({ inputRequests: { colour: inputRequired.elicit(ASKED) }, requestState: 's' }),
  [CANNOT]: () => inputRequired({ inputRequests: { said: inputRequired.createMessage(SAMPLED) } }),
  'a throw of the SDK': () => {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'wrong', { of: 'data' });
  },
  'a throw': () => {
    throw new RangeError('out of range');
  },
  'a throw with a code': () => {
    throw Object.assign(new TypeError('no file'), { code: 'ENOENT' });
  },
  'a throw with a long name': () => {
    throw Object.assign(new Error('long'), { name: 'E'.repeat(65) });
  },
  'a throw of a text': () => {
    // oxlint-disable-next-line only-throw-error
    throw 'sesame';
  },
  'a result with an error': () => ({ ...said('no'), isError: true }),
};

/** An error as a handler sees it. */
const seen = (cause: unknown): object => {
  const { name, code, data, message } = Object(cause) as Record<string, unknown>;
  return { name, code, data, message };
};

const inputSchema = z.object({
  id: z.string().optional(),
  member: z.string().optional(),
  thrown: z.boolean().optional(),
});
type Args = z.infer<typeof inputSchema>;
type Said = ReturnType<typeof said>;

const use = (args: object = {}) => ({ name: 'use', arguments: args });

function serverOf(): McpServer {
  const server = new McpServer(
    { name: 'desks', version: '1.0.0' },
    { capabilities: { logging: {}, tools: { listChanged: true }, prompts: { listChanged: true } } },
  );
  const used = live(
    { kind: 'desk', id: ({ id }: Args) => id, open: () => ({}) },
    async ({ member, thrown }: Args, ctx: ServerContext, { handle }: LiveObject): Promise<Said> => {
      if (member === undefined) return said(handle.id);
      const result = (async (): Promise<unknown> => MEMBERS[member]?.({ ...ctx, handle }))();
      const given = await (thrown === true ? result : result.catch(seen));
      const { isError, resultType } = Object(given) as { isError?: boolean; resultType?: string };
      return isError === true || resultType !== undefined
        ? (given as Said)
        : said(JSON.stringify(given ?? null));
    },
  );
  server.registerTool('use', { inputSchema }, used);
  server.registerTool('last', {}, () => {
    server.sendPromptListChanged();
    return said('');
  });
  return server;
}

/** Sends a call, answers what its client is asked, and returns all that it reads, as it comes. */
type Transcript = (at: Served, args: object) => Promise<unknown[]>;

/** What the GET stream carries last. */
const LAST = 'notifications/prompts/list_changed';
const AUTH = { headers: { 'x-user': 'ada' } };
const META = { progressToken: 'p', 'io.modelcontextprotocol/logLevel': 'info' };

const shown = ({ id, ...message }: Message): unknown =>
  'method' in message ? { asks: id !== undefined, ...masked(message) } : masked(message);

/** Ids of questions and of sessions differ. */
const masked = (message: object): object =>
  JSON.parse(
    JSON.stringify(message, (key, value: unknown) =>
      (key === 'progressToken' && value !== 'p') || key === 'requestId' ? '…' : value,
    ),
  ) as object;

async function answer(session: RawClient, { id, method, params }: Message): Promise<void> {
  const token = (params?.['_meta'] as { progressToken?: string } | undefined)?.progressToken;
  if (token !== undefined)
    await session.notify('notifications/progress', { progressToken: token, progress: 7 });
  if (params?.['message'] === 'Never answered') return;
  const answers: Record<string, object> = {
    'elicitation/create': { result: { action: 'accept', content: { colour: 'red' } } },
    'sampling/createMessage': {
      result: { model: 'm', role: 'assistant', content: { type: 'text', text: 'said' } },
    },
  };
  const refused = { error: { code: -32_007, message: 'No roots', data: { of: 'client' } } };
  await session.post({ jsonrpc: '2.0', id, ...(answers[method ?? ''] ?? refused) });
}

const inSession: Transcript = async (at, args) => {
  const capabilities = { elicitation: {}, sampling: {}, roots: {} };
  const session = await at.openSession({ capabilities, ...AUTH }, AUTH);
  await session.call('logging/setLevel', { level: 'info' });
  const pushed = await session.get();
  const pump = async (stream: RawResponse, read: unknown[]): Promise<void> => {
    for (;;) {
      const message = await stream.nextMessage().catch(() => undefined);
      if (message === undefined || message.method === LAST) return;
      read.push(shown(message));
      if ('method' in message && message.id !== undefined) await answer(session, message);
    }
  };
  // Nothing orders what two connections carry.
  const [onGet, onPost]: [unknown[], unknown[]] = [[], []];
  const pushes = pump(pushed, onGet);
  const params = { ...use(args), _meta: { progressToken: 'p' } };
  const response = await session.post({ jsonrpc: '2.0', id: 7, method: 'tools/call', params });
  if (response.sse) await pump(response, onPost);
  else onPost.push(shown(response.json() as Message));
  await session.call('tools/call', { name: 'last', arguments: {} });
  await pushes;
  pushed.abort();
  return [onGet, onPost];
};

const modern: Transcript = async (at, args) => {
  const client = at.client(AUTH);
  const params = use(args);
  const response = await client.post(
    {
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: { ...params, _meta: envelope({ elicitation: { form: {} } }, META) },
    },
    { headers: mirrored('tools/call', params) },
  );
  if (!response.sse) return [response.status, shown(response.json() as Message)];
  await response.untilEnd();
  return [response.status, ...response.messages.map(shown)];
};

describe.each([
  ['a session', inSession, 'sse'],
  ['a session', inSession, 'json'],
  ['2026-07-28', modern, 'sse'],
  ['2026-07-28', modern, 'json'],
] as const)('%s', (_, transcript, responseMode) => {
  test(`a handler uses each member of its context here and elsewhere, ${responseMode}`, async () => {
    const [store, limits] = [memory(), { perUser: { handles: 1_000 } }];
    const ends: unknown[] = [];
    const at = () => {
      const observe = (notice: Notice): void => {
        if (notice.kind === 'callEnded' && notice.target === 'use')
          ends.push([notice.outcome, notice.error, notice.reason, notice.threw]);
      };
      const onerror = ({ name }: Error): void => void ends.push(name);
      return serve(
        serverOf,
        { store, responseMode, relayedHeaders: ['x-user'], limits, observe, onerror },
        { face: 'node', auth: userHeader },
      );
    };
    const [here, there] = [await at(), await at()];
    const differing: unknown[] = [];
    for (const member of Object.keys(MEMBERS))
      for (const thrown of [false, true]) {
        const made = async (): Promise<string> => {
          const { message } = await callModern(here.client(AUTH), 'tools/call', use());
          const id = textOf(message) ?? '';
          expect(id).toMatch(/^desk_/);
          return id;
        };
        const used = async (client: Served): Promise<unknown[]> => {
          const args = { id: await made(), member, thrown };
          ends.length = 0;
          const read = await transcript(client, args);
          await until(() => ends.some(Array.isArray), { what: 'the end of the call' });
          return [...read, ...ends];
        };
        const [near, far] = [await used(here), await used(there)];
        const [nearly, farther] = [JSON.stringify(near), JSON.stringify(far)];
        if (!thrown) expect(nearly).toContain(member === CANNOT ? '"jsonrpc"' : '"result"');
        if (nearly !== farther) differing.push([member, thrown, nearly, farther]);
      }
    expect(differing).toEqual([]);
  }, 120_000);
});
