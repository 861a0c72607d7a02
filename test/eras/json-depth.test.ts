import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkTextDepth, checkValueDepth, MAX_DEPTH } from '../../src/eras/json-depth.ts';

const nested = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);

const request = (args: string, rest = ''): string =>
  `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"arguments":${args}}${rest}}`;

/** As it is defined, with recursion. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('the depth of a body', () => {
  test('128 levels pass, 129 do not', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":[', ']}'],
      ['{"a":', '}'],
    ] as const) {
      const levels = open.replace(/[^[{]/g, '').length;
      const inside = open.endsWith(':') ? '1' : '';
      const text = (depth: number): string => open.repeat(depth / levels) + inside + close.repeat(depth / levels);
      expect(checkTextDepth(text(MAX_DEPTH))).toBeUndefined();
      expect(checkValueDepth(JSON.parse(text(MAX_DEPTH)))).toBeUndefined();
      expect(checkTextDepth(text(MAX_DEPTH + levels))?.error).toMatchObject({ status: 400, rpc: -32600 });
      expect(checkValueDepth(JSON.parse(text(MAX_DEPTH + levels)))?.error).toMatchObject({ status: 400, rpc: -32600 });
    }
  });

  test('brackets in strings count for nothing, whatever is escaped around them', () => {
    for (const string of [
      nested(500),
      `\\"${'['.repeat(500)}`,
      `\\\\\\"${'{'.repeat(500)}`,
      `${'['.repeat(300)}\\\\`,
    ]) {
      expect(checkTextDepth(request(`["${string}"]`))).toBeUndefined();
      expect(checkTextDepth(request(`["${string}",${nested(128)}]`))).toBeDefined();
    }
  });

  test('many brackets side by side are not deep', () => {
    expect(checkTextDepth(request(`[${'{"a":[]},'.repeat(5_000)}{}]`))).toBeUndefined();
  });

  test('the id of the request is found, wherever it is and whatever surrounds it', () => {
    const deep = nested(20_000);
    expect(checkTextDepth(request(deep))?.id).toBe(5);
    expect(checkTextDepth(`{"params":${deep},"method":"ping","id":"last"}`)?.id).toBe('last');
    expect(checkTextDepth(`{"id":1,"params":{"id":2,"x":${deep}},"method":"ping"}`)?.id).toBe(1);
    for (const text of [
      `[${request(deep)}]`,
      `{"id":7,"result":${deep}}`,
      `{"method":"ping","params":${deep}}`,
      `{"method":"ping","id":${deep}}`,
      `{"method":"ping","id":1.5,"params":${deep}}`,
      `{"\\x":1,"method":"ping","id":5,"params":${deep}}`,
      '['.repeat(20_000),
    ]) {
      expect(checkTextDepth(text)?.id).toBeNull();
    }
    expect(checkValueDepth(JSON.parse(request(deep)))?.id).toBe(5);
  });

  test('a value that contains itself is too deep', () => {
    const round: Record<string, unknown> = { jsonrpc: '2.0', id: 5, method: 'ping' };
    round['params'] = { round };
    expect(checkValueDepth(round)?.id).toBe(5);
  });

  test('text and value agree with the definition, for any JSON', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 8 }),
        fc.integer({ min: 110, max: 135 }),
        fc.boolean(),
        (value, more, object) => {
          let whole: unknown = value;
          for (let n = 0; n < more; n++) whole = object ? { a: '[{', whole } : ['"', whole];
          const deep = depthOf(whole) > MAX_DEPTH;
          expect(checkTextDepth(JSON.stringify(whole, null, 1)) !== undefined).toBe(deep);
          expect(checkValueDepth(whole) !== undefined).toBe(deep);
        },
      ),
    );
  });
});
