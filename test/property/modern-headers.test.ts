/** A 2026-07-28 request is served exactly when its headers agree with its body, in every allowed spelling. */
import { fromJsonSchema, McpServer } from '@modelcontextprotocol/server';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { envelope, MODERN } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { toolServer, said } from '../kit/tool-server.ts';
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

const whole = fc.oneof(fc.bigInt({ min: -50n, max: 50n }), fc.bigInt({ min: -(2n ** 54n), max: 2n ** 54n }));

const numeral = fc.record({
  zeros: fc.nat({ max: 3 }),
  how: fc.constantFrom('plain', 'plain', 'fraction', 'scaled up', 'scaled down', 'half', 'tenth'),
});

/** A JSON number made of `value`, and its safe integer, if it is one. */
function spellNumber(value: bigint, { zeros, how }: { zeros: number; how: string }): { text: string; exact?: bigint } {
  const digits = String(value < 0n ? -value : value);
  const noughts = '0'.repeat(zeros);
  const texts: Record<string, string> = {
    plain: digits,
    fraction: `${digits}.0${noughts}`,
    'scaled up': `${digits.slice(0, 1)}.${digits.slice(1)}0${noughts}E+${digits.length - 1}`,
    'scaled down': digits === '0' ? '0e-1' : `${digits}${noughts}e-${zeros}`,
    half: `${digits}.5`,
    tenth: `${digits}e-1`,
  };
  const text = `${value < 0n ? '-' : ''}${texts[how]}`;
  const exact = how === 'tenth' ? value / 10n : value;
  const isWhole = how !== 'half' && (how !== 'tenth' || value % 10n === 0n);
  return isWhole && Number.isSafeInteger(Number(exact)) && BigInt(Number(exact)) === exact ? { text, exact } : { text };
}

const mirrored = (type: string, header: string) => ({ type, 'x-mcp-header': header });

const withHeader = fromJsonSchema<{ n: number }>({
  type: 'object',
  properties: { n: mirrored('integer', 'N') },
});

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
  test('names, methods and versions in any spelling', { timeout: 60_000 }, async () => {
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

  test('integers in any spelling', { timeout: 60_000 }, async () => {
    const { client } = await serve(
      (ctx) => {
        const server = toolServer({})(ctx);
        server.registerTool('count', { inputSchema: withHeader }, ({ n }) => said(JSON.stringify(n)));
        return server;
      },
      {},
      { face },
    );
    const raw = client({ timeoutMs: 15_000 });
    await fc.assert(
      fc.asyncProperty(whole, whole, fc.boolean(), numeral, numeral, async (value, other, same, one, two) => {
        const sent = spellNumber(value, one);
        const told = spellNumber(same ? value : other, two);
        const params = { name: 'count', arguments: { n: 0 }, _meta: envelope() };
        const id = raw.nextId();
        const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params });
        const response = await raw.post(body.replace('"n":0', `"n":${sent.text}`), {
          headers: {
            'mcp-protocol-version': MODERN,
            'mcp-method': 'tools/call',
            'mcp-name': 'count',
            'mcp-param-n': told.text,
          },
        });
        const fits = sent.exact !== undefined && sent.exact === told.exact;
        expect(response.status).toBe(fits ? 200 : 400);
        const { result, error } = response.json() as {
          result?: { content: Array<{ text: string }> };
          error?: { code: number };
        };
        if (fits) expect(Number(result?.content[0]?.text)).toBe(Number(sent.exact));
        else expect(error?.code).toBe(-32020);
      }),
      { numRuns: RUNS },
    );
  });
});
