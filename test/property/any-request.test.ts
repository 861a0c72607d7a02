/**
 * Every request gets an HTTP answer, with a JSON-RPC error or the right status. No session is created without a client
 * that gets its id.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SessionMode } from '../../src/protocol/versions.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { isMatrix } from '../kit/matrix.ts';
import { serve } from '../kit/serve.ts';
import { body, headers, httpMethod, request, type Headers } from './arbitraries.ts';
import { createHostileServer } from './hostile-server.ts';
import { probe } from './probe.ts';

const modes: SessionMode[] = ['hybrid', 'stateful', 'stateless'];
const ways = (['listen', 'fetch'] as const).flatMap((face) => modes.map((sessionMode) => ({ face, sessionMode })));

const RUNS = isMatrix ? 300 : 50;

describe.each(ways)('$sessionMode over $face', ({ face, sessionMode }) => {
  const open = async () => {
    const served = await serve(createHostileServer, { sessionMode }, { face });
    const client = served.client({ timeoutMs: 15_000 });
    const live = served.client({ timeoutMs: 15_000 });
    /** Sessions whose id a client got and that it has not ended. */
    const known = new Set<string>();
    const ensureLive = async (): Promise<string | undefined> => {
      if (sessionMode === 'stateless' || (live.sessionId !== undefined && known.has(live.sessionId)))
        return live.sessionId;
      await live.initialize();
      known.add(live.sessionId ?? '');
      return live.sessionId;
    };
    const told = (response: RawResponse, method: string, sessionId: string | null | undefined): void => {
      const id = response.header('mcp-session-id');
      if (method === 'POST' && id !== undefined) known.add(id);
      if (method === 'DELETE' && response.status === 200) known.delete(sessionId ?? '');
    };
    return { ...served, client, known, ensureLive, told };
  };

  const withSession = (given: Headers, sessionId: string | undefined): Headers => ({
    ...given,
    'mcp-session-id': given['mcp-session-id'] === 'live' ? (sessionId ?? null) : given['mcp-session-id'],
  });

  test('any method, headers and body', async () => {
    const { client, endpoint, known, ensureLive, told, log } = await open();
    await fc.assert(
      fc.asyncProperty(httpMethod, headers, body, async (method, given, bytes) => {
        const sent = withSession(given, await ensureLive());
        const response = await probe(client, { method, headers: sent, body: bytes });
        told(response, method, sent['mcp-session-id']);
        expect(endpoint.sessions.count).toBe(known.size);
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
        const fitting = modern ? mirrored(message.method, params) : { 'mcp-session-id': live ?? null };
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
        expect(endpoint.sessions.count).toBe(known.size);
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
  const plain = Object.entries(fields).map(([name, value]) => [name, String(value).replace(/[^\x20-\x7e]/g, '?')]);
  return Object.fromEntries(plain.filter(([, value]) => value !== 'null')) as T;
}
