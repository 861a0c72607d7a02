// @module-tag matrix
/** The framework examples, started as their readers start them, used by the official clients of both lines. */
import { describe, expect, test } from 'vitest';
import { connectNegotiating, connectV2, sessionClients } from '../../clients/official.ts';
import { bearer, RESOURCE, startIssuer } from '../../kit/issuer.ts';
import { say, tool } from '../../kit/lab.ts';
import { openClient } from '../../kit/listening.ts';
import { until } from '../../kit/until.ts';
import { startExample } from './example-process.ts';

describe.each(['express', 'fastify', 'hono'])('examples/%s', (name) => {
  test('serves clients of both eras, and stops on SIGTERM', async () => {
    const example = startExample(`${name}/server.ts`);
    const url = await example.url();
    for (const [, connect] of sessionClients) {
      const { client, say, sessionId, listening: listens } = await connect(url);
      await listens;
      expect(client.getServerVersion()).toMatchObject({ name: `${name}-example` });
      expect(await say('greet', { name: 'Ada' })).toBe('Hello Ada!');
      expect(sessionId).toMatch(/^[\w-]{22}$/);
    }
    const modern = await connectNegotiating(url);
    expect([modern.protocolVersion(), modern.sessionId]).toEqual(['2026-07-28', undefined]);
    expect(await modern.say('greet', { name: 'Bob' })).toBe('Hello Bob!');
    // Two GET streams are open.
    expect(await example.stop()).toBe(0);
    expect(example.complaints()).toBe('');
  });
});

test('B195 examples/express keeps the headers of its middleware, which sees the id of the session afterwards', async () => {
  const example = startExample('express/server.ts');
  const url = await example.url();
  const { sessionId, terminate } = await connectV2(url);
  const wrong = await fetch(url, { method: 'PUT' });
  expect([wrong.status, wrong.headers.get('x-served-by')]).toEqual([405, 'express']);
  await terminate();
  const lines = [
    `POST /mcp 200 ${sessionId}`,
    `POST /mcp 202 ${sessionId}`,
    'PUT /mcp 405 undefined',
  ];
  for (const line of lines)
    await until(() => example.output.stdout.includes(`${line}\n`), { what: line });
});

test('examples/express-auth asks for a token, and gives a session to its user only', async () => {
  const issuer = await startIssuer();
  const env = { ISSUER: issuer.url, RESOURCE };
  const url = await startExample('express-auth/server.ts', { env }).url();
  const refused = (await openClient(url).initialize()).response;
  const metadataUrl = 'https://mcp.example/.well-known/oauth-protected-resource/mcp';
  expect([refused.status, refused.header('www-authenticate')]).toEqual([
    401,
    expect.stringContaining(metadataUrl),
  ]);
  const metadata = await fetch(new URL(new URL(metadataUrl).pathname, url));
  expect(await metadata.json()).toMatchObject({
    resource: RESOURCE,
    authorization_servers: [issuer.url],
  });
  const ada = openClient(url, bearer(await issuer.token()));
  await ada.initialize();
  expect(await say(ada, 'whoami')).toContain('You are ada.');
  const bob = openClient(url, {
    ...bearer(await issuer.token({ claims: { sub: 'bob' } })),
    of: ada,
  });
  const { id, response, message } = await bob.call(...tool('whoami'));
  expect(response.status).toBe(403);
  expect(message).toMatchObject({ id, error: { code: -32_000, data: { reason: 'user' } } });
});
