import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { holdText } from '../../src/http/body.ts';
import { bytesOfText, MAX_DEPTH } from '../../src/base/protocol/json-size.ts';

const request = (args: string, rest = ''): string =>
  `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"arguments":${args}}${rest}}`;

const ROOM = { holds: () => true };
const look = (text: string) => holdText(ROOM, text, Infinity);

/** As it is defined, with recursion. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('the depth of a body', () => {
  test('a text agrees with the definition, for any JSON', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 8 }),
        fc.integer({ min: 110, max: 135 }),
        fc.boolean(),
        (value, more, object) => {
          let whole: unknown = value;
          for (let n = 0; n < more; n++) whole = object ? { a: '[{', whole } : ['"', whole];
          const deep = depthOf(whole) > MAX_DEPTH;
          expect(look(JSON.stringify(whole, null, 1))?.error.code).toBe(
            deep ? 'INVALID_REQUEST' : undefined,
          );
        },
      ),
    );
  });
});

/** Keys and objects, as they are defined. */
function keysOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const members = Object.values(value).reduce(
    (sum: number, member: unknown) => sum + keysOf(member),
    0,
  );
  return members + (Array.isArray(value) ? 0 : 1 + Object.keys(value).length);
}

describe('the keys of a body', () => {
  test('a text agrees with the definition, for any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 1, 4), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const keys = keysOf(value);
        expect(holdText(ROOM, text, keys)).toBeUndefined();
        if (keys === 0) return;
        expect(holdText(ROOM, text, keys - 1)?.error.code).toBe('TOO_MANY_KEYS');
      }),
    );
  });

  test('a string ends where it ends in JSON, whatever its length and its escapes', () => {
    const bytes = bytesOfText('["",{"a":1}]', Infinity);
    for (let length = 0; length < 70; length++) {
      for (const end of ['', String.raw`\\`, String.raw`\"`, String.raw`\\\"`, String.raw`\"\\`]) {
        const text = `["${'x'.repeat(length)}${end}",{"a":1}]`;
        expect(JSON.parse(text)).toHaveLength(2);
        expect(bytesOfText(text, Infinity), text).toBe(bytes);
      }
    }
    for (const endless of ['"', `"${'x'.repeat(100)}`, `"${String.raw`\"`.repeat(40)}`])
      expect(bytesOfText(`${endless}{`.slice(0, -1), Infinity)).toBe(bytesOfText('"', Infinity));
  });
});

test('a body for which there is no room is refused with its id', () => {
  const full = { holds: () => false };
  const refused = { error: { code: 'OVER_MEMORY', status: 503 }, id: 5 };
  expect(holdText(full, request('{}'), Infinity)).toMatchObject(refused);
});
