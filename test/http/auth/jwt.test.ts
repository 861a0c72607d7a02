/** `auth.jwt`: tokens of a real issuer, its keys fetched over HTTP. */
import { exportJWK, generateKeyPair } from 'jose';
import { expect, test } from 'vitest';
import type { AuthOptions, JwtOptions } from '../../../src/index.ts';
import { createLab, say } from '../../kit/lab.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import {
  bearer,
  RESOURCE,
  says,
  startIssuer,
  type Issuer,
  type TokenParts,
} from '../../kit/issuer.ts';
import { serve } from '../../kit/serve.ts';
import { said, toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';

const authOf = (issuer: Issuer, more: Partial<JwtOptions> = {}): AuthOptions => ({
  jwt: { issuer: issuer.url, audience: RESOURCE, ...more },
});

const whoami = toolServer({ whoami: (_args, ctx) => said(JSON.stringify(ctx.http?.authInfo)) });

test('a token fills in subject, issuer, client, scopes, expiry and resource', async () => {
  const issuer = await startIssuer();
  const { openSession } = await serve(whoami, { auth: authOf(issuer) });
  const exp = Math.floor(Date.now() / 1_000) + 300;
  const token = await issuer.token({ claims: { exp, roles: ['admin'] } });
  const one = await openSession({}, bearer(token));
  for (const _ of ['verified', 'remembered']) {
    expect(JSON.parse((await say(one, 'whoami')) ?? '')).toEqual({
      token,
      clientId: 'cli',
      scopes: ['read', 'write'],
      expiresAt: exp + 60,
      resource: RESOURCE,
      resourceMetadataUrl: 'https://mcp.example/.well-known/oauth-protected-resource/mcp',
      extra: {
        iss: issuer.url,
        sub: 'ada',
        aud: RESOURCE,
        client_id: 'cli',
        scope: 'read write',
        exp,
        roles: ['admin'],
      },
    });
  }
});

test.each([
  ['a list', { scope: ['read', 'write'] }],
  ['scp', { scope: undefined, scp: 'read write' }],
  ['a list of scp', { scope: undefined, scp: ['read', 'write'] }],
])('scopes may be written as %s', async (_name, claims) => {
  const issuer = await startIssuer();
  const { client } = await serve(createLab().factory, {
    auth: { ...authOf(issuer), requiredScopes: ['write'] },
  });
  expect((await client(bearer(await issuer.token({ claims }))).initialize()).response.status).toBe(
    200,
  );
});

test('the keys are found through the metadata of the issuer, and fetched once', async () => {
  const issuer = await startIssuer();
  const { client } = await serve(createLab().factory, { auth: authOf(issuer) });
  for (let n = 0; n < 5; n++) {
    const token = await issuer.token({ claims: { jti: String(n) } });
    expect((await client(bearer(token)).initialize()).response.status).toBe(200);
  }
  expect(issuer.requests).toEqual([
    '/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration',
    '/jwks',
  ]);
});

test.each([
  'not.a.token',
  'nodots',
  // { "alg": "none" }, and an algorithm with a shared secret.
  'eyJhbGciOiJub25lIn0.e30.',
  'eyJhbGciOiJIUzI1NiJ9.e30.AA',
])('%s is 401 while the issuer is away, which is not asked for keys', async (token) => {
  const issuer = await startIssuer();
  issuer.answer = says('', 503);
  const { client } = await serve(createLab().factory, { auth: authOf(issuer) });
  expect((await client(bearer(token)).initialize()).response.status).toBe(401);
  expect(issuer.requests).toEqual([]);
});

test('metadata of another issuer is refused', async () => {
  const issuer = await startIssuer();
  const other = issuer.url.replace('127.0.0.1', 'localhost');
  const { client, log } = await serve(createLab().factory, {
    auth: { jwt: { issuer: other, audience: RESOURCE } },
  });
  const token = await issuer.token({ claims: { iss: other } });
  expect((await client(bearer(token)).initialize()).response.status).toBe(503);
  const [line] = log.matching(/keys of the issuer cannot be fetched/, 'warn');
  expect(line?.fields['err']).toMatchObject({
    message: expect.stringContaining(`auth.jwt.issuer is ${other}`),
  });
});

test('keys that are known verify for a day while the issuer is away, and may have moved then', async () => {
  const [issuer, time] = [await startIssuer(), createFakeTime()];
  /** A day has thousands of sweeps, which no key needs. */
  let skipped = 0;
  const timeProvider = {
    ...time,
    now: () => time.now() + skipped,
    monotonic: () => time.monotonic() + skipped,
  };
  const { client } = await serve(createLab().factory, { timeProvider, auth: authOf(issuer) });
  let tokens = 0;
  const statusOf = async (kid: string) => {
    const claims = { exp: 4_000_000_000, jti: String((tokens += 1)) };
    const token = await issuer.token({ kid, claims });
    return (await client(bearer(token)).initialize()).response.status;
  };
  const statuses = () => Promise.all(['first', 'second'].map(statusOf));
  expect(await statuses()).toEqual([200, 401]);
  issuer.answer = () => {};
  await time.advance(1_800_000);
  issuer.requests.length = 0;
  const known = statusOf('first');
  await until(() => issuer.requests.length > 0);
  // A key that is known does not wait for the end of the look.
  await time.advance(1_000);
  expect([await known, await statusOf('first'), await statusOf('second')]).toEqual([200, 200, 503]);
  await time.advance(5_000);
  issuer.answer = says('', 503);
  skipped += 23 * 3_600_000;
  expect(await statuses()).toEqual([200, 503]);
  skipped += 2 * 3_600_000;
  expect(await statuses()).toEqual([503, 503]);
  const moved = { keys: [{ ...issuer.publicJwk, kid: 'second' }] };
  issuer.answer = (res, url) => {
    const metadata = { issuer: url, jwks_uri: `${url}/moved` };
    const document = { '/.well-known/openid-configuration': metadata, '/moved': moved }[
      res.req.url ?? ''
    ];
    says(document === undefined ? '<p>Sign in' : JSON.stringify(document))(res, url);
  };
  await time.advance(1_000);
  expect(await statuses()).toEqual([401, 200]);
});

const newKeys = (count: number) =>
  Promise.all(Array.from({ length: count }, () => generateKeyPair('ES256')));
const keySet = async (pairs: Awaited<ReturnType<typeof newKeys>>, more: object = {}) => ({
  keys: await Promise.all(
    pairs.map(async ({ publicKey }) => ({ ...(await exportJWK(publicKey)), ...more })),
  ),
});

test('a token without kid is tried with each key that fits, and with eight at most', async () => {
  const [issuer, pairs] = [await startIssuer(), await newKeys(9)];
  const { keys } = await keySet(pairs);
  const broken = { ...keys[0], y: keys[0]?.x };
  issuer.answer = says(JSON.stringify({ keys: [broken, issuer.publicJwk, ...keys] }));
  const { client } = await serve(createLab().factory, {
    auth: authOf(issuer, { jwksUri: issuer.jwksUri }),
  });
  const answerTo = async (n: number, more: TokenParts = {}) => {
    const key = (pairs[n] ?? (await generateKeyPair('ES256'))).privateKey;
    const { response } = await client(
      bearer(await issuer.token({ alg: 'ES256', kid: null, key, ...more })),
    ).initialize();
    return response;
  };
  const answers = await Promise.all([0, 1, 7, 8, 9].map((n) => answerTo(n)));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 401, 401]);
  expect((await answerTo(1, { expiresIn: -100 })).json()).toMatchObject({
    error_description: 'Token has expired',
  });
});

