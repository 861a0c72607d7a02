/**
 * A lost call runs again in the name of the caller who restores its session: only if that caller has the same rights.
 */
import { requireScopes } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { serveMember } from '../kit/fleet.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import { scopesHeader, withScopes } from '../kit/scoped-server.ts';
import type { ServeSettings } from '../kit/serve.ts';
import { durableKinds, sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, loseLease, watchedStore } from '../kit/watched-store.ts';

useSharedStores();

const ANONYMOUS = { headers: { 'x-scopes': null } };
const LOST = { id: 7, error: { code: -32000, data: { reason: 'owner_lost', mayHaveRun: true } } };

const SETTINGS = { face: 'node', auth: scopesHeader } as const;
const CALL = toolCall(7, 'peek');

/** Any caller may use any session: their rights alone differ. */
const options: McpEndpointOptions = { sessionUser: () => undefined };

/**
 * Two instances with a tool `peek` that may run twice. At the first instance it waits for the test, at the second it
 * answers at once, or after `hold`. The second one may have been deployed with a rule more: `scope`.
 */
async function servePeeking(
  kind: Parameters<typeof sharedStore>[0],
  options: McpEndpointOptions,
  settings: ServeSettings,
  hold: () => unknown = () => {},
  scope?: string,
) {
  const connect = sharedStore(kind);
  const store = watchedStore({ durable: true, inner: connect() });
  const waits = gate();
  onTestFinished(() => waits.open());
  const ran: string[] = [];
  const labOf = (who: string, hold: () => unknown, scope?: string) =>
    createLab((server) => {
      const scopeChallenge = scope === undefined ? undefined : requireScopes(scope);
      const config = {
        annotations: { readOnlyHint: true },
        ...(scopeChallenge && { scopeChallenge }),
      };
      server.registerTool('peek', config, async () => {
        ran.push(who);
        await hold();
        return said(`${who} saw`);
      });
    });
  const first = await serveMember({ ...options, store }, settings, labOf('first', waits.hook));
  const second = await serveMember(
    { ...options, store: connect() },
    settings,
    labOf('second', hold, scope),
  );
  // A call is recorded only where the store is open.
  for (const { endpoint } of [first, second]) await until(() => endpoint.health().store === 'ok');
  return {
    first,
    second,
    store,
    ran,
    waits,
    /** The first instance counts as dead from now on. */
    lose: () => loseLease(store, first.id),
  };
}

describe.each(durableKinds)('on the store %s', (kind) => {
  /** A call that may run twice, whose owner is lost while it runs. */
  async function lost(caller: object, scope?: string) {
    const { first, second, store, ran, lose } = await servePeeking(
      kind,
      options,
      SETTINGS,
      undefined,
      scope,
    );
    const kept: string[] = [];
    store.before['sessions.append'] = (request: { note?: string }) => {
      if (request.note?.includes('peek') === true) kept.push(request.note);
    };
    const client = await first.openSession(caller);
    await client.call('tools/list', {}, caller);
    const stream = await client.post(CALL, caller);
    const { id: lastEventId } = await stream.next();
    await until(() => ran.length === 1);
    await lose();
    /** Another caller restores the session, and reads what became of the call. */
    const restore = (by: object): Promise<RawResponse> =>
      second.join(client).get({ lastEventId, ...by });
    return { ran, kept, restore };
  }

  test.each([
    ['the same scopes, in another order', withScopes('read write'), withScopes('write read write')],
    ['none, as the caller before', ANONYMOUS, ANONYMOUS],
  ])('runs again for a caller with %s', async (_, before, after) => {
    const { ran, kept, restore } = await lost(before);
    const stream = await restore(after);
    expect(textOf(await stream.nextMessage())).toBe('second saw');
    expect(ran).toEqual(['first', 'second']);
    expect(kept.length).toBe(1);
    expect(kept[0]).not.toMatch(/write|"token"/);
  });

  test.each([
    ['fewer scopes', withScopes('read write'), withScopes('read')],
    ['more scopes', withScopes('read'), withScopes('read write')],
    ['the scopes in one word', withScopes('read write'), withScopes('read,write')],
    ['another client id', withScopes('read', 'c'), withScopes('read', 'd')],
    ['none, after a caller with some', withScopes('read'), ANONYMOUS],
    ['some, after an anonymous caller', ANONYMOUS, withScopes('')],
    [
      'the same scopes, where the next instance asks for another one',
      withScopes('read'),
      withScopes('read'),
      'root',
    ],
  ] as const)('is owner_lost for a caller with %s', async (_, before, after, scope?: string) => {
    const { ran, restore } = await lost(before, scope);
    const stream = await restore(after);
    expect(await stream.nextMessage()).toMatchObject(LOST);
    await stream.untilEnd();
    expect(ran).toEqual(['first']);
  });
});

