/**
 * Every request gets an HTTP answer, with a JSON-RPC error or the right status. No session is created without a client
 * that gets its id.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { SessionMode } from '../../src/base/protocol/versions.ts';
import type { RawClient, RawHeaders } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import type { Message } from '../kit/sse-parser.ts';
import { createLab } from '../kit/lab.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { isMatrix } from '../kit/matrix.ts';
import { serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { body, headers, httpMethod, request, type Headers } from './arbitraries.ts';

const modes: SessionMode[] = ['hybrid', 'stateful', 'stateless'];
const ways = (['listen', 'fetch'] as const).flatMap((face) =>
  modes.map((sessionMode) => ({ face, sessionMode })),
);

const RUNS = isMatrix ? 300 : 50;

describe.each(ways)('$sessionMode over $face', ({ face, sessionMode }) => {
  const open = async () => {
    const served = await serve(factory, { sessionMode }, { face });
    const client = served.client({ timeoutMs: 15_000 });
    const live = served.client({ timeoutMs: 15_000 });
    /** Sessions whose id a client got and that it has not ended. */
    const known = new Set<string>();
    const ensureLive = async (): Promise<string | undefined> => {
      if (
        sessionMode === 'stateless' ||
        (live.sessionId !== undefined && known.has(live.sessionId))
      )
        return live.sessionId;
      await live.initialize();
      known.add(live.sessionId ?? '');
      return live.sessionId;
    };
    const told = (
      response: RawResponse,
      method: string,
      sessionId: string | null | undefined,
    ): void => {
      const id = response.header('mcp-session-id');
      if (method === 'POST' && id !== undefined) known.add(id);
      if (method === 'DELETE' && response.status === 200) known.delete(sessionId ?? '');
    };
    return { ...served, client, known, ensureLive, told };
  };

  const withSession = (given: Headers, sessionId: string | undefined): Headers => ({
    ...given,
    'mcp-session-id':
      given['mcp-session-id'] === 'live' ? (sessionId ?? null) : given['mcp-session-id'],
  });

  test('any method, headers and body', async () => {
    const { client, endpoint, known, ensureLive, told, log } = await open();
    await fc.assert(
      fc.asyncProperty(httpMethod, headers, body, async (method, given, bytes) => {
        const sent = withSession(given, await ensureLive());
        const response = await probe(client, { method, headers: sent, body: bytes });
        told(response, method, sent['mcp-session-id']);
        expect(endpoint.sessions.liveCount).toBe(known.size);
      }),
      { numRuns: RUNS },
    );
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    expect((await (await ready(client, sessionMode)).call('tools/list')).response.status).toBe(200);
  });

  test('any request that is one', async () => {
    const { client, endpoint, known, ensureLive, told, log } = await open();
    await fc.assert(
      fc.asyncProperty(request, fc.boolean(), async (message, modern) => {
        const live = await ensureLive();
        const params = modern ? { ...message.params, _meta: envelope() } : message.params;
        const fitting = modern
          ? mirrored(message.method, params)
          : { 'mcp-session-id': live ?? null };
        const response = await probe(client, {
          method: 'POST',
          headers: {
            accept: 'application/json, text/event-stream',
            'content-type': 'application/json',
            ...encodable(fitting),
          },
          body: JSON.stringify({ ...message, params }),
        });
        // Refused or answered, the response has the request's id, because nothing before the body was wrong.
        if (!response.sse) expect((response.json() as { id: unknown }).id).toBe(message.id);
        told(response, 'POST', undefined);
        expect(endpoint.sessions.liveCount).toBe(known.size);
      }),
      { numRuns: RUNS },
    );
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

async function ready(client: RawClient, sessionMode: SessionMode): Promise<RawClient> {
  if (sessionMode !== 'stateless') await client.initialize();
  return client;
}

/** A header can hold only Latin-1. */
function encodable<T extends object>(fields: T): T {
  const plain = Object.entries(fields).map(([name, value]) => [
    name,
    String(value).replace(/[^\x20-\x7e]/g, '?'),
  ]);
  return Object.fromEntries(plain.filter(([, value]) => value !== 'null')) as T;
}

/** With one of everything. Its handlers that are called always return, whatever their input. */
const { factory } = createLab((server) => {
  server.registerTool('fail', {}, () => {
    throw new Error('on purpose');
  });
  server.registerTool('chatty', {}, async (call) => {
    await call.mcpReq.log('error', 'one');
    await new Promise((later) => setImmediate(later));
    await call.mcpReq.log('error', 'two');
    return said('three');
  });
  server.registerPrompt('greet', { argsSchema: z.object({ name: z.string() }) }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: name } }],
  }));
});

// ——— one request, and the rules for every answer ———

interface Shot {
  readonly method: string;
  readonly headers: RawHeaders;
  readonly body?: string | Uint8Array | undefined;
}

/** None of these is a failure of the server. */
const STATUSES = [200, 202, 204, 400, 403, 404, 405, 406, 413, 415, 429];

/** Waits for the whole answer. A GET stream is closed once it is open. */
async function probe(client: RawClient, { method, headers, body }: Shot): Promise<RawResponse> {
  const started = client.start(method, { headers, sessionId: null, version: null });
  started.request.end(method === 'POST' ? body : undefined);
  const response = await started.response;
  expect(STATUSES).toContain(response.status);
  if (response.sse) {
    expect(response.status).toBe(200);
    if (method === 'GET' || isSubscription(body)) {
      response.abort();
      return response;
    }
    await response.untilEnd();
    expect(response.ending).toBe('complete');
  }
  if (response.status >= 400) checkRefusal(response, method);
  else if (response.status !== 200) expect(response.body).toBe('');
  else if (method === 'POST') checkAnswers(response, body);
  return response;
}

function checkRefusal(response: RawResponse, method: string): void {
  if (method === 'HEAD') return expect(response.body).toBe('');
  expect(response.header('content-type')).toBe('application/json');
  const refusal = response.json() as Message;
  expect(refusal).toMatchObject({
    jsonrpc: '2.0',
    error: { code: expect.any(Number), message: expect.any(String) },
  });
  expect(Object.keys(refusal)).toContain('id');
  expect(['string', 'number', 'object']).toContain(typeof refusal.id);
  if (response.status === 405) expect(response.header('allow')).toBeTruthy();
}

/** Every request of the body was answered once, under its own id. */
function checkAnswers(response: RawResponse, body: string | Uint8Array | undefined): void {
  const messages = response.sse
    ? response.messages
    : [response.json() as Message | Message[]].flat();
  const answers = messages.filter(({ method }) => method === undefined);
  for (const answer of answers) {
    expect(answer.jsonrpc).toBe('2.0');
    expect('result' in answer).not.toBe('error' in answer);
    if (answer.error !== undefined) expect(Number.isInteger(answer.error.code)).toBe(true);
  }
  const asked = [parse(body) as Message | Message[]]
    .flat()
    .flatMap((one) => ('method' in one && 'id' in one ? [one.id] : []));
  expect(answers.map((answer) => answer.id).sort()).toEqual(asked.sort());
}

function parse(body: string | Uint8Array | undefined): unknown {
  return JSON.parse(typeof body === 'string' ? body : Buffer.from(body ?? []).toString());
}

function isSubscription(body: string | Uint8Array | undefined): boolean {
  return typeof body === 'string' && body.includes('"subscriptions/listen"');
}