test.each([null, 'one'])(
  'an issuer with new keys under the kid %s is asked again, once in 30 s',
  async (kid) => {
    const [issuer, time, [old, renewed]] = [
      await startIssuer(),
      createFakeTime(),
      await newKeys(2),
    ];
    const { client } = await serve(createLab().factory, {
      timeProvider: time,
      auth: authOf(issuer, { jwksUri: issuer.jwksUri }),
    });
    const named = kid === null ? {} : { kid };
    const publishes = async (pair = old) =>
      (issuer.answer = says(JSON.stringify(await keySet(pair ? [pair] : [], named))));
    let tokens = 0;
    const statusOf = async (pair = old) => {
      const claims = { exp: 4_000_000_000, jti: String((tokens += 1)) };
      const token = await issuer.token({
        alg: 'ES256',
        kid,
        claims,
        ...(pair && { key: pair.privateKey }),
      });
      return (await client(bearer(token)).initialize()).response.status;
    };
    await publishes();
    expect([await statusOf(), await statusOf(renewed), issuer.requests.length]).toEqual([
      200, 401, 1,
    ]);
    await publishes(renewed);
    await time.advance(30_000);
    const both = [
      ...(await Promise.all([renewed, renewed, renewed].map(statusOf))),
      await statusOf(old),
    ];
    expect([both, issuer.requests.length]).toEqual([[200, 200, 200, 401], 2]);
    // A look that failed counts too, and a token with a known key is not held back by it.
    issuer.answer = says('', 503);
    await time.advance(30_000);
    const away = [await statusOf(old), await statusOf(renewed)];
    await time.advance(29_000);
    expect([...away, await statusOf(old), issuer.requests.length]).toEqual([401, 200, 401, 3]);
  },
);

