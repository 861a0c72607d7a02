/** `auth.verify`: which requests are served, by every kind of handler, and what the others get. */
import { inspect } from 'node:util';
import { OAuthError, OAuthErrorCode, type AuthInfo } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { AuthOptions, McpEndpointOptions } from '../../../src/index.ts';
import { createMcpEndpoint } from '../../../src/index.ts';
import { bearer, RESOURCE } from '../../kit/issuer.ts';
import { initializeRequest } from '../../kit/initialize-request.ts';
import { createLab, say, textOf, tool } from '../../kit/lab.ts';
import { postModern } from '../../kit/modern.ts';
import { serve, type Face } from '../../kit/serve.ts';

const seconds = (): number => Math.floor(Date.now() / 1_000);
const info = (token: string, more: Partial<AuthInfo> = {}): AuthInfo => ({
  token,
  clientId: 'cli',
  scopes: ['read'],
  expiresAt: seconds() + 600,
  extra: { iss: 'https://id.example', sub: 'ada' },
  ...more,
});

const metadata = { resource: RESOURCE, authorization_servers: ['https://id.example'] };
const METADATA_URL = 'https://mcp.example/.well-known/oauth-protected-resource/mcp';

/** Knows the token `good`; `expired`, `narrow`, `elsewhere` and `parent` are good but for one thing. */
const verify: AuthOptions['verify'] = async (token) => {
  switch (token) {
    case 'good':
      return info(token);
    case 'expired':
      return info(token, { expiresAt: seconds() - 1 });
    case 'endless':
      return { ...info(token), expiresAt: undefined } as unknown as AuthInfo;
    case 'narrow':
      return info(token, { scopes: [] });
    case 'elsewhere':
      return info(token, { resource: new URL('https://other.example/mcp') });
    case 'sibling':
      return info(token, { resource: new URL('https://mcp.example/mcp2') });
    case 'parent':
      return info(token, { resource: new URL('https://mcp.example/') });
    case 'unknown':
      return undefined;
    case 'refused':
      throw new OAuthError(OAuthErrorCode.InvalidToken, 'Token was revoked');
    case 'away':
      throw new OAuthError(OAuthErrorCode.TemporarilyUnavailable, 'away');
    case 'listless':
      return { token } as AuthInfo;
    default:
      throw new Error(`the directory does not know ${token}`);
  }
};
const auth: AuthOptions = { verify, metadata, requiredScopes: ['read'] };

const known = async (token: string) => info(token);
const denied = (token: string): never => {
  const cause = new Error(`denied: ${token} ${encodeURIComponent(token)}`);
  throw new Error('The directory failed', { cause });
};
const revoked = (token: string): never => {
  const message = `denied: ${token} ${encodeURIComponent(token)}`;
  throw Object.assign(new Error(message), { name: 'OAuthError', code: 'invalid_token' });
};

const NO_BEARER = "Invalid Authorization header format, expected 'Bearer TOKEN'";

const FACES: readonly Face[] = ['listen', 'node', 'fetch'];

