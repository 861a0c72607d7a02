import { getOAuthProtectedResourceMetadataUrl, requireScopes } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { AuthOptions } from '../../../src/index.ts';
import { resolveOptions } from '../../../src/base/options/resolve.ts';

const jwt = { issuer: 'https://id.example', audience: 'https://mcp.example/mcp' };
const verify = async () => undefined;
const proxied = (...from: string[]) => ({ trustedProxyUser: { header: 'x-user', from } });
const resolve = (auth: unknown) => resolveOptions({ auth: auth as AuthOptions }).auth;

test('a JWT needs an issuer and an audience alone', () => {
  expect(resolve({ jwt })).toEqual({
    identification: {
      by: 'jwt',
      jwt: {
        issuer: 'https://id.example',
        audience: ['https://mcp.example/mcp'],
        jwksUri: undefined,
        userClaim: 'sub',
        clockToleranceMs: 60_000,
      },
    },
    anonymous: false,
    requiredScopes: [],
    resources: [
      {
        document: {
          resource: 'https://mcp.example/mcp',
          authorization_servers: ['https://id.example'],
          bearer_methods_supported: ['header'],
        },
        url: 'https://mcp.example/.well-known/oauth-protected-resource/mcp',
      },
    ],
    authorize: undefined,
  });
});

test('an issuer and a resource on this machine may be http', () => {
  expect(
    resolve({ jwt: { issuer: 'http://localhost:9000', audience: 'http://127.0.0.1:3000/mcp' } })
      ?.resources[0]?.document,
  ).toEqual({
    resource: 'http://127.0.0.1:3000/mcp',
    authorization_servers: ['http://localhost:9000'],
    bearer_methods_supported: ['header'],
  });
});

/** The command line checks options, and most of its commands load no SDK. */
describe('without the SDK, as the SDK does it:', () => {
  test.each(['', '/', '/mcp', '/mcp/', '/a/b//', '/%20?tenant=1', ':8443/mcp?', '//'])(
    'the place of the metadata of https://mcp.example%s',
    (rest) => {
      const resource = `https://mcp.example${rest}`;
      const [of] = resolve({ jwt: { ...jwt, audience: resource } })?.resources ?? [];
      expect(of?.url).toBe(getOAuthProtectedResourceMetadataUrl(new URL(resource)));
    },
  );

  test('the characters of a scope', () => {
    const accepts = (check: () => unknown): boolean => {
      try {
        check();
        return true;
      } catch {
        return false;
      }
    };
    const scopes = [
      '',
      ...Array.from({ length: 0x180 }, (_, code) => `a${String.fromCharCode(code)}`),
      'a\n',
      1,
      null,
    ];
    const ours = scopes.filter((scope) =>
      accepts(() => resolve({ verify, requiredScopes: [scope] })),
    );
    expect(ours).toEqual(scopes.filter((scope) => accepts(() => requireScopes(scope as string))));
    expect(ours.length).toBe(92);
  });
});

describe('refused with the name of the option:', () => {
  test.each<[string, unknown, RegExp]>([
    [
      'no way to identify a caller',
      {},
      /auth takes exactly one of verify, jwt, trustedProxyUser; it has none/,
    ],
    ['two ways', { jwt, verify }, /exactly one of .*; it has verify and jwt/],
    [
      'an unknown member',
      { verify, requiredScope: [] },
      /auth\.requiredScope; did you mean auth\.requiredScopes/,
    ],
    [
      'an unknown member of jwt',
      { jwt: { ...jwt, jwksUrl: 'https://x' } },
      /auth\.jwt\.jwksUrl; did you mean/,
    ],
    ['no issuer', { jwt: { audience: 'a' } }, /auth\.jwt\.issuer/],
    [
      'an http issuer elsewhere',
      { jwt: { ...jwt, issuer: 'http://id.example' } },
      /auth\.jwt\.issuer/,
    ],
    ['no name of a claim', { jwt: { ...jwt, userClaim: 'a"' } }, /auth\.jwt\.userClaim/],
    [
      'an hour',
      { jwt: { ...jwt, clockToleranceMs: 3_600_000 } },
      /auth\.jwt\.clockToleranceMs.*0 to 600000/,
    ],
    ['no audience', { jwt: { issuer: jwt.issuer } }, /auth\.jwt\.audience/],
    ['an empty audience', { jwt: { ...jwt, audience: '' } }, /auth\.jwt\.audience\[0\]/],
    ['an empty list of audiences', { jwt: { ...jwt, audience: [] } }, /auth\.jwt\.audience/],
    ['a scope with a space', { verify, requiredScopes: ['a b'] }, /auth\.requiredScopes\[0\]/],
    ['metadata without a resource', { verify, metadata: {} }, /auth\.metadata\.resource/],
    [
      'metadata without an authorization server',
      { verify, metadata: { resource: 'https://mcp.example' } },
      /auth\.metadata\.authorization_servers/,
    ],
    [
      'a resource with a fragment',
      { jwt, metadata: { resource: 'https://mcp.example/#a' } },
      /auth\.metadata\.resource/,
    ],
    [
      'an authorization server with a query',
      { jwt: { ...jwt, issuer: 'https://id.example/?a' } },
      /auth\.metadata\.authorization_servers/,
    ],
    ['an authorize that is no function', { verify, authorize: true }, /auth\.authorize/],
    ['a verify that is no function', { verify: 'x' }, /auth\.verify/],
    ['an anonymous that is a text', { verify, anonymous: 'yes' }, /auth\.anonymous/],
    ['a proxy without addresses', proxied(), /trustedProxyUser\.from/],
    ['a name for an address', proxied('proxy'), /trustedProxyUser\.from\[0\]/],
    ['a wrong prefix', proxied('10.0.0.0/33'), /trustedProxyUser\.from\[0\]/],
    [
      'scopes with a proxy',
      { ...proxied('::1'), requiredScopes: ['a'] },
      /trustedProxyUser goes without requiredScopes/,
    ],
  ])('%s', (_name, auth, message) => {
    expect(() => resolve(auth)).toThrow(message);
  });
});
