import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { echoId } from '../../src/protocol/jsonrpc.ts';
import { TopLevelId } from '../../src/protocol/top-level-id.ts';

const MOST = 1_000_000;

function find(body: string | Uint8Array, pieces = [Infinity], most = MOST): unknown {
  const bytes = Buffer.from(body);
  const found = new TopLevelId(most);
  for (let [at, n] = [0, 0]; at < bytes.length; n++) {
    const size = Math.min(Math.max(1, pieces[n % pieces.length] ?? 1), bytes.length - at);
    if (!found.take(bytes.subarray(at, at + size))) return null;
    at += size;
  }
  return found.id;
}

/** Whole, byte by byte, and cut in two at each byte. */
function findCut(body: string | Uint8Array): unknown {
  const whole = find(body);
  const { length } = Buffer.from(body);
  for (let cut = 1; cut < length; cut++) expect([cut, find(body, [cut, Infinity])]).toEqual([cut, whole]);
  expect(find(body, [1])).toBe(whole);
  return whole;
}

describe('the id of a request is found', () => {
  test.each<[string, string, unknown]>([
    ['first', '{"id":7,"jsonrpc":"2.0","method":"ping"}', 7],
    ['last', '{"jsonrpc":"2.0","method":"ping","params":{},"id":7}', 7],
    ['between blanks', ' \r\n\t{ "method" : "x" ,\n"id"\t:\r7 }\n ', 7],
    ['as a string', '{"method":"x","id":"seven"}', 'seven'],
    ['as an empty string', '{"method":"x","id":""}', ''],
    ['as a string with escapes', '{"method":"x","id":"a\\"b\\\\\\u00e9\\n"}', 'a"b\\é\n'],
    ['as a string with a surrogate pair', '{"method":"x","id":"\\ud83e\\uddf3 🧳"}', '🧳 🧳'],
    ['as a string that looks like more', '{"method":"x","id":"},\\"id\\":9,{"}', '},"id":9,{'],
    ['negative', '{"method":"x","id":-7}', -7],
    ['with an exponent', '{"method":"x","id":12e2}', 1200],
    ['with a fraction that is none', '{"method":"x","id":7.0}', 7],
    ['at 2^53 − 1', '{"method":"x","id":9007199254740991}', 9007199254740991],
    ['under a key with escapes', '{"\\u006dethod":"x","\\u0069\\u0064":7}', 7],
    ['twice: the last counts', '{"id":1,"method":"x","id":2}', 2],
    ['twice, in two spellings', '{"id":1,"method":"x","i\\u0064":"two"}', 'two'],
    ['beside an id further down', '{"params":{"id":1,"x":[{"id":2}]},"id":3,"method":"x"}', 3],
    ['behind strings with braces', '{"params":{"a":"}]{[","b":["\\"}","\\\\"]},"method":"{","id":3}', 3],
    ['behind an empty key', '{"":{},"method":"x","id":3}', 3],
    ['behind literals', '{"a":true,"b":null,"c":-1.5e-7,"method":"x","id":3}', 3],
    ['in a body nested 100 deep', `{"params":${'['.repeat(100)}${']'.repeat(100)},"method":"x","id":3}`, 3],
  ])('%s', (_where, body, id) => {
    expect(echoId(JSON.parse(body))).toBe(id);
    expect(findCut(body)).toBe(id);
  });

  test('behind a member that is longer than anything that is kept', () => {
    const body = `{"${'k'.repeat(1_000)}":"${'v\\"'.repeat(100_000)}","method":"x","id":"last"}`;
    expect(find(body, [65_536])).toBe('last');
    expect(find(body, [7])).toBe('last');
  });

  test('below 100,000 levels, which no parser would take', () => {
    expect(find(`{"a":${'[{"b":'.repeat(50_000)}1${'}]'.repeat(50_000)},"method":"x","id":3}`, [4_096])).toBe(3);
  });
});

