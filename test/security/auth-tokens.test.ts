/**
 * Tokens that must not be let in, on every face and in every mode and era, also where a caller without a token is
 * anonymous (`auth.anonymous`). The issuer is a real HTTP server, and counts
 * how often this endpoint asked it for keys.
 */
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { exportSPKI, generateKeyPair } from 'jose';
import { describe, expect, test } from 'vitest';
import { toolCall } from '../kit/lab.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient, RawRequestOptions } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { bearer, RESOURCE, startIssuer, type Issuer } from '../kit/issuer.ts';
import { postModern } from '../kit/modern.ts';
import { serve, type Face } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';

const seconds = (): number => Math.floor(Date.now() / 1_000);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimsOf = (issuer: Issuer, more: object = {}) => ({
  iss: issuer.url,
  aud: RESOURCE,
  sub: 'ada',
  scope: 'read',
  exp: seconds() + 600,
  ...more,
});
const LONG = 'A'.repeat(9_000);
const part = (token: string, n: number): string => token.split('.')[n] ?? '';

/** `Authorization` headers. `jose` reads the token; how it is asked to is ours. */
async function badHeaders(issuer: Issuer): Promise<Array<string | undefined>> {
  const good = await issuer.token({ claims: { jti: 'never sent whole' } });
  const [header, payload, signature] = [part(good, 0), part(good, 1), part(good, 2)];
  const { privateKey } = await generateKeyPair('RS256');
  const hs256 = (secret: string | Buffer): string => {
    const input = `${encode({ alg: 'HS256', kid: 'first' })}.${encode(claimsOf(issuer))}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };
  const embedded = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const withOwnKey = (more: object): string => {
    const input = `${encode({ alg: 'RS256', kid: 'first', ...more })}.${encode(claimsOf(issuer))}`;
    return `${input}.${sign('sha256', Buffer.from(input), embedded.privateKey).toString('base64url')}`;
  };
  const broken = [`${header}.${payload}.`, `${header}.${payload}`, '..', 'a.b.c', '%'.repeat(40)];
  const long = [
    `${header}.${LONG}.${signature}`,
    `${LONG}.${payload}.${signature}`,
    `${header}.${payload}.${LONG}`,
  ];
  const times = [
    { exp: undefined },
    { exp: `${seconds() + 600}` },
    { nbf: seconds() + 70 },
    { nbf: 'now' },
  ];
  const claims = [
    ...times,
    ...['https://other.example/mcp', `${RESOURCE}/`, [RESOURCE.toUpperCase(), 'x'], undefined].map(
      (aud) => ({ aud }),
    ),
    ...['https://evil.example', `${issuer.url}/`, issuer.url.replace('127.0.0.1', 'localhost')].map(
      (iss) => ({ iss }),
    ),
    { iss: undefined },
    ...[undefined, '', null, {}].map((subject) => ({ sub: subject })),
  ];
  const tokens = [
    ...(await Promise.all(claims.map((more) => issuer.token({ claims: more })))),
    await issuer.token({ expiresIn: -61 }),
    await issuer.token({ key: privateKey }),
    `${encode({ alg: 'none' })}.${payload}.`,
    `${encode({ alg: 'none' })}.${payload}.${signature}`,
    `${encode({ alg: 'RS512', kid: 'first' })}.${payload}.${signature}`,
    hs256(await exportSPKI(issuer.publicKey)),
    hs256(Buffer.from(String(issuer.publicJwk.n), 'base64url')),
    withOwnKey({ jwk: embedded.publicKey.export({ format: 'jwk' }) }),
    withOwnKey({ jku: 'https://evil.example/jwks' }),
    `${header}.${encode(claimsOf(issuer, { sub: 'root' }))}.${signature}`,
    ...broken,
    ...long,
  ];
  const none = [undefined, '', 'Bearer', 'Bearer ', 'Basic YWRhOmFkYQ=='];
  return [
    ...none,
    good,
    `Bearer ${good} ${good}`,
    `Bearer\t${good}`,
    ...tokens.map((token) => `Bearer ${token}`),
  ];
}

const call = toolCall(9, 'run');

/** Ways to reach a tool or a stream; the session was opened by a good token. */
const ways = (
  client: RawClient,
  session: boolean,
  options: RawRequestOptions,
): Array<Promise<RawResponse>> => [
  postModern(client, 'tools/call', { name: 'run', arguments: {} }, options),
  client.initialize(options).then(({ response }) => response),
  ...(session ? [client.post(call, options), client.get(options), client.delete(options)] : []),
];

const SERVED: ReadonlyArray<
  readonly [name: string, options: McpEndpointOptions, face: Face, optional: boolean]
> = [
  ['listen(), hybrid', {}, 'listen', false],
  ['listen(), hybrid, with anonymous callers', {}, 'listen', true],
  ['node, the 2024-11-05 transport, with anonymous callers', { legacySse: true }, 'node', true],
  ['fetch, hybrid, with anonymous callers', {}, 'fetch', true],
  ['fetch, stateless', { sessionMode: 'stateless' }, 'fetch', false],
];

describe.each(SERVED)('%s', (_name, options, face, optional) => {
  test('lets in no bad token, whatever is wrong with it', { timeout: 120_000 }, async () => {
    const issuer = await startIssuer();
    const ran: string[] = [];
    const served = await serve(
      toolServer({ run: () => said(ran.push('run')) }),
      {
        auth: { jwt: { issuer: issuer.url, audience: RESOURCE }, anonymous: optional },
        ...options,
      },
      { face },
    );
    const stateless = options.sessionMode === 'stateless';
    const opener = served.client();
    const good = optional ? {} : bearer(await issuer.token());
    if (!stateless) await opener.initialize(good);
    const client = served.client();
    client.sessionId = opener.sessionId;
    client.protocolVersion = opener.protocolVersion ?? '2025-11-25';
    for (const authorization of await badHeaders(issuer)) {
      if (optional && authorization === undefined) continue;
      // Node.js refuses heads above 16 KiB by itself.
      const expected = authorization?.includes(LONG) ? [401, 431] : [401];
      for (const response of await Promise.all(
        ways(client, !stateless, { headers: { authorization } }),
      )) {
        expect(expected, `${authorization}: ${response.status} ${response.body}`).toContain(
          response.status,
        );
        expect(response.body).not.toMatch(/[\w-]{40}/);
        if (response.status === 401)
          expect(response.header('www-authenticate')).toContain('resource_metadata=');
      }
    }
    expect(ran).toEqual([]);
    expect(JSON.stringify(served.log.lines)).not.toMatch(/eyJ[\w-]{20}/);
    // One fetch of the keys for a key that does not exist, beside the first.
    expect(issuer.requests.filter((path) => path === '/jwks').length).toBeLessThanOrEqual(2);
    const list = stateless
      ? await postModern(served.client(), 'tools/list', {}, good)
      : (await opener.call('ping', {}, good)).response;
    expect(list.status).toBe(200);
  });
});
