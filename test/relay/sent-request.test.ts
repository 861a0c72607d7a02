/** What of a request reaches the owner of its session. */
import { expect, test } from 'vitest';
import type { RequestItem } from '../../src/cluster/messages.ts';
import { authOf } from '../../src/relay/sent-request.ts';

const info = { token: '', clientId: 'key', scopes: ['read'], extra: { sub: 'ann' } };

test.each([
  ['a key that does not expire', { ...info, expiresAt: Infinity }],
  ['a token for a resource', { ...info, expiresAt: 2_000_000_000, resource: new URL('https://mcp.example/mcp') }],
  ['both', { ...info, expiresAt: Infinity, resource: new URL('https://mcp.example/mcp') }],
  ['neither', info],
])('the caller is who the verifier said: %s', (_, auth) => {
  expect(authOf(JSON.parse(JSON.stringify({ auth })) as RequestItem)).toEqual(auth);
});