test.each([
  ['without jwks_uri', '', (url: string) => ({ issuer: url }), '/.well-known/openid-configuration'],
  [
    'of another issuer',
    '',
    () => ({ issuer: 'https://x.example', jwks_uri: '/' }),
    '/.well-known/openid-configuration',
  ],
  [
    'without jwks_uri',
    '/realm',
    (url: string) => ({ issuer: url }),
    '/realm/.well-known/openid-configuration',
  ],
  [
    'without jwks_uri',
    '/realm',
    (url: string) => ({ issuer: url }),
    '/.well-known/openid-configuration/realm',
  ],
])(
  'an RFC 8414 document %s does not end the search: issuer %s',
  async (_what, path, document, place) => {
    const issuer = await startIssuer();
    const url = issuer.url + path;
    issuer.answer = (res) => {
      const documents: Record<string, unknown> = {
        [`/.well-known/oauth-authorization-server${path}`]: document(url),
        [place]: { issuer: url, jwks_uri: issuer.jwksUri },
        '/jwks': { keys: [issuer.publicJwk] },
      };
      const found = documents[res.req.url ?? ''];
      says(JSON.stringify(found ?? {}), found === undefined ? 404 : 200)(res, url);
    };
    const { client } = await serve(createLab().factory, {
      auth: { jwt: { issuer: url, audience: RESOURCE } },
    });
    const token = await issuer.token({ claims: { iss: url } });
    expect((await client(bearer(token)).initialize()).response.status).toBe(200);
  },
);

test('a broken key of the issuer costs only the tokens that name it', async () => {
  const issuer = await startIssuer();
  const broken = { ...issuer.publicJwk, kid: 'broken', n: 'AQAB' };
  issuer.answer = says(
    JSON.stringify({ keys: [broken, { kty: 'RSA', kid: 'empty' }, issuer.publicJwk] }),
  );
  const { client, log } = await serve(createLab().factory, {
    auth: authOf(issuer, { jwksUri: issuer.jwksUri }),
  });
  const statusOf = async (kid: string) =>
    (await client(bearer(await issuer.token({ kid }))).initialize()).response.status;
  expect([await statusOf('broken'), await statusOf('empty'), await statusOf('first')]).toEqual([
    401, 401, 200,
  ]);
  expect(JSON.stringify(log.lines)).toContain('its key cannot be used: TypeError');
});

const refused: Array<[string, (issuer: Issuer) => TokenParts | Promise<TokenParts>, RegExp]> = [
  ['has expired', () => ({ expiresIn: -70 }), /has expired/],
  [
    'is for another audience',
    () => ({ claims: { aud: 'https://other.example' } }),
    /not issued for this resource/,
  ],
  ['has no audience', () => ({ claims: { aud: undefined } }), /not issued for this resource/],
  ['is of another issuer', () => ({ claims: { iss: 'https://evil.example' } }), /claim iss/],
  [
    'is not valid yet',
    () => ({ claims: { nbf: Math.floor(Date.now() / 1_000) + 70 } }),
    /claim nbf/,
  ],
  ['has no sub', () => ({ claims: { sub: undefined } }), /its claim sub names no user/],
  ['has an empty sub', () => ({ claims: { sub: '' } }), /its claim sub names no user/],
  ['never expires', () => ({ claims: { exp: undefined } }), /claim exp/],
  [
    'was signed with another key',
    async () => ({ key: (await generateKeyPair('RS256')).privateKey }),
    /not valid/,
  ],
  ['names an unknown key', () => ({ kid: 'unknown' }), /its key is unknown/],
  [
    'has a symmetric signature',
    () => ({ alg: 'HS256', key: new Uint8Array(32) }),
    /algorithm is not accepted/,
  ],
];
test.each(refused)('B204 a token that %s is 401', async (_name, parts, why) => {
  const issuer = await startIssuer();
  const { client } = await serve(createLab().factory, { auth: authOf(issuer) });
  const { response } = await client(bearer(await issuer.token(await parts(issuer)))).initialize();
  expect([response.status, response.json()]).toEqual([
    401,
    { error: 'invalid_token', error_description: expect.stringMatching(why) },
  ]);
});

