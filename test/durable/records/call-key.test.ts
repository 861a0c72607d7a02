import { describe, expect, test } from 'vitest';
import { argumentsHash } from '../../../src/durable/records/call-key.ts';

/** Arguments as a client writes them. */
const hash = (json: string): string => argumentsHash('id', JSON.parse(json));

describe('arguments have one hash', () => {
  test.each([
    ['{"a":1,"b":{"c":2,"d":3}}', '{"b":{"d":3,"c":2},"a":1}'],
    ['{"n":1}', '{"n":1.0}'],
    ['{"n":-0}', '{"n":0}'],
    ['{"s":"é"}', '{"s":"\\u00e9"}'],
  ])('%s and %s', (one, other) => expect(hash(one)).toBe(hash(other)));
});

test('other arguments have another hash, also where JSON has no number for them', () => {
  const all = [
    '{"n":null}',
    '{"n":1e999}',
    '{"n":-1e999}',
    '{"n":"Infinity"}',
    '{"n":"-Infinity"}',
    '{"n":"null"}',
    '{"n":[1e999]}',
    '{"n":1e999,"m":"Infinity"}',
    '{"n":"Infinity","m":1e999}',
    '{"n":"\\"Infinity"}',
    '{"n":""}',
    '{"n":{}}',
    '{"n":[]}',
    '{}',
  ];
  expect(new Set(all.map(hash)).size).toBe(all.length);
});
