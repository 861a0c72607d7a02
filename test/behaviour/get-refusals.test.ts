/** GETs that get no stream. (B31 is with the other cases of `Accept`.) */
import { describe, expect, test } from 'vitest';
import { createEchoServer } from '../kit/echo-server.ts';
import { MODERN } from '../kit/modern.ts';
import { perFace } from '../kit/sessions.ts';
import { failure, NOT_FOUND } from '../kit/refusals.ts';

describe.each(perFace)('$face', ({ serve, session }) => {
  test('B32 a GET without a session id gets an error that names sessions and stateless servers', async () => {
    const client = (await serve(createEchoServer, { sessionMode: 'stateful' })).client();
    const response = await client.get();
    expect(response.status).toBe(400);
    expect(response.json()).toEqual(
      failure(
        null,
        -32000,
        'Bad Request: GET needs the Mcp-Session-Id header of an initialized session; a stateless server takes POST only',
      ),
    );
  });

  test('B32 where 2026-07-28 is served too, a GET without a session id is 405, whatever it accepts', async () => {
    const client = (await serve(createEchoServer)).client();
    for (const headers of [{}, { accept: 'text/html' }, { 'last-event-id': 'x' }]) {
      const response = await client.get({ headers });
      expect([response.status, response.header('allow'), response.json()]).toMatchObject([
        405,
        'POST',
        { id: null, error: { code: -32000 } },
      ]);
    }
    // A DELETE needs an id to say what is to end, and a GET with one is served.
    expect((await client.delete()).status).toBe(400);
    await client.initialize();
    expect((await client.get()).status).toBe(200);
  });

  test('B33 an unknown session id on GET is 404, -32001, once the migration handler has said no', async () => {
    const asked: string[] = [];
    const allowSessionMigration = (_request: Request, id: string): undefined => void asked.push(id);
    const options = { sessionMigrationHandler: { allowSessionMigration } };
    const client = (await serve(createEchoServer, options)).client();
    const response = await client.get({ sessionId: 'some-other-session' });
    expect(response.status).toBe(404);
    expect(response.json()).toEqual(NOT_FOUND);
    expect(asked).toEqual(['some-other-session']);
  });

  test('B46 B53 B107 B220 a GET or DELETE of 2026-07-28 is 405 with Allow: POST, whatever its session id and its Accept are', async () => {
    const { one } = await session(createEchoServer);
    for (const method of ['GET', 'DELETE']) {
      for (const sessionId of [null, one.sessionId, 'unknown', 'a b']) {
        for (const accept of ['text/event-stream', 'text/html']) {
          const { request, response } = one.start(method, {
            sessionId,
            version: MODERN,
            headers: { accept },
          });
          request.end();
          expect((await response).status).toBe(405);
          expect((await response).headers('allow')).toEqual(['POST']);
          expect((await response).json()).toMatchObject({
            jsonrpc: '2.0',
            id: null,
            error: { code: -32000 },
          });
        }
      }
    }
    expect((await one.call('ping')).response.status).toBe(200);
  });
});
