/** Another user with the id of a session: on every store, at its owner and at an instance that would relay. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
import type { ServeSettings } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

/** The header has the user as JSON; without it the caller is anonymous. */
const auth: NonNullable<ServeSettings['auth']> = ({ 'x-user': user }): AuthInfo | undefined =>
  typeof user === 'string'
    ? { token: 't', clientId: 'app', scopes: [], extra: JSON.parse(user) as Record<string, unknown> }
    : undefined;

const ISSUER = 'https://id.example';
const alice = { iss: ISSUER, sub: 'alice' };
const OTHERS: Readonly<Record<string, object | undefined>> = {
  'another subject': { iss: ISSUER, sub: 'bob' },
  'another issuer': { iss: 'https://other.example', sub: 'alice' },
  'no issuer': { sub: 'alice' },
  'another case': { iss: ISSUER, sub: 'Alice' },
  'a blank more': { iss: ISSUER, sub: 'alice ' },
  'no user': undefined,
};

const as = (user: object | undefined) => ({
  headers: user === undefined ? {} : { 'x-user': JSON.stringify(user) },
  timeoutMs: 20_000,
});

const request = (method: string, params: object = {}) => ({ jsonrpc: '2.0' as const, id: 'x', method, params });

const WAYS: Readonly<Record<string, (client: RawClient, eventId: string) => Promise<RawResponse>>> = {
  'a tool call': (client) => client.post(request('tools/call', { name: 'count', arguments: {} })),
  'a list': (client) => client.post(request('tools/list')),
  'a read': (client) => client.post(request('resources/read', { uri: 'note://a' })),
  'a subscription': (client) => client.post(request('resources/subscribe', { uri: 'note://a' })),
  'a ping': (client) => client.post(request('ping')),
  'a second initialize': (client) =>
    client.post(
      request('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'x', version: '1' },
      }),
    ),
  'a log level': (client) => client.post(request('logging/setLevel', { level: 'debug' })),
  'a notification': (client) => client.post({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' }),
  'a cancellation': (client) =>
    client.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'running' } }),
  'an answer': (client) => client.post({ jsonrpc: '2.0', id: '1-0', result: { action: 'accept', content: {} } }),
  'a stream': (client) => client.get(),
  'a stream from an event': (client, lastEventId) => client.get({ lastEventId }),
  'an end': (client) => client.delete(),
};

describe.each(storeKinds)('on the store %s', (kind) => {
  test('no request of another user is served, and the session stays', { timeout: 120_000 }, async () => {
    const connect = sharedStore(kind);
    const members = (await serveFleet(2, { store: connect }, [
      { face: 'node', auth },
      { face: 'node', auth },
    ])) as [Member, Member];
    const [a] = members;
    const client = a.client(as(alice));
    expect((await client.initialize()).response.status).toBe(200);
    const running = await client.post({ ...request('tools/call', { name: 'hold', arguments: {} }), id: 'running' });
    const { id: eventId = '' } = await running.next();
    const { answer } = await a.lab.held();
    expect(textOf((await client.call(...tool('count'))).message)).toBe('1');

    let attempts = 0;
    const letIn: string[] = [];
    for (const [who, user] of Object.entries(OTHERS)) {
      for (const [where, member] of members.entries()) {
        const other = member.join(client, as(user));
        for (const [way, send] of Object.entries(WAYS)) {
          const response = await send(other, eventId);
          if (response.status !== 403) letIn.push(`${who}, ${way}, instance ${where}: ${response.status}`);
          response.abort();
          attempts += 1;
        }
      }
    }
    expect(letIn).toEqual([]);
    expect(attempts).toBe(Object.keys(OTHERS).length * Object.keys(WAYS).length * 2);

    answer('still there');
    expect(textOf((await running.nextMessage()) as object)).toBe('still there');
    expect(textOf((await client.call(...tool('count'))).message)).toBe('2');
  });
});
