/**
 * Another user with the id of a session: on every store, at its owner, at an instance that would relay, and where the
 * session was restored. An anonymous caller is another user too, and no user may take the session of one.
 */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { bearer } from '../kit/issuer.ts';
import { handshake } from '../kit/legacy-sse.ts';
import { say, textOf, toolCall } from '../kit/lab.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { failure } from '../kit/refusals.ts';

useSharedStores();

const ISSUER = 'https://id.example';

/** The token has the user as JSON; without it the caller is anonymous. */
const auth: McpEndpointOptions['auth'] = {
  anonymous: true,
  metadata: { resource: 'https://mcp.example/mcp', authorization_servers: [ISSUER] },
  verify: async (token) => {
    const extra = JSON.parse(Buffer.from(token, 'base64url').toString()) as Record<string, unknown>;
    return { token, clientId: 'app', scopes: [], expiresAt: 4_000_000_000, extra };
  },
};

type User = object | undefined;
const as = (user: User) => ({
  ...(user !== undefined && bearer(Buffer.from(JSON.stringify(user)).toString('base64url'))),
  timeoutMs: 20_000,
});

const alice = { iss: ISSUER, sub: 'alice' };
const OTHERS: Readonly<Record<string, User>> = {
  'another subject': { iss: ISSUER, sub: 'bob' },
  'another issuer': { iss: 'https://other.example', sub: 'alice' },
  'no issuer': { sub: 'alice' },
  'another case': { iss: ISSUER, sub: 'Alice' },
  'a blank more': { iss: ISSUER, sub: 'alice ' },
  'no user': undefined,
};
const NUMBERS: Readonly<Record<string, User>> = {
  'another number': { iss: ISSUER, sub: 43 },
  'another issuer': { iss: 'https://other.example', sub: 42 },
  'no issuer': { sub: 42 },
};
/** No user can spell another. */
const SPELLINGS: Readonly<Record<string, User>> = {
  'a part of the subject in the issuer': { iss: 'a","b', sub: 'c' },
  'the issuer in the subject': { sub: 'a","b","c' },
  'a part of the subject': { iss: 'a', sub: 'b' },
};
/** Callers with a token for whom no user is named are no anonymous callers either. */
const unnamed: McpEndpointOptions = { sessionUser: () => undefined };

const SESSIONS: ReadonlyArray<
  readonly [of: string, User, Readonly<Record<string, User>>, McpEndpointOptions]
> = [
  ['a user', alice, OTHERS, {}],
  ['no user', undefined, { alice }, {}],
  ['a user whose subject is a number', { iss: ISSUER, sub: 42 }, NUMBERS, {}],
  ['a user whose subject has quotes', { iss: 'a', sub: 'b","c' }, SPELLINGS, {}],
  ['a caller with a token who is not named', alice, { 'no user': undefined }, unnamed],
  ['a caller without a token where none is named', undefined, { alice }, unnamed],
];

const request = (method: string, params: object = {}) => ({
  jsonrpc: '2.0' as const,
  id: 'x',
  method,
  params,
});

const WAYS: Readonly<Record<string, (client: RawClient, eventId: string) => Promise<RawResponse>>> =
  {
    'a tool call': (client) => client.post(request('tools/call', { name: 'count', arguments: {} })),
    'a list': (client) => client.post(request('tools/list')),
    'a read': (client) => client.post(request('resources/read', { uri: 'note://a' })),
    'a subscription': (client) => client.post(request('resources/subscribe', { uri: 'note://a' })),
    'a ping': (client) => client.post(request('ping')),
    'a second initialize': (client) => client.post({ ...handshake(1, '2025-11-25'), id: 'x' }),
    'a log level': (client) => client.post(request('logging/setLevel', { level: 'debug' })),
    'a notification': (client) =>
      client.post({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' }),
    'a cancellation': (client) =>
      client.post({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: 'running' },
      }),
    'an answer': (client) =>
      client.post({ jsonrpc: '2.0', id: '1-0', result: { action: 'accept', content: {} } }),
    'a stream': (client) => client.get(),
    'a stream from an event': (client, lastEventId) => client.get({ lastEventId }),
    'an end': (client) => client.delete(),
  };

/** They have no id that an error could carry. */
const WITHOUT_ID = new Set([
  'a notification',
  'a cancellation',
  'an answer',
  'a stream',
  'a stream from an event',
  'an end',
]);

const refusalOf = (way: string) => {
  const id = WITHOUT_ID.has(way) ? null : 'x';
  return failure(id, -32000, 'Forbidden: this session belongs to another user', { reason: 'user' });
};

describe.each(storeKinds)('on the store %s', (kind) => {
  test.each(SESSIONS)(
    'B51 B179 B180 B203 no request of another user is served in the session of %s, and it stays',
    { timeout: 120_000 },
    async (_of, own, others, more) => {
      const options = { ...more, store: sharedStore(kind), auth };
      const [a, b] = await serveFleet(2, options);
      const client = a.client(as(own));
      expect((await client.initialize()).response.status).toBe(200);
      const running = await client.post(toolCall('running', 'hold'));
      const { id: eventId = '' } = await running.next();
      const { answer } = await a.lab.held();
      expect(await say(client, 'count')).toBe('1');

      const letIn: string[] = [];
      const attack = async (where: string, member: Member): Promise<void> => {
        for (const [who, user] of Object.entries(others)) {
          const other = member.join(client, as(user));
          for (const [way, send] of Object.entries(WAYS)) {
            const response = await send(other, eventId);
            if (response.status !== 403) letIn.push(`${who}, ${way}, ${where}: ${response.status}`);
            else
              expect([who, way, where, response.json()]).toEqual([who, way, where, refusalOf(way)]);
            response.abort();
          }
        }
      };
      await attack('at its owner', a);
      await attack('relayed', b);
      answer('still there');
      expect(textOf((await running.nextMessage()) as object)).toBe('still there');
      await a.endpoint.drain();
      await attack('restored', b);
      // No server was made for them.
      expect([letIn, b.lab.made]).toEqual([[], []]);
      expect(await say(b.join(client, as(own)), 'count')).toBe('2');
    },
  );
});
