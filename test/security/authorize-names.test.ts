/**
 * `auth.authorize` against names of every shape, above all those that look like the names which this library puts in
 * place of refused ones. The hook must be asked about what the server gets.
 */
import { McpServer, ResourceTemplate, Server } from '@modelcontextprotocol/server';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { McpEndpointFactory } from '../../src/index.ts';
import { inMatrix } from '../kit/matrix.ts';
import { useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import {
  concealed,
  HOOKS,
  mirroredName,
  MODES,
  NAMES,
  requestsOf,
  secretServer,
  someModes,
  text,
} from './authorize-modes.ts';
import type { Guarded, Params } from './ways.ts';

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
  ['completion/complete', '{"ref":{"type":"ref/Prompt","name":"secret"},"argument":{"name":"a","value":""}}'],
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
      const got = text([name, uri, ref, Object.getPrototypeOf(params ?? {})]);
      if (got.includes('secret')) ran.push(got);
      return said(KEPT);
    };
    return server;
  };
  return { ran, factory };
}

const SOME = ['sessions, 2025-11-25', '2026-07-28'];

describe.each([
  ['an McpServer', secretServer, [...SOME, 'a batch of 2025-03-26']],
  ['a proxy', proxy, SOME],
] as const)('%s', (kind, secrets, some) => {
  describe.each(someModes(...some))('%s', (_mode, start) => {
    test.each(inMatrix(['at once', 'later'], ['later']))('no shape of a refused name reaches it, %s', async (hook) => {
      const { ask, ran, ...way } = await start(HOOKS[hook], secrets());
      for (const [method, params] of requestsOf(way)) {
        for (const name of NAMES) {
          const { answer } = await ask(method, params(name), 'user', mirroredName(name));
          expect([method, name, ran]).toEqual([method, name, []]);
          // The names that this library makes are for the server alone.
          expect(text(answer).replaceAll(KEPT, '')).not.toMatch(/sojourn-unknown:[\w-]{43}(?![\w-]|secret)/);
        }
      }
    });

    test('a name that is no text is refused where it is no name, and misplaced names are not looked at', async () => {
      const { ask, ran, ...way } = await start(HOOKS['at once'], secrets());
      for (const [method, params] of requestsOf(way)) {
        for (const other of OTHERS) {
          const { answer } = await ask(method, params(other));
          expect([method, other, answer]).toMatchObject([method, other, { error: { code: expect.any(Number) } }]);
        }
      }
      for (const [method, params] of MISPLACED) {
        await ask(method, JSON.parse(params) as Params, 'user', mirroredName('open'));
      }
      expect(ran).toEqual([]);
    });

    if (kind !== 'a proxy') return;
    test('what it kept is sent as it is, whatever it looks like', async () => {
      const { ask } = await start(HOOKS['later'], secrets());
      const called = await ask('tools/call', { name: 'open', arguments: {} });
      expect(text(called.answer)).toContain(KEPT);
      const read = await ask('resources/read', { uri: 'note://secret' });
      expect(read.answer).toMatchObject({ error: { code: -32602, message: 'Resource not found: note://secret' } });
    });
  });
});

test('what a server keeps for others is sent as it is, in the answer to a refused name too', async () => {
  const factory: McpEndpointFactory = (ctx) => {
    const server = new McpServer({ name: 'x', version: '1' }, ctx.serverOptions);
    const any = new ResourceTemplate('{+any}', { list: undefined });
    server.registerResource('any', any, {}, ({ href }) => ({ contents: [{ uri: href, text: KEPT }] }));
    return server;
  };
  const way = await MODES['sessions, 2025-11-25']?.(HOOKS['later'], { ran: [], factory });
  expect(text((await way?.ask('resources/read', { uri: 'note://secret' }))?.answer)).toContain(KEPT);
});
