/**
 * `auth.authorize` against names of every shape, above all those that look like the names which this library puts in
 * place of refused ones, and other spellings of a refused URI. The hook must be asked about what the server gets.
 */
import { McpServer, ResourceTemplate, Server } from '@modelcontextprotocol/server';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { AuthOptions, McpEndpointFactory } from '../../src/index.ts';
import { inMatrix } from '../kit/matrix.ts';
import { postModern } from '../kit/modern.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import type { Served } from '../kit/serve.ts';
import { useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import {
  as,
  concealed,
  HOOKS,
  hrefOf,
  mirroredName,
  MODES,
  NAMES,
  open,
  optionsOf,
  requestsOf,
  RESOURCES,
  secretServer,
  someModes,
  SPELLED,
  SPELLINGS,
  text,
} from './authorize-modes.ts';
import type { Guarded, Params } from '../kit/ways.ts';

useSharedStores();

// The SDK warns about each of these names of tools.
beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});

/** Not a text, so the hook cannot be asked about it. */
const OTHERS: readonly unknown[] = [
  ['secret'],
  { name: 'secret' },
  { toString: 'secret' },
  [[['secret']]],
  null,
  true,
  7,
];

/** Members of `params` that a server might take for the name. */
const MISPLACED: ReadonlyArray<readonly [method: string, params: string]> = [
  ['tools/call', '{"__proto__":{"name":"secret"},"arguments":{}}'],
  ['tools/call', '{"name":"open","name":"secret","arguments":{}}'],
  ['tools/call', '{"name":"open","__proto__":{"name":"secret"},"arguments":{}}'],
  ['resources/read', '{"uri":"note://open","__proto__":{"uri":"note://secret"}}'],
  [
    'completion/complete',
    '{"ref":{"type":"ref/Prompt","name":"secret"},"argument":{"name":"a","value":""}}',
  ],
  ['completion/complete', '{"ref":["ref/prompt","secret"],"argument":{"name":"a","value":""}}'],
];

/** Texts that a server keeps for others. */
const KEPT = `kept: ${concealed('another name')} and sojourn-unknown:${'A'.repeat(43)}`;

/** A proxy, which passes every request on. */
function proxy(): Guarded {
  const ran: string[] = [];
  const capabilities = { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {} };
  const factory: McpEndpointFactory = (ctx) => {
    const server = new Server({ name: 'x', version: '1' }, { ...ctx.serverOptions, capabilities });
    server.fallbackRequestHandler = async ({ params }) => {
      const { name, uri, ref } = { ...params };
      const hrefs = [uri, (ref as { uri?: unknown } | undefined)?.uri].map((one) =>
        hrefOf(String(one)),
      );
      const got = text([name, uri, ref, hrefs, Object.getPrototypeOf(params ?? {})]);
      if (got.includes('secret')) ran.push(got);
      return said(KEPT);
    };
    return server;
  };
  return { ran, factory };
}

const SOME = ['sessions, 2025-11-25', '2026-07-28'];

/** What is refused, in every shape. `names`: of the same kind. */
const shapesOf = (names: readonly string[]): readonly string[] =>
  names.some((name) => name.includes('://')) ? [...NAMES, ...SPELLED] : NAMES;

/** A name of the same shape that names nothing. */
const absent = (text: string): string =>
  text.replaceAll(/secret/gi, (found) =>
    found === 'SECRET' ? 'ABSENT' : found === 'Secret' ? 'Absent' : 'absent',
  );

test('each spelling names the resource for an SDK server', () => {
  for (const [name, spellings] of Object.entries(SPELLINGS))
    for (const uri of spellings) expect(new URL(uri).href, text(uri)).toBe(name);
});

