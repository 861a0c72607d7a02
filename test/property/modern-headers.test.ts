/** A 2026-07-28 request is served exactly when its headers agree with its body, in every allowed spelling. */
import { McpServer } from '@modelcontextprotocol/server';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { envelope, MODERN } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { isMatrix } from '../kit/matrix.ts';

const RUNS = isMatrix ? 300 : 60;

const NAMES = ['echo', 'Echo', 'näive tool', '漢字', 'with blank', '=?base64?ZWNobw==?=', 'a\tb'];

const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;

/** How a header spells a value, and whether the spelling is correct. */
const spelling = fc.constantFrom<[how: string, fits: boolean]>(
  ['plain', true],
  ['plain', true],
  ['padded', true],
  ['base64', true],
  ['missing', false],
  ['other', false],
  ['other case', false],
  ['broken base64', false],
);

/** Only these may be sent as they are. All others must be in Base64, and so must text that looks like Base64. */
const isPlain = (text: string): boolean =>
  /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith('=?');

function spell(value: string, how: string, decoded: boolean): string | null {
  switch (how) {
    case 'plain':
      return value;
    case 'padded':
      return `  ${value}\t`;
    case 'base64':
      return decoded ? base64(value) : value;
    case 'missing':
      return null;
    case 'other case':
      return value.toUpperCase() === value ? value.toLowerCase() : value.toUpperCase();
    case 'broken base64':
      return '=?base64?!!!?=';
    default:
      return 'something-else';
  }
}

/** Prompts, because their names may be any text. */
function createPromptServer(): McpServer {
  const server = new McpServer({ name: 'prompts', version: '1.0.0' });
  for (const name of NAMES) {
    server.registerPrompt(name, {}, () => ({
      messages: [{ role: 'user', content: { type: 'text', text: name } }],
    }));
  }
  return server;
}

describe.each(faces)('over %s', (face) => {
  test('names, methods and versions in any spelling', async () => {
    const { client } = await serve(createPromptServer, {}, { face });
    const one = client({ timeoutMs: 15_000 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...NAMES),
        spelling,
        spelling,
        fc.constantFrom<[string | null, boolean]>(
          [MODERN, true],
          [MODERN, true],
          [MODERN, true],
          [null, false],
          ['2025-11-25', false],
        ),
        async (name, [nameHow, nameFits], [methodHow, methodFits], [version, versionFits]) => {
          const plain = isPlain(name);
          // Text that is not plain has one spelling.
          const nameHeader = spell(
            name,
            plain || nameHow === 'missing' ? nameHow : nameFits ? 'base64' : nameHow,
            true,
          );
          const methodHeader = spell('prompts/get', methodHow === 'base64' ? 'plain' : methodHow, false);
          const { id, response, message } = await one.call(
            'prompts/get',
            { name, arguments: {}, _meta: envelope() },
            {
              headers: {
                'mcp-protocol-version': version,
                'mcp-method': methodHeader,
                'mcp-name': nameHeader !== null && /[^\t\x20-\xff]/.test(nameHeader) ? 'something-else' : nameHeader,
              },
            },
          );
          expect(message.id).toBe(id);
          if (nameFits && methodFits && versionFits) {
            expect([response.status, message.result]).toMatchObject([200, { messages: [{ content: { text: name } }] }]);
          } else {
            expect([response.status, message.error?.code]).toEqual([400, -32020]);
          }
        },
      ),
      { numRuns: RUNS },
    );
  });
});
