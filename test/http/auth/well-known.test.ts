/** The protected-resource metadata document: where it is, what it says, and that no request decides either. */
import { createServer } from 'node:http';
import express from 'express';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, type AuthOptions } from '../../../src/index.ts';
import { createLab } from '../../kit/lab.ts';
import { listening } from '../../kit/listening.ts';
import { serve } from '../../kit/serve.ts';

const PATH = '/.well-known/oauth-protected-resource/mcp';
const jwt = { issuer: 'https://id.example', audience: 'https://mcp.example/mcp' };
const document = {
  resource: 'https://mcp.example/mcp',
  authorization_servers: ['https://id.example'],
  bearer_methods_supported: ['header'],
  scopes_supported: ['read'],
};

async function asking(auth: AuthOptions | undefined) {
  const { port } = await serve(createLab().factory, { auth });
  return (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init);
}

test('B187 listen() serves the metadata document at the path of the configured resource, to any origin and without a token', async () => {
  const ask = await asking({ jwt, requiredScopes: ['read'] });
  const response = await ask(PATH, {
    headers: { origin: 'https://inspector.example', host: 'evil.example' },
  });
  expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([
    200,
    '*',
  ]);
  expect(await response.json()).toEqual(document);
  expect((await ask(PATH, { method: 'HEAD' })).status).toBe(200);
  const asked = 'mcp-protocol-version';
  const preflight = await ask(PATH, {
    method: 'OPTIONS',
    headers: { 'access-control-request-headers': asked },
  });
  expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([
    204,
    asked,
  ]);
  expect((await ask(PATH, { method: 'POST' })).status).toBe(405);
  expect((await ask('/.well-known/oauth-protected-resource')).status).toBe(404);
});

test('B187 without a configured resource there is no metadata document', async () => {
  expect((await (await asking(undefined))(PATH)).status).toBe(404);
  expect((await (await asking({ verify: async () => undefined }))(PATH)).status).toBe(404);
  expect((await (await asking({ jwt: { ...jwt, audience: 'api' } }))(PATH)).status).toBe(404);
});

test('B188 B189 auth.metadata adds to the metadata document and replaces parts of it, its resource too', async () => {
  const ask = await asking({
    jwt,
    metadata: {
      resource: 'https://mcp.example',
      authorization_servers: ['https://a.example', 'https://b.example'],
      resource_name: 'Notes',
    },
  });
  expect(await (await ask('/.well-known/oauth-protected-resource')).json()).toEqual({
    resource: 'https://mcp.example',
    authorization_servers: ['https://a.example', 'https://b.example'],
    bearer_methods_supported: ['header'],
    resource_name: 'Notes',
  });
});

describe('endpoint.wellKnown', () => {
  function endpointOf(auth: AuthOptions) {
    const endpoint = createMcpEndpoint(createLab().factory, { auth });
    onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
    return endpoint;
  }

  test('fetch answers the document, and 404 elsewhere', async () => {
    const { wellKnown } = endpointOf({ jwt, requiredScopes: ['read'] });
    const ask = (path: string) => wellKnown.fetch(new Request(`http://evil.example${path}`));
    expect(await (await ask(PATH)).json()).toEqual(document);
    expect((await ask('/')).status).toBe(404);
  });

  test('node is an Express middleware, and a handler of node:http', async () => {
    const { wellKnown, node } = endpointOf({ jwt, requiredScopes: ['read'] });
    const app = express();
    app.use(wellKnown.node);
    app.all('/mcp', node);
    for (const handler of [app, createServer(wellKnown.node).listeners('request')[0] as never]) {
      const origin = await listening(createServer(handler));
      expect(await (await fetch(origin + PATH)).json()).toEqual(document);
      expect((await fetch(`${origin}/other`)).status).toBe(404);
    }
  });
});