describe.each(FACES)('over %s', (face) => {
  test('a good token opens a session, and handlers see who calls', async () => {
    const { client } = await serve(createLab().factory, { auth }, { face });
    const one = client(bearer('good'));
    expect((await one.initialize()).response.status).toBe(200);
    const { message } = await one.call(...tool('who'));
    expect(textOf(message)).toContain('ada');
    expect((await one.get()).status).toBe(200);
    expect((await one.delete()).status).toBe(200);
  });

  test.each([
    // The client sent no token, so the challenge has no error code.
    ['no header', {}, 'Missing Authorization header', false],
    ['an empty header', { authorization: '' }, 'Missing Authorization header', false],
    ['another scheme', { authorization: 'Basic Z29vZA==' }, NO_BEARER, false],
    ['no token', { authorization: 'Bearer' }, NO_BEARER, true],
    ['a token and more', { authorization: 'Bearer good x' }, NO_BEARER, true],
    ['an expired token', bearer('expired').headers, 'Token has expired', true],
    ['a token without an end', bearer('endless').headers, 'Token has no expiration time', true],
    [
      'a token of another resource',
      bearer('elsewhere').headers,
      'Token was not issued for this resource',
      true,
    ],
    [
      'a token of a resource beside this one',
      bearer('sibling').headers,
      'Token was not issued for this resource',
      true,
    ],
    ['a token that verify does not know', bearer('unknown').headers, 'Token is not valid', true],
    ['a token that verify refuses', bearer('refused').headers, 'Token was revoked', true],
  ])(
    'B186 %s is 401 with a challenge that names the metadata',
    async (_name, headers, description, isInvalid) => {
      const { client } = await serve(createLab().factory, { auth }, { face });
      const code = isInvalid ? { error: 'invalid_token' } : {};
      const errors = isInvalid ? `error="invalid_token", error_description="${description}", ` : '';
      for (const response of [
        await client({ headers }).post({ jsonrpc: '2.0', id: 1, method: 'ping' }),
        await client({ headers }).get({ sessionId: 'x' }),
        await client({ headers }).delete({ sessionId: 'x' }),
      ]) {
        expect(response.status).toBe(401);
        const challenge = `Bearer ${errors}scope="read", resource_metadata="${METADATA_URL}"`;
        expect(response.header('www-authenticate')).toBe(challenge);
        expect(response.json()).toEqual({ ...code, error_description: description });
      }
    },
  );

  test('a token for a resource above this one is good for this one', async () => {
    const { client } = await serve(createLab().factory, { auth }, { face });
    expect((await client(bearer('parent')).initialize()).response.status).toBe(200);
  });

  test('B190 a token without a required scope is 403, and the challenge names the scope', async () => {
    const { client } = await serve(createLab().factory, { auth }, { face });
    const { response } = await client(bearer('narrow')).initialize();
    expect(response.status).toBe(403);
    expect(response.header('www-authenticate')).toContain('error="insufficient_scope"');
    expect(response.header('www-authenticate')).toContain('scope="read"');
    expect(response.json()).toEqual({
      error: 'insufficient_scope',
      error_description: 'Insufficient scope',
    });
  });

  test('a verify that fails is 500 and one log line without the token; a temporary failure is 503', async () => {
    const { client, log } = await serve(createLab().factory, { auth }, { face });
    const { response } = await client(bearer('s3cr3t-token')).initialize();
    expect([response.status, response.json()]).toMatchObject([500, { error: { code: -32603 } }]);
    expect(log.matching(/auth.verify threw/, 'warn')).toHaveLength(1);
    expect(JSON.stringify(log.lines)).not.toContain('s3cr3t');
    expect((await client(bearer('listless')).initialize()).response.status).toBe(500);
    const away = (await client(bearer('away')).initialize()).response;
    expect([away.status, away.header('retry-after')]).toEqual([503, '1']);
  });

  test.each<[string, McpEndpointOptions]>([
    ['verify', { auth: { verify: denied } }],
    ['verify of a revoked token', { auth: { verify: revoked } }],
    [
      'verify of two issuers',
      { auth: { verify: (token) => Promise.any([1, 2].map(async () => revoked(token))) } },
    ],
    [
      'authorize',
      { auth: { verify: known, authorize: (_kind, _name, { token }) => denied(token) } },
    ],
    ['sessionUser', { auth: { verify: known }, sessionUser: ({ token }) => denied(token) }],
  ])(
    'the log has what %s throws without the token, also in the form of addresses',
    async (_, options) => {
      const { client, log } = await serve(createLab().factory, options, { face });
      for (const token of ['a+b/c==', 'token']) {
        const one = client(bearer(token));
        await one.initialize();
        await postModern(one, 'tools/list', {});
      }
      const text = inspect(log.lines, { depth: 9 });
      expect(text).toContain('denied: [token] [token]');
      expect(text).toContain('denied: token token');
      expect(text).not.toMatch(/a\+b|a%2Bb/);
    },
  );

  test('the Host and the Origin are checked before the token', async () => {
    const asked: string[] = [];
    const counting: AuthOptions = {
      verify: async (token) => {
        asked.push(token);
        return undefined;
      },
    };
    const { client } = await serve(createLab().factory, { auth: counting }, { face });
    const { response } = await client({ headers: { origin: 'https://evil.example' } }).initialize(
      bearer('good'),
    );
    expect(response.status).toBe(403);
    expect(asked).toEqual([]);
  });
});

test('verify gets the request, and its caller replaces what a middleware passed in', async () => {
  const seen: unknown[] = [];
  const { openSession } = await serve(
    createLab().factory,
    {
      auth: {
        verify: async (token, request) => {
          seen.push([request.headers.get('x-tenant'), request.authInfo?.extra?.['sub']]);
          return info(token);
        },
      },
    },
    { face: 'node', auth: () => info('t', { extra: { sub: 'mallory' } }) },
  );
  const one = await openSession({}, { headers: { ...bearer('good').headers, 'x-tenant': 'a' } });
  expect(await say(one, 'who')).toContain('ada');
  expect(seen[0]).toEqual(['a', 'mallory']);
});

test('a verify that hangs is 503 after hookTimeoutMs', async () => {
  const { client } = await serve(createLab().factory, {
    auth: { verify: () => new Promise(() => {}) },
    hookTimeoutMs: 50,
  });
  expect((await client(bearer('good')).initialize()).response.status).toBe(503);
});

test('a wrapper that sets `auth` on the request identifies the caller on the fetch face', async () => {
  const lab = createLab();
  const endpoint = createMcpEndpoint(lab.factory);
  const wrapped = Object.assign(initializeRequest(), { auth: info('t') });
  expect((await endpoint.fetch(wrapped)).status).toBe(200);
  expect(lab.made[0]?.ctx.session?.userKey).toBe('["sub","https://id.example","ada"]');
  await endpoint.close({ timeoutMs: 0 });
});