describe('there is no id in', () => {
  test.each<[string, string]>([
    ['nothing', ''],
    ['a notification', '{"jsonrpc":"2.0","method":"notifications/x"}'],
    ['an answer, whose id is one of the server’s', '{"jsonrpc":"2.0","id":1,"result":{"method":"x"}}'],
    ['a message whose method is no string', '{"id":1,"method":["x"]}'],
    ['a message whose last method is no string', '{"id":1,"method":"x","method":null}'],
    ['the params alone', '{"method":"x","params":{"id":1}}'],
    ['a string that looks like one', '{"method":"x","params":"\\",\\"id\\":1"}'],
    ['an id of null', '{"method":"x","id":null}'],
    ['an id of null after another', '{"id":1,"method":"x","id":null}'],
    ['an id of true', '{"method":"x","id":true}'],
    ['an id that is an object', '{"method":"x","id":{"id":1}}'],
    ['an id that is an array', '{"method":"x","id":[1]}'],
    ['an id of 2^53', '{"method":"x","id":9007199254740992}'],
    ['an id beyond all numbers', '{"method":"x","id":1e999}'],
    ['an id with a fraction', '{"method":"x","id":1.5}'],
    ['an id that is no JSON', '{"method":"x","id":0x10}'],
    ['an id with a zero before it', '{"method":"x","id":007}'],
    ['an id with an escape that is none', '{"method":"x","id":"\\q"}'],
    ['an id longer than 256 bytes', `{"method":"x","id":"${'7'.repeat(257)}"}`],
    ['an id of 300 digits', `{"method":"x","id":${'0'.repeat(299)}1}`],
    ['a key with another case', '{"method":"x","ID":1}'],
    ['a batch', '[{"method":"x","id":1}]'],
    ['a string', '"id"'],
    ['a body that breaks off', '{"method":"x","id":1'],
    ['a body that breaks off in a string', '{"method":"x","id":"1'],
    ['two bodies', '{"method":"x","id":1}{"method":"x","id":2}'],
    ['a body with more after it', '{"method":"x","id":1}]'],
    ['a body without a colon', '{"method" "x","id":1}'],
    ['a body without a comma', '{"method":"x" "id":1}'],
    ['a body with a comma too many', '{"method":"x","id":1,}'],
    ['a body without a value', '{"method":"x","id":}'],
    ['a body with a byte order mark', '\ufeff{"method":"x","id":1}'],
  ])('%s', (_what, body) => {
    expect(findCut(body)).toBeNull();
  });

  test('bytes that are no UTF-8', () => {
    const [before, after] = ['{"method":"x","id":"', '"}'].map((text) => Buffer.from(text));
    for (const bytes of [[0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xff]]) {
      expect(isUtf8(Uint8Array.from(bytes))).toBe(false);
      expect(findCut(Buffer.concat([before ?? Buffer.of(), Uint8Array.from(bytes), after ?? Buffer.of()]))).toBeNull();
    }
  });

  test('a body of one byte more than is looked at', () => {
    const body = '{"method":"x","id":1}';
    expect(find(body, [3], body.length)).toBe(1);
    expect(find(body, [3], body.length - 1)).toBeNull();
  });
});

test('bytes after the first that cannot be a request are not asked for', () => {
  const found = new TopLevelId(MOST);
  expect(found.take(Buffer.from('  ['))).toBe(false);
  expect(found.take(Buffer.from('{"method":"x","id":1}'))).toBe(false);
  expect(found.id).toBeNull();
});

test('in any JSON, cut anywhere, it is the id that parsing finds', () => {
  const id = fc.oneof(fc.integer(), fc.string({ maxLength: 40, unit: 'binary' }), fc.double(), fc.constant(null));
  const body = fc.record({
    id,
    method: fc.oneof(fc.string(), fc.integer()),
    params: fc.jsonValue(),
    a: fc.jsonValue(),
  });
  const json = fc.tuple(body, fc.shuffledSubarray(['id', 'method', 'params', 'a'] as const), fc.nat(3));
  fc.assert(
    fc.property(json, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), ([given, keys, indent], pieces) => {
      const text = JSON.stringify(Object.fromEntries(keys.map((key) => [key, given[key]])), undefined, indent);
      expect(find(text, pieces)).toBe(echoId(JSON.parse(text)));
    }),
  );
});

test('any bytes are taken without an exception, and cuts change nothing', () => {
  const tokens = ['{', '}', '[', ']', '"', ':', ',', '\\', '\\u0069', 'id', '"id":', '"method":', '"x"', '1', ' ', 'e'];
  const noise = fc.array(fc.oneof(fc.constantFrom(...tokens), fc.string({ maxLength: 3 })), { maxLength: 40 });
  fc.assert(
    fc.property(noise, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (parts, pieces) => {
      const text = `{${parts.join('')}`;
      const found = find(text);
      expect(find(text, pieces)).toBe(found);
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        return;
      }
      expect(found).toBe(echoId(parsed));
    }),
    { numRuns: 2_000 },
  );
});
