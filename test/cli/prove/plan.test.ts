/** Which tools are called, and with what. */
import { expect, test } from 'vitest';
import type { ProveClient } from '../../../src/cli/prove/clients.ts';
import { checkCalls, planOf } from '../../../src/cli/prove/plan.ts';

const lists: Record<string, object> = {
  'tools/list': {
    tools: [
      { name: 'near', annotations: { readOnlyHint: true, openWorldHint: false } },
      { name: 'far', annotations: { readOnlyHint: true } },
      { name: 'again', annotations: { idempotentHint: true } },
      {
        name: 'add',
        inputSchema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
      },
      {
        name: 'odd',
        annotations: { readOnlyHint: true },
        inputSchema: { type: 'object', properties: { a: { pattern: 'x' } }, required: ['a'] },
      },
    ],
  },
  'resources/list': { resources: [{ uri: 'note://a' }] },
  'prompts/list': {
    prompts: [{ name: 'review', arguments: [{ name: 'code', required: true }, { name: 'x' }] }],
  },
};
const client: ProveClient = {
  sessionId: undefined,
  request: async (method) => ({ ...lists[method] }),
  close: async () => {},
};
const ALL = { tools: {}, resources: {}, prompts: {} };

test('tools that only read are called; the others, and those without arguments, by --call alone', async () => {
  const plan = await planOf(client, ALL, new Map());
  expect(plan.deeds.map(({ name, isOpenWorld }) => [name, isOpenWorld])).toEqual([
    ['near', false],
    ['far', true],
    ['resources/list', false],
    ['resources/read note://a', true],
    ['prompts/list', false],
    ['prompts/get review', false],
    ['tools/list', false],
  ]);
  expect(plan.deeds[5]?.params).toEqual({ name: 'review', arguments: { code: 'text' } });
  expect(Object.fromEntries(plan.left)).toEqual({
    again: { why: 'no readOnlyHint', call: '--call again' },
    add: { why: 'no readOnlyHint', call: `--call 'add={"a":1}'` },
    odd: {
      why: 'no arguments are known: it asks for a text like x',
      call: "--call 'odd={…}'",
    },
  });
});

test('--call gives arguments, and what a tool may do twice is said by its hints', async () => {
  const calls = new Map([
    ['add', { a: 7 }],
    ['again', undefined],
    ['odd', { a: 'x' }],
  ]);
  const { deeds, left } = await planOf(client, { tools: {} }, calls);
  expect(left.size).toBe(0);
  expect(deeds.map(({ params, mayRunTwice }) => [params['arguments'], mayRunTwice])).toEqual([
    [{}, true],
    [{}, true],
    [{}, true],
    [{ a: 7 }, false],
    [{ a: 'x' }, true],
    [undefined, true],
  ]);
});

test('a server with nothing to call is refused with what would help', async () => {
  const add = { tools: [{ name: 'add' }] };
  const other = { ...client, request: async () => add };
  const plan = await planOf(other, { tools: {} }, new Map());
  expect(() => checkCalls([plan], new Map())).toThrow(/nothing to call: .* --call add$/);
  expect(() => checkCalls([plan], new Map([['nothing', {}]]))).toThrow(
    'the server has no such tool',
  );
  expect(() => checkCalls([{ deeds: [], left: new Map() }], new Map())).toThrow('has no tools');
});
