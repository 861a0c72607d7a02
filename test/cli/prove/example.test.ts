/** Values that are made up for a schema. */
import { describe, expect, test } from 'vitest';
import { exampleOf, NoExample } from '../../../src/cli/prove/example.ts';

const object = (properties: object, ...required: string[]) => ({
  type: 'object',
  properties,
  required,
});

describe('an example', () => {
  test.each([
    ['no schema', undefined, 'text'],
    [
      'required members alone',
      object({ a: { type: 'string' }, b: { type: 'number' } }, 'a'),
      { a: 'text' },
    ],
    ['no arguments', { type: 'object' }, {}],
    [
      'what the schema names',
      object(
        { a: { default: 7 }, b: { examples: ['x'] }, c: { enum: ['r', 'g'] }, d: { const: null } },
        'a',
        'b',
        'c',
      ),
      { a: 7, b: 'x', c: 'r' },
    ],
    ['a constant', { const: false }, false],
    ['a number in its range', { type: 'integer', minimum: 3 }, 3],
    ['a number above another', { type: 'integer', exclusiveMinimum: 3 }, 4],
    ['a small number', { type: 'number', maximum: 0 }, 0],
    ['a multiple', { type: 'integer', minimum: 3, multipleOf: 5 }, 5],
    ['a long text', { type: 'string', minLength: 6 }, 'textxx'],
    ['a short text', { type: 'string', maxLength: 2 }, 'te'],
    ['a format', { type: 'string', format: 'email' }, 'someone@example.com'],
    [
      'a format with its pattern',
      { type: 'string', format: 'date', pattern: '^\\d' },
      '2026-01-01',
    ],
    ['items', { type: 'array', items: { type: 'boolean' }, minItems: 2 }, [true, true]],
    ['an empty list', { type: 'array' }, []],
    ['a type of several', { type: ['integer', 'null'] }, 1],
    [
      'a choice that can be made',
      { anyOf: [{ type: 'string', pattern: 'x' }, { type: 'null' }] },
      null,
    ],
    [
      'all parts',
      { allOf: [object({ a: { type: 'boolean' } }, 'a'), object({ b: { type: 'null' } }, 'b')] },
      { a: true, b: null },
    ],
    [
      'a reference',
      { ...object({ a: { $ref: '#/$defs/x~1y' } }, 'a'), $defs: { 'x/y': { enum: [5] } } },
      { a: 5 },
    ],
  ])('has %s', (_, schema, value) => {
    expect(exampleOf(schema)).toEqual(value);
  });

  const circle = object({ a: { $ref: '#' } }, 'a');
  test.each([
    ['a pattern', { type: 'string', pattern: '^[a-z]+$' }],
    ['an empty range', { type: 'integer', minimum: 2, maximum: 1 }],
    ['a reference elsewhere', { $ref: 'https://example.com/schema' }],
    ['no end', circle],
  ])('is not made up for %s', (_, schema) => {
    expect(() => exampleOf(schema)).toThrow(NoExample);
  });
});
