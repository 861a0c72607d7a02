/**
 * Many sessions of one definition at once. All use the same request ids, and their tools send in every way that a tool
 * has: through the context, through the shared server, and through `currentSession()`. Each session has a user, a log
 * level, capabilities and another marker, and every message that it gets must carry its marker.
 */
import { CLIENT_INFO_META_KEY, McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { toolCall } from '../../../kit/lab.ts';
import { z } from 'zod';
import { currentRequest, currentSession } from '../../../../src/index.ts';
import type { RawClient } from '../../../kit/raw-client.ts';
import type { RawResponse } from '../../../kit/raw-response.ts';
import type { Message } from '../../../kit/sse-parser.ts';
import { isMatrix } from '../../../kit/matrix.ts';
import { callModern } from '../../../kit/modern.ts';
import { serve, userHeader } from '../../../kit/serve.ts';
import { times } from '../../../security/small-heap.ts';
import { until } from '../../../kit/until.ts';

/** Ten times as many in the matrix. As many requests run at once in both. */
const SESSIONS = isMatrix ? 1_000 : 100;
/** Requests at once, so that the test needs fewer connections than sessions. */
const AT_ONCE = 100;
const SCHEMA = { type: 'object' as const, properties: {} };

interface Talker {
  readonly marker: string;
  readonly index: number;
  readonly client: RawClient;
  readonly level: 'debug' | 'error';
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Who runs this handler, by each way to know it. `marker` is what the client said. */
function identities(server: McpServer, marker: string): string {
  const session = currentSession();
  const parts = [
    server.server.getClientVersion()?.name,
    currentRequest()?.headers.get('x-user'),
    // A request of 2026-07-28 has no session.
    session === undefined ? marker : session.clientInfo.name,
    session === undefined ? marker : session.userKey?.replace(/^.*"(m\d+)".*$/, '$1'),
  ];
  return parts.every((part) => part === marker) ? marker : `CROSSED ${marker} ${parts.join()}`;
}

function createServer(aborted: string[], late: Array<Promise<unknown>>): McpServer {
  const server = new McpServer(
    { name: 'one', version: '1.0.0' },
    { capabilities: { logging: {} } },
  );
  const marked = { inputSchema: z.object({ marker: z.string() }) };
  server.registerTool('mixed', marked, async ({ marker }, ctx) => {
    await ctx.mcpReq.log('info', `${marker} by ctx`);
    await turn();
    await server.sendLoggingMessage({ level: 'info', data: `${marker} by server` }, ctx.sessionId);
    await ctx.mcpReq.notify({
      method: 'notifications/message',
      params: { level: 'error', data: `${marker} notified` },
    });
    const asked = await server.server
      .elicitInput({ message: `${marker} asks`, requestedSchema: SCHEMA })
      .then(({ content }) => String(content?.['marker']))
      .catch(() => 'no elicitation');
    await turn();
    const own = currentSession()?.server as McpServer | undefined;
    late.push(
      turn().then(() => own?.server.sendLoggingMessage({ level: 'error', data: `${marker} late` })),
    );
    const text = `${identities(server, marker)} ${asked} ${server.server.getNegotiatedProtocolVersion()}`;
    return { content: [{ type: 'text', text }] };
  });
  server.registerTool('hold', marked, ({ marker }, ctx) => {
    return new Promise((resolve) => {
      ctx.mcpReq.signal.addEventListener('abort', () => {
        aborted.push(identities(server, marker));
        resolve({ content: [] });
      });
      // A request that is not cancelled ends by itself.
      if (Number(marker.slice(1)) % 2 === 1)
        void turn().then(() => resolve({ content: [{ type: 'text', text: marker }] }));
    });
  });
  return server;
}

/** Runs `work` for all, some at once. */
const forAll = <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> =>
  times(items.length, AT_ONCE, (n) => work(items[n] as T));

const versionOf = (index: number): string => (index % 3 === 0 ? '2025-06-18' : '2025-11-25');

/** Reads the stream of a call, answers its questions, and returns every message. */
async function converse(
  { client, marker }: Talker,
  response: RawResponse,
  id: number,
): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const message = await response.nextMessage();
    messages.push(message);
    if (message.method === 'elicitation/create') {
      const answer = { action: 'accept', content: { marker } };
      await client.post({ jsonrpc: '2.0', id: message.id, result: answer });
    }
    if (message.id === id && message.method === undefined) return messages;
  }
}

