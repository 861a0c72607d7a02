import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalInteger, numberTextAt } from '../../../src/eras/modern/json-number.ts';

describe('the text of a number is what was written', () => {
  test.each([
    ['{"a":42}', ['a'], '42'],
    ['{"a":42.000000000000000001}', ['a'], '42.000000000000000001'],
    ['{"a":9007199254740993}', ['a'], '9007199254740993'],
    ['{"a":-4.2E+1}', ['a'], '-4.2E+1'],
    [' {\n\t"a" : {\r "b" : 7 } } ', ['a', 'b'], '7'],
    ['{"x":[1,{"a":2}],"y":{"a":3},"a":4}', ['a'], '4'],
    ['{"x":"}\\"{","a":5}', ['a'], '5'],
    ['{"x":"\\\\","a":6}', ['a'], '6'],
    ['{"\\u0061":8}', ['a'], '8'],
    ['{"a\\"b":9}', ['a"b'], '9'],
    ['{"a":1,"a":2}', ['a'], '2'],
    ['{"a":{"b":1},"a":{"b":2}}', ['a', 'b'], '2'],
    ['{"":{"":0}}', ['', ''], '0'],
    ['3', [], '3'],
    [' 3 ', [], '3'],
  ])('%j at %j', (json, path, text) => {
    expect(numberTextAt(json, path)).toBe(text);
  });

  test.each([
    ['{}', ['a']],
    ['{"b":1}', ['a']],
    ['{"a":"42"}', ['a']],
    ['{"a":null}', ['a']],
    ['{"a":[1]}', ['a']],
    ['{"a":{"b":1}}', ['a']],
    ['{"a":1}', ['a', 'b']],
    ['{"a":[{"b":1}]}', ['a', 'b']],
    ['[{"a":1}]', ['a']],
    ['[1]', ['0']],
    ['"a"', ['a']],
    ['{"a":true}', ['a']],
  ])('%j has none at %j', (json, path) => {
    expect(numberTextAt(json, path)).toBeUndefined();
  });

  test('is found wherever JSON.parse finds it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
        fc.integer(),
        fc.constantFrom(undefined, 1, '\t'),
        (around, path, number, indent) => {
          const root: Record<string, unknown> = structuredClone(around);
          path.reduce((at: Record<string, unknown>, key, n) => {
            const value = n === path.length - 1 ? number : { ...around };
            Object.defineProperty(at, key, { value, enumerable: true, configurable: true, writable: true });
            return value as Record<string, unknown>;
          }, root);
          expect(numberTextAt(JSON.stringify(root, null, indent), path)).toBe(String(number));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('the shortest form of an integer', () => {
  test.each([
    ['42', '42'],
    ['42.0', '42'],
    ['4.2e1', '42'],
    ['420e-1', '42'],
    ['0.42E+2', '42'],
    ['042', '42'],
    ['-42.00', '-42'],
    ['0', '0'],
    ['-0', '0'],
    ['0.000', '0'],
    ['0e999999', '0'],
    ['1e3', '1000'],
    ['9007199254740991', '9007199254740991'],
    ['-9007199254740991.0', '-9007199254740991'],
    ['90071992547409910e-1', '9007199254740991'],
    ['9.007199254740991e15', '9007199254740991'],
  ])('of %s is %s', (text, canonical) => {
    expect(canonicalInteger(text)).toBe(canonical);
  });

  test.each([
    ['42.5'],
    ['12e-1'],
    ['42.000000000000000000000000000001'],
    ['9007199254740992'],
    ['-9007199254740992'],
    ['9007199254740993'],
    ['1e100'],
    ['1e999999'],
    ['1e-999999'],
    ['123456789012345678901234567890123456789'],
    [''],
    [' 42'],
    ['+42'],
    ['0x2a'],
    ['42n'],
    ['4 2'],
    ['.5'],
    ['42.'],
    ['e1'],
    ['NaN'],
    ['Infinity'],
    ['1e1000000000'],
  ])('%j has none', (text) => {
    expect(canonicalInteger(text)).toBeUndefined();
  });

  test('is the same for every spelling of a safe integer', () => {
    const spelling = fc.tuple(fc.maxSafeInteger(), fc.integer({ min: -20, max: 20 }), fc.nat(5));
    fc.assert(
      fc.property(spelling, ([value, shift, zeros]) => {
        const digits = String(Math.abs(value));
        // `shift` places to the right in the digits, as many back in the exponent.
        const padded = shift < 0 ? digits.padStart(digits.length - shift + 1, '0') : digits + '0'.repeat(shift);
        const whole = shift < 0 ? padded.slice(0, shift) : padded;
        const fraction = (shift < 0 ? padded.slice(shift) : '') + '0'.repeat(zeros);
        const text = `${value < 0 ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}e${-shift}`;
        expect(canonicalInteger(text)).toBe(value === 0 ? '0' : String(value));
      }),
      { numRuns: 2_000 },
    );
  });
});
