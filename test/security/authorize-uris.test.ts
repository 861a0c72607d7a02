/**
 * `auth.authorize` against spellings of a URI. An SDK server looks a resource up by `new URL(uri).href`, so many URIs
 * name one resource. A hook that refuses names exactly must not be passed by another spelling.
 */
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { AuthOptions, McpEndpointFactory } from '../../src/index.ts';
import { postModern } from '../kit/modern.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import type { Served } from '../kit/serve.ts';
import { useSharedStores } from '../kit/shared-stores.ts';
import {
  as,
  concealed,
  mirroredName,
  NAMES as REFUSED,
  open,
  optionsOf,
  requestsOf,
  someModes,
  text,
} from './authorize-modes.ts';
import type { Guarded } from './ways.ts';

useSharedStores();

/** Names of resources as a server registers them, and URIs that mean the same resource. */
const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  'note://secret': [
    'NOTE://secret',
    'Note://secret',
    'nOTE://secret',
    ' note://secret',
    '   note://secret',
    'note://secret ',
    ' NOTE://secret ',
    '\tnote://secret',
    'note://secret\t',
    'no\tte://secret',
    'note:\t//secret',
    'note://sec\tret',
    '\nnote://secret',
    'note://secret\n',
    'note://se\ncret',
    'note://secret\r\n',
    'note\r://secret',
    '\u0000note://secret',
    'note://secret\u0000',
    '\u001fnote://secret\u001f',
  ],
  'secret://box/7': [
    'SECRET://box/7',
    'Secret://box/7',
    ' secret://box/7',
    'secret\t://box/7',
    'secret://box/x/../7',
    'secret://box/./7',
    'secret://box/x/%2e%2e/7',
    'secret://box/%2E/7',
    'secret:\n//box/7',
  ],
  'file:///vault/secret': [
    'FILE:///vault/secret',
    'file://localhost/vault/secret',
    'file://LOCALHOST/vault/secret',
    'file:/vault/secret',
    'file:vault/secret',
    'file:///vault/./secret',
    'file:///vault/x/../secret',
    'file:///../vault/secret',
    'file:///vault/x/%2e%2e/secret',
    'file:///vault/x/.%2E/secret',
    'file:///vault/x/..\\secret',
    'file:\\\\\\vault\\secret',
    'file:///vault\\secret',
    'file://loc%61lhost/vault/secret',
    ' file:///vault/secret\n',
  ],
  'file:///vault/the%20secret': ['file:///vault/the secret', 'file:/vault/the secret', 'file:///vault/\tthe secret'],
  'file:///vault/secret-%C3%A9': ['file:///vault/secret-é', 'file://localhost/vault/secret-é'],
  'https://example.com/secret': [
    'HTTPS://example.com/secret',
    'https://EXAMPLE.com/secret',
    'https://example.com:443/secret',
    'https://example.com:0443/secret',
    'https://ex%61mple.com/secret',
    'https:\\\\example.com\\secret',
    'https:/example.com/secret',
    'https:example.com/secret',
    'https:////example.com/secret',
    'https://example.com/a/../secret',
    'https://example.com/a/%2e%2E/secret',
    'https://ｅxample.com/secret',
    'https://example。com/secret',
    'https://exa\u00admple.com/secret',
    'https://@example.com/secret',
    'https://:@example.com/secret',
    'https://example.com:/secret',
  ],
  'https://xn--bcher-kva.example/secret': [
    'https://bücher.example/secret',
    'https://BÜCHER.example/secret',
    'https://bu\u0308cher.example/secret',
    'https://XN--BCHER-KVA.example/secret',
  ],
  'http://127.0.0.1/secret': [
    'http://127.1/secret',
    'http://0x7f.1/secret',
    'http://2130706433/secret',
    'http://0177.0.0.1/secret',
    'http://127.0.0.1:80/secret',
    'http://127.0.0.1./secret',
  ],
};
const NAMES = Object.keys(SPELLINGS);
const ALL = NAMES.flatMap((name) => (SPELLINGS[name] ?? []).map((uri) => ({ name, uri })));

/** Refuses names exactly, as policies do. */
const HOOKS: Readonly<Record<string, AuthOptions['authorize']>> = {
  'at once': (_kind, name, { extra }) => extra?.['role'] === 'admin' || !NAMES.includes(name),
  later: async (_kind, name, { extra }) => {
    await new Promise((turn) => setImmediate(turn));
    return extra?.['role'] === 'admin' || !NAMES.includes(name);
  },
};

/** Its own handlers find a resource as the SDK's `McpServer` finds the resource that is read. */
function secrets(): Guarded {
  const ran: string[] = [];
  const factory: McpEndpointFactory = (ctx) => {
    const server = new McpServer(
      { name: 'uris', version: '1' },
      { ...ctx.serverOptions, capabilities: { resources: { subscribe: true }, completions: {} } },
    );
    const run = (uri: string): void => void ran.push(new URL(uri).href);
    const read = (uri: URL) => {
      run(uri.href);
      return { contents: [{ uri: uri.href, text: 'contents' }] };
    };
    for (const name of NAMES.filter((one) => !one.startsWith('secret:'))) server.registerResource(name, name, {}, read);
    server.registerResource('by id', new ResourceTemplate('secret://box/{id}', { list: undefined }), {}, read);
    server.registerResource('open', 'file:///open', {}, read);
    server.server.setRequestHandler('resources/subscribe', ({ params }) => {
      if (!params.uri.startsWith('sojourn-unknown:')) run(params.uri);
      return {};
    });
    server.server.setRequestHandler('resources/unsubscribe', () => ({}));
    server.server.setRequestHandler('completion/complete', ({ params }) => {
      const { ref } = params;
      if (ref.type === 'ref/resource' && !ref.uri.startsWith('sojourn-unknown:')) run(ref.uri);
      return { completion: { values: [] } };
    });
    return server;
  };
  return { ran, factory };
}