test('sessions of one definition cross nowhere', { timeout: 240_000 }, async () => {
  const aborted: string[] = [];
  const late: Array<Promise<unknown>> = [];
  const server = createServer(aborted, late);
  const { client, endpoint } = await serve(server, {}, { face: 'node', auth: userHeader });
  const talkers = Array.from({ length: SESSIONS }, (_, index): Talker => ({
    index,
    marker: `m${index}`,
    level: index % 2 === 0 ? 'debug' : 'error',
    client: client({ headers: { 'x-user': `m${index}` }, sockets: 3, timeoutMs: 60_000 }),
  }));

  await forAll(talkers, async ({ client: one, marker, index, level }) => {
    const capabilities = index % 2 === 0 ? { elicitation: { form: {} } } : { sampling: {} };
    await one.initialize({
      protocolVersion: versionOf(index),
      capabilities,
      clientInfo: { name: marker, version: '1' },
    });
    await one.call('logging/setLevel', { level });
  });
  expect(endpoint.sessions.liveCount).toBe(SESSIONS);
  const gets = await forAll(talkers, ({ client: one }) => one.get());

  const heard = await forAll(talkers, async (talker) => {
    const { client: one, marker } = talker;
    const id = 77;
    const response = await one.post(toolCall(id, 'mixed', { marker }));
    return converse(talker, response, id);
  });
  await Promise.all(late);
  for (const [index, messages] of heard.entries()) {
    const marker = `m${index}`;
    const loud = index % 2 === 0;
    const texts = messages.map(({ params, result }) =>
      String(
        params?.data ??
          params?.message ??
          (result?.content[0] as { text: string } | undefined)?.text,
      ),
    );
    expect(texts).toEqual([
      ...(loud ? [`${marker} by ctx`, `${marker} by server`] : []),
      `${marker} notified`,
      ...(loud ? [`${marker} asks`] : []),
      `${marker} ${loud ? marker : 'no elicitation'} ${versionOf(index)}`,
    ]);
  }

  // Every session holds a request of one id; the even ones cancel theirs.
  const holding = forAll(talkers, async ({ client: one, marker, index }) => {
    const call = toolCall(5, 'hold', { marker });
    const response = await one.post(call);
    if (index % 2 === 0) {
      await one.notify('notifications/cancelled', { requestId: 5 });
      await response.ended;
      return undefined;
    }
    return (await response.nextMessage()).result?.content[0];
  });
  const held = await holding;
  await until(() => aborted.length >= SESSIONS / 2);
  const even = talkers.filter(({ index }) => index % 2 === 0).map(({ marker }) => marker);
  expect(aborted.toSorted()).toEqual(even.toSorted());
  expect(held).toEqual(
    talkers.map(({ marker, index }) =>
      index % 2 === 0 ? undefined : { type: 'text', text: marker },
    ),
  );

  // What came on the GET streams: late sends of the own session, and nothing else.
  await until(() => gets.every(({ messages }) => messages.length > 0));
  for (const [index, { messages }] of gets.entries())
    expect(messages.map(({ params }) => params?.data)).toEqual([`m${index} late`]);

  // One change of the definition is one message on each of these streams.
  server.registerTool('more', {}, () => ({ content: [] }));
  await until(() =>
    gets.every(({ events }) =>
      events.some(({ data }) => data?.includes('tools/list_changed') === true),
    ),
  );

  for (const get of gets) get.abort();
  // Requests of 2026-07-28, each with another client in its envelope.
  const modern = client({ timeoutMs: 60_000, sockets: AT_ONCE });
  const answers = await forAll(talkers, ({ marker }) =>
    callModern(
      modern,
      'tools/call',
      { name: 'mixed', arguments: { marker } },
      {
        headers: { 'x-user': marker },
        meta: { [CLIENT_INFO_META_KEY]: { name: marker, version: '1' } },
      },
    ),
  );
  expect(answers.map(({ message }) => message.result?.content[0])).toEqual(
    talkers.map(({ marker }) => ({ type: 'text', text: `${marker} no elicitation 2026-07-28` })),
  );
});
