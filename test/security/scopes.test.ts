/**
 * Scopes in every mode and era: a caller without the scope `admin` tries whatever asks for it, and is answered as the
 * SDK's own transport answers.
 */
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { RawResponse } from '../kit/raw-response.ts';
import {
  BROKEN,
  GUARDED,
  caller,
  scopedServer,
  scopesHeader,
  withScopes,
} from '../kit/scoped-server.ts';
import { useSharedStores } from '../kit/shared-stores.ts';
import { type Callers, WAYS } from '../kit/ways.ts';

useSharedStores();

/** Scopes that do not make an admin. */
const INSUFFICIENT = ['', 'read', 'admin:read', 'ADMIN', 'admins administrator'];

type Request = (typeof GUARDED)[number];
const message = (id: number, [method, params]: Request) => ({ jsonrpc: '2.0', id, method, params });

const official = new Map<string, Promise<unknown>>();

/** What the SDK's own transport answers, asked once. */
function officialAnswer(request: Request, scopes: string): Promise<unknown> {
  const key = JSON.stringify([request, scopes]);
  const answer = official.get(key) ?? askOfficial(request, scopes);
  official.set(key, answer);
  return answer;
}

async function askOfficial(request: Request, scopes: string): Promise<unknown> {
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: undefined as never,
  });
  const server = scopedServer().factory({ serverOptions: {} });
  await server.connect(transport);
  onTestFinished(() => server.close());
  const response = await transport.handleRequest(
    new Request('http://localhost/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify(message(1, request)),
    }),
    { authInfo: caller(scopes) },
  );
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: await response.json(),
  };
}

const seen = (response: RawResponse): unknown => ({
  status: response.status,
  challenge: response.header('www-authenticate'),
  body: response.json(),
});

/** The user is the same: callers of fewer scopes speak in the session of an admin. */
const CALLERS: Callers = { auth: scopesHeader, opener: 'admin', headersOf: withScopes };

describe.each(Object.entries(WAYS))('%s', (_name, start) => {
  test('whatever asks for a scope is 403 for a caller without it, as the SDK answers', async () => {
    const { ran, send } = await start(CALLERS, scopedServer());
    for (const request of GUARDED) {
      for (const scopes of INSUFFICIENT) {
        const { response } = await send(...request, scopes);
        expect(seen(response)).toEqual(await officialAnswer(request, scopes));
        expect(response.status).toBe(403);
      }
    }
    expect(ran).toEqual([]);
  });

  test('and runs for a caller who has it', async () => {
    const { ran, send } = await start(CALLERS, scopedServer());
    for (const request of GUARDED) {
      const { response } = await send(...request, 'read admin');
      expect([200, 202]).toContain(response.status);
      await (response.sse ? response.untilEnd() : undefined);
    }
    await expect.poll(() => ran.filter((name) => name !== 'open').length).toBe(GUARDED.length);
  });

  test('a check that throws, or asks for what is no scope, refuses the call with 500 and a log line', async () => {
    const { served, ran, send } = await start(CALLERS, scopedServer());
    for (const request of BROKEN) {
      for (const scopes of ['', 'admin']) {
        const { response } = await send(...request, scopes);
        expect([response.status, response.json()]).toMatchObject([
          500,
          { error: { code: -32603 } },
        ]);
        expect(response.body).not.toMatch(/policy|cookie/);
        expect(response.header('set-cookie')).toBeUndefined();
      }
    }
    expect(ran).toEqual([]);
    expect(
      served.log.lines.filter(({ level }) => level === 'warn' || level === 'error').length,
    ).toBe(2 * BROKEN.length);
  });
});