describe.each([
  ['an McpServer', secretServer, [...SOME, 'a batch of 2025-03-26']],
  ['a proxy', proxy, SOME],
] as const)('%s', (kind, secrets, some) => {
  describe.each(someModes(...some))('%s', (_mode, start) => {
    test.each(inMatrix(['at once', 'later'], ['later']))(
      'no shape of a refused name reaches it, %s',
      async (hook) => {
        const { ask, ran, ...way } = await start(HOOKS[hook], secrets());
        for (const [method, params, names] of requestsOf(way)) {
          for (const name of shapesOf(names)) {
            const { status, answer } = await ask(method, params(name), 'user', mirroredName(name));
            expect([method, name, ran]).toEqual([method, name, []]);
            // The names that this library makes are for the server alone.
            expect(text(answer).replaceAll(KEPT, '')).not.toMatch(
              /sojourn-unknown:[\w-]{43}(?![\w-]|secret)/,
            );
            if (kind === 'a proxy' || method !== 'resources/read' || !SPELLED.includes(name))
              continue;
            const other = await ask(
              method,
              params(absent(name)),
              'user',
              mirroredName(absent(name)),
            );
            expect([status, absent(text(answer))]).toEqual([other.status, text(other.answer)]);
          }
        }
      },
    );

    test('a name that is no text is refused where it is no name, and misplaced names are not looked at', async () => {
      const { ask, ran, ...way } = await start(HOOKS['at once'], secrets());
      for (const [method, params] of requestsOf(way)) {
        for (const other of OTHERS) {
          const { answer } = await ask(method, params(other));
          expect([method, other, answer]).toMatchObject([
            method,
            other,
            { error: { code: expect.any(Number) } },
          ]);
        }
      }
      for (const [method, params] of MISPLACED) {
        await ask(method, JSON.parse(params) as Params, 'user', mirroredName('open'));
      }
      expect(ran).toEqual([]);
    });

    if (kind === 'a proxy') return;
    test('the server gets an allowed URI as it was sent, and lists ask for the same names', async () => {
      const asked: string[] = [];
      const { ask, ran } = await start((kind, name, authInfo) => {
        if (kind === 'resource') asked.push(name);
        return HOOKS['at once']?.(kind, name, authInfo) ?? false;
      });
      const read = async (uri: string, role?: string) =>
        text((await ask('resources/read', { uri }, role, mirroredName(uri))).answer);
      expect(await read(' NOTE://open')).toContain('"text":"note://open"');
      expect(asked.splice(0)).toEqual([' NOTE://open', 'note://open']);
      for (const [name, spellings] of Object.entries(SPELLINGS)) {
        for (const uri of spellings) expect(await read(uri, 'admin')).toContain(`"text":"${name}"`);
        expect(ran.splice(0)).toEqual(spellings.map(() => name));
      }
      asked.length = 0;
      for (const list of ['resources/list', 'resources/templates/list'])
        expect(text((await ask(list)).answer)).not.toMatch(/secret[^s]/);
      // Every name of these lists is its own normal form, and a template is not asked about in percent-encoding.
      const templates = ['vault://{id}', 'secret://box/{id}', 'secret://{id}'];
      const listed = RESOURCES.filter((one) => one !== 'secret://box/7');
      expect(asked.toSorted()).toEqual([...listed, 'note://open', ...templates].toSorted());
    });
  });
});

test('what a server keeps for others is sent as it is, in the answer to a refused name too', async () => {
  const factory: McpEndpointFactory = (ctx) => {
    const server = new McpServer({ name: 'x', version: '1' }, ctx.serverOptions);
    const any = new ResourceTemplate('{+any}', { list: undefined });
    server.registerResource('any', any, {}, ({ href }) => ({
      contents: [{ uri: href, text: KEPT }],
    }));
    return server;
  };
  const way = await MODES['sessions, 2025-11-25']?.(HOOKS['later'], { ran: [], factory });
  expect(text((await way?.ask('resources/read', { uri: 'note://secret' }))?.answer)).toContain(
    KEPT,
  );
});

/** Refused URIs. Long ones are refused by a limit. */
const UNHEARD = [...SPELLED, ...NAMES.filter(({ length }) => length < 1_000)];

/** Of the updates of all these, that of an open resource alone arrives. */
async function expectOnlyOpen(
  { endpoint }: Served,
  stream: RawResponse,
  uris: readonly string[],
): Promise<void> {
  for (const uri of [...uris, 'note://open']) endpoint.notify.resourceUpdated(uri);
  expect(await stream.nextMessage()).toMatchObject({ params: { uri: 'note://open' } });
}

/** A session with its stream, whose caller has subscribed to these. */
async function subscribed(authorize: AuthOptions['authorize'], uris: readonly string[]) {
  const { served } = await open(optionsOf(authorize));
  const client = await served.openSession({}, as('user'));
  const stream = await client.get();
  for (const uri of [...uris, 'note://open']) await client.call('resources/subscribe', { uri });
  return { served, client, stream };
}

test('a subscriptions/listen for refused URIs is acknowledged as if none were, and brings no event of them', async () => {
  const { served } = await open(
    optionsOf(HOOKS['later'], { limits: { memoryBytes: 64 * 1_048_576 } }),
  );
  const resourceSubscriptions = [...UNHEARD, 'note://open'];
  const params = { notifications: { resourceSubscriptions } };
  const stream = await postModern(served.client(), 'subscriptions/listen', params, as('user'));
  expect(await stream.nextMessage()).toMatchObject({
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: { resourceSubscriptions } },
  });
  await expectOnlyOpen(served, stream, [...UNHEARD, ...UNHEARD.map(concealed), ...RESOURCES]);
});

test('a session that subscribes to another spelling gets no update', async () => {
  const { served, stream } = await subscribed(HOOKS['at once'], SPELLED);
  await expectOnlyOpen(served, stream, [...RESOURCES, ...SPELLED]);
});

test('a caller whose right was withdrawn ends the subscription as it was made', async () => {
  let revoked = false;
  const uri = ' NOTE://secret';
  const { served, client, stream } = await subscribed(() => !revoked, [uri]);
  revoked = true;
  await client.call('resources/unsubscribe', { uri });
  await expectOnlyOpen(served, stream, [uri]);
});
