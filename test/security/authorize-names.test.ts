/**
 * `auth.authorize` against names of every shape, above all those that look like the names which this library puts in
 * place of refused ones. The hook must be asked about what the server gets.
 */
import { McpServer, ResourceTemplate, Server } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { McpEndpointContext } from '../../src/index.ts';
import { inMatrix } from '../kit/matrix.ts';
import { useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { concealed, HOOKS, mirroredName, NAMES, requestsOf, someModes, text } from './authorize-modes.ts';
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

const capabilities = { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {} };

/** What a server got, and texts that it keeps for others. */
const KEPT = `kept: ${concealed('another name')} and sojourn-unknown:${'A'.repeat(43)}`;

const SERVERS: Readonly<Record<string, (ctx: McpEndpointContext, got: (name: unknown) => void) => McpServer | Server>> =
  {
    'an McpServer': (ctx, got) => {
      const server = new McpServer({ name: 'x', version: '1' }, { ...ctx.serverOptions, capabilities });
      const message = { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'x' } }] };
      for (const name of ['open', ...NAMES]) {
        server.registerTool(name, { inputSchema: z.looseObject({}) }, () => {
          got(name);
          return said(KEPT);
        });
        server.registerPrompt(name, {}, () => {
          got(name);
          return message;
        });
      }
      server.registerResource('any', new ResourceTemplate('{+any}', { list: undefined }), {}, (uri) => {
        got(uri.href);
        return { contents: [{ uri: uri.href, text: KEPT }] };
      });
      server.server.setRequestHandler('resources/subscribe', ({ params }) => {
        got(params.uri);
        return {};
      });
      return server;
    },
    'a proxy, which passes every request on': (ctx, got) => {
      const server = new Server({ name: 'x', version: '1' }, { ...ctx.serverOptions, capabilities });
      server.fallbackRequestHandler = async ({ params }) => {
        const { name, uri, ref } = { ...params };
        got([name, uri, ref, Object.getPrototypeOf(params ?? {})]);
        return said(KEPT);
      };
      return server;
    },
  };

describe.each(Object.entries(SERVERS))('%s', (kind, make) => {
  const isHighLevel = kind === 'an McpServer';
  const secrets = (): Guarded & { got: unknown[] } => {
    const [ran, got]: [string[], unknown[]] = [[], []];
    const take = (name: unknown): void => {
      got.push(name);
      if (text(name).includes('secret')) ran.push(text(name));
    };
    return { ran, got, factory: (ctx) => make(ctx, take) };
  };

  describe.each(someModes('sessions, 2025-11-25', '2026-07-28', ...(isHighLevel ? ['a batch of 2025-03-26'] : [])))(
    '%s',
    (_mode, start) => {
      test.each(inMatrix(['at once', 'later'], ['later']))(
        'no shape of a refused name reaches the server, %s',
        async (hook) => {
          const { ask, ran, ...way } = await start(HOOKS[hook], secrets());
          for (const [method, params] of requestsOf(way)) {
            for (const name of NAMES) {
              const { answer } = await ask(method, params(name), 'user', mirroredName(name));
              expect([method, name, ran]).toEqual([method, name, []]);
              // The names that this library makes are for the server alone.
              expect(text(answer).replaceAll(KEPT, '')).not.toMatch(/sojourn-unknown:[\w-]{43}(?![\w-]|secret)/);
            }
          }
        },
      );

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

      test('what a server kept is sent as it is, whatever it looks like', async () => {
        const { ask } = await start(HOOKS['later'], secrets());
        const called = await ask('tools/call', { name: 'open', arguments: {} });
        expect(text(called.answer)).toContain(KEPT);
        const read = await ask('resources/read', { uri: 'note://secret' });
        if (isHighLevel) expect(text(read.answer)).toContain(KEPT);
        else
          expect(read.answer).toMatchObject({ error: { code: -32602, message: 'Resource not found: note://secret' } });
      });
    },
  );
});