/** A URI of the same spelling that names nothing. */
const absent = (text: string): string =>
  text.replaceAll(/secret/gi, (found) => (found === 'SECRET' ? 'ABSENT' : found === 'Secret' ? 'Absent' : 'absent'));

test('each spelling names the resource for an SDK server', () => {
  expect(ALL.length).toBeGreaterThanOrEqual(57);
  for (const { name, uri } of ALL) expect(new URL(uri).href, text(uri)).toBe(name);
});

describe.each(someModes('sessions, 2025-11-25', '2026-07-28'))('%s', (_mode, start) => {
  test.each(Object.entries(HOOKS))('no other spelling passes, %s', async (_hook, authorize) => {
    const { ask, ran, ...way } = await start(authorize, secrets());
    for (const [method, params] of requestsOf(way)) {
      if (['tools/call', 'prompts/get'].includes(method)) continue;
      for (const { uri } of ALL) {
        const headers = method === 'resources/read' ? mirroredName : () => ({});
        const got = await ask(method, params(uri), 'user', headers(uri));
        expect([method, uri, ran]).toEqual([method, uri, []]);
        expect([uri, text(got.answer)]).toEqual([uri, expect.not.stringContaining('"text":"contents"')]);
        if (method !== 'resources/read') continue;
        const other = await ask(method, params(absent(uri)), 'user', headers(absent(uri)));
        expect(got.status).toBe(other.status);
        expect(absent(text(got.answer))).toBe(text(other.answer));
      }
    }
  });

  test('the server gets an allowed URI as it was sent, and lists ask for the same names', async () => {
    const asked: string[] = [];
    const { ask, ran } = await start((kind, name, authInfo) => {
      if (kind === 'resource') asked.push(name);
      return HOOKS['at once']?.(kind, name, authInfo) ?? false;
    }, secrets());
    const spelled = ' FILE://localhost/x/../open';
    expect(text((await ask('resources/read', { uri: spelled }, 'user', mirroredName(spelled))).answer)).toContain(
      '"text":"contents"',
    );
    expect(ran.splice(0)).toEqual(['file:///open']);
    expect(asked.splice(0)).toEqual([spelled, 'file:///open']);
    for (const { name, uri } of ALL) {
      expect(text((await ask('resources/read', { uri }, 'admin', mirroredName(uri))).answer)).toContain('contents');
      expect(ran.splice(0)).toEqual([name]);
    }
    asked.length = 0;
    expect(text((await ask('resources/list')).answer)).not.toContain('secret');
    expect(text((await ask('resources/templates/list')).answer)).toContain('secret://box/{id}');
    // Every name of these lists is its own normal form, and a template is not asked about in percent-encoding.
    expect(asked.toSorted()).toEqual(
      [...NAMES.filter((one) => one !== 'secret://box/7'), 'file:///open', 'secret://box/{id}'].toSorted(),
    );
  });
});

/** Refused URIs, each with a name whose updates must not arrive either. Long ones are refused by a limit. */
const UNHEARD = [
  ...ALL,
  ...REFUSED.filter(({ length }) => length < 1_000).map((uri) => ({ name: concealed(uri), uri })),
];

/** Of the updates of all these, that of an open resource alone arrives. */
async function expectOnlyOpen({ endpoint }: Served, stream: RawResponse, uris: readonly string[]): Promise<void> {
  for (const uri of [...uris, 'file:///open']) endpoint.notify.resourceUpdated(uri);
  expect(await stream.nextMessage()).toMatchObject({ params: { uri: 'file:///open' } });
}

/** A session with its stream, whose caller has subscribed to these. */
async function subscribed(authorize: AuthOptions['authorize'], uris: readonly string[]) {
  const { served } = await open(optionsOf(authorize), 'listen', secrets());
  const client = await served.openSession({}, as('user'));
  const stream = await client.get();
  for (const uri of [...uris, 'file:///open']) await client.call('resources/subscribe', { uri });
  return { served, client, stream };
}

test('a subscriptions/listen for refused URIs is acknowledged as if none were, and brings no event of them', async () => {
  const hook: AuthOptions['authorize'] = async (_kind, name) => !NAMES.includes(name) && !REFUSED.includes(name);
  const { served } = await open(optionsOf(hook, { limits: { memoryBytes: 64 * 1_048_576 } }), 'listen', secrets());
  const resourceSubscriptions = [...UNHEARD.map(({ uri }) => uri), 'file:///open'];
  const params = { notifications: { resourceSubscriptions } };
  const stream = await postModern(served.client(), 'subscriptions/listen', params, as('user'));
  expect(await stream.nextMessage()).toMatchObject({
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: { resourceSubscriptions } },
  });
  await expectOnlyOpen(
    served,
    stream,
    UNHEARD.flatMap(({ name, uri }) => [name, uri]),
  );
});

test('a session that subscribes to another spelling gets no update', async () => {
  const all = ALL.map(({ uri }) => uri);
  const { served, stream } = await subscribed(HOOKS['at once'], all);
  await expectOnlyOpen(served, stream, [...NAMES, ...all]);
});

test('a caller whose right was withdrawn ends the subscription as it was made', async () => {
  let revoked = false;
  const uri = ' NOTE://secret';
  const { served, client, stream } = await subscribed(() => !revoked, [uri]);
  revoked = true;
  await client.call('resources/unsubscribe', { uri });
  await expectOnlyOpen(served, stream, [uri]);
});