test('userClaim names the user where tokens have no sub, and sessionUser goes before it', async () => {
  const issuer = await startIssuer();
  const tokenOf = async (name?: string) =>
    bearer(
      await issuer.token({
        claims: { sub: undefined, preferred_username: name, 'https://x.example/id': 7 },
      }),
    );
  const [ann, bob, none] = [await tokenOf('ann'), await tokenOf('bob'), await tokenOf()];
  const { openSession, client, log } = await serve(createLab().factory, {
    auth: authOf(issuer, { userClaim: 'preferred_username' }),
  });
  const session = await openSession({}, ann);
  expect((await session.call('ping', {}, ann)).response.status).toBe(200);
  expect((await session.call('ping', {}, bob)).response.status).toBe(403);
  expect((await client(none).initialize()).response.status).toBe(401);
  expect(log.matching(/^A request is refused: 401/)[0]?.fields['why']).toBe(
    'Token is not valid: its claim preferred_username names no user: set auth.jwt.userClaim (--auth-jwt-user-claim) to a ' +
      'claim that does, or sessionUser',
  );
  const byId = await serve(createLab().factory, {
    auth: authOf(issuer, { userClaim: 'https://x.example/id' }),
  });
  expect((await byId.client(none).initialize()).response.status).toBe(200);
  const hooked = await serve(createLab().factory, {
    auth: authOf(issuer),
    sessionUser: () => 'ann',
  });
  expect((await hooked.client(none).initialize()).response.status).toBe(200);
});

test.each([
  [undefined, [200, 401]],
  [0, [401, 401]],
  [120_000, [200, 200]],
])('with clockToleranceMs %s the clocks may differ so far', async (clockToleranceMs, statuses) => {
  const issuer = await startIssuer();
  const { client } = await serve(createLab().factory, {
    auth: authOf(issuer, { clockToleranceMs }),
  });
  const statusOf = async (parts: TokenParts) =>
    (await client(bearer(await issuer.token(parts))).initialize()).response.status;
  const now = Math.floor(Date.now() / 1_000);
  for (const s of [50, 70])
    expect([
      await statusOf({ expiresIn: -s }),
      await statusOf({ claims: { nbf: now + s } }),
    ]).toEqual(Array(2).fill(statuses[s === 50 ? 0 : 1]));
});

test('the log names what a refused token is for beside what is expected, and its client does not read it', async () => {
  const issuer = await startIssuer();
  const { client, log } = await serve(createLab().factory, { auth: authOf(issuer) });
  for (const claims of [
    { aud: ['https://a.example', 'b'] },
    { aud: undefined },
    { iss: 'https://evil.example' },
  ]) {
    const { response } = await client(bearer(await issuer.token({ claims }))).initialize();
    expect(JSON.stringify([response.json(), response.header('www-authenticate')])).not.toMatch(
      /a\.example|auth\.jwt/,
    );
  }
  const refused = log.matching(/^A request is refused: 401/).map(({ fields }) => fields['why']);
  expect(refused).toEqual([
    `Token was not issued for this resource: it is for "https://a.example", "b", and auth.jwt.audience is "${RESOURCE}"`,
    `Token was not issued for this resource: it is for no audience, and auth.jwt.audience is "${RESOURCE}"`,
    `Token is not valid: its claim iss is not accepted: it is "https://evil.example", and auth.jwt.issuer is "${issuer.url}"`,
  ]);
});

test('an audience that is an origin is accepted with and without its slash', async () => {
  const issuer = await startIssuer();
  const { client } = await serve(createLab().factory, {
    auth: authOf(issuer, { audience: 'https://mcp.example' }),
  });
  for (const aud of [
    'https://mcp.example',
    'https://mcp.example/',
    ['x', 'https://mcp.example/'],
  ]) {
    const token = await issuer.token({ claims: { aud } });
    expect((await client(bearer(token)).initialize()).response.status).toBe(200);
  }
});