test('a relayed call ends as lost in the stream that its client reads, where it lacks a scope that is asked for now', async () => {
  const { first, second, ran, lose } = await servePeeking(
    'sqlite',
    options,
    SETTINGS,
    undefined,
    'root',
  );
  const client = await first.openSession({ protocolVersion: '2025-06-18' }, withScopes('read'));
  await client.call('tools/list');
  const stream = await second.join(client, withScopes('read')).post(CALL);
  await until(() => ran.length === 1);
  await lose();
  expect(await stream.nextMessage()).toMatchObject(LOST);
  await stream.untilEnd();
  expect(ran).toEqual(['first']);
});

test('is owner_lost for an anonymous caller, where the next instance asks for a scope', async () => {
  const anonymous: McpEndpointOptions = {
    auth: { verify: async () => undefined, anonymous: true },
  };
  const { first, second, ran, lose } = await servePeeking(
    'sqlite',
    anonymous,
    { face: 'node' },
    undefined,
    'root',
  );
  const client = await first.openSession();
  await client.call('tools/list');
  const { id: lastEventId } = await (await client.post(CALL)).next();
  await until(() => ran.length === 1);
  await lose();
  expect(await (await second.join(client).get({ lastEventId })).nextMessage()).toMatchObject(LOST);
  expect(ran).toEqual(['first']);
});

describe('a request that a proxy sends again, with the id of a call that runs again', () => {
  async function rerunning() {
    const held = gate();
    onTestFinished(() => held.open());
    const proxied = { ...options, attemptHeader: 'X-Request-Id' };
    const { first, second, ran, lose } = await servePeeking('sqlite', proxied, SETTINGS, held.hook);
    const attempt = { 'x-request-id': 'attempt-1' };
    const client = first.client({ headers: attempt });
    const caller = withScopes('read write');
    await client.initialize(caller);
    await client.call('tools/list', {}, caller);
    const post = (at: RawClient, name: string, by: object): Promise<RawResponse> =>
      at.post({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name, arguments: {} } }, by);
    const stream = await post(client, 'peek', caller);
    const { id: lastEventId } = await stream.next();
    await until(() => ran.length === 1);
    await lose();
    const joined = second.join(client, { headers: attempt });
    await joined.get({ lastEventId, ...caller });
    await until(() => ran.length === 2);
    return { ran, held, send: (name: string, by: object) => post(joined, name, by) };
  }

  test('gets the answer if it is the same call of a caller with the same rights', async () => {
    const { ran, held, send } = await rerunning();
    const stream = await send('peek', withScopes('write read'));
    held.open();
    expect(textOf(await stream.nextMessage())).toBe('second saw');
    expect(ran).toEqual(['first', 'second']);
  });

  test.each([
    ['a caller with other rights', 'peek', withScopes('read')],
    ['another tool', 'count', withScopes('read write')],
  ])('is refused if it is that of %s', async (_, name, by) => {
    const { send } = await rerunning();
    const refused = await send(name, by);
    expect(await refused.json()).toMatchObject({
      id: 7,
      error: { message: expect.stringContaining('still in flight') },
    });
  });
});
