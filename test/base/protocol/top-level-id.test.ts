import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { echoId } from '../../../src/base/protocol/jsonrpc.ts';
import { Body } from '../../../src/http/body.ts';
import { topLevelId } from '../../../src/base/protocol/top-level-id.ts';

const MOST = 1_000_000;
const limits = (most: number) => ({ bytes: Infinity, keys: Infinity, idWithin: most });
const LONG = 'x'.repeat(1_000);

function find(body: string | Uint8Array, pieces = [Infinity], most = MOST): unknown {
  const bytes = Buffer.from(body);
  const refused = new Body({ holds: () => false }, limits(most));
  for (let [at, n] = [0, 0]; at < bytes.length; n++) {
    const size = Math.min(Math.max(1, pieces[n % pieces.length] ?? 1), bytes.length - at);
    if (!refused.take(bytes.subarray(at, at + size))) break;
    at += size;
  }
  const read = refused.read();
  return typeof read === 'string' ? null : read.id;
}

/** In one text, and in the ends of a body that comes whole or byte by byte. */
function findAll(body: string): unknown {
  const id = topLevelId(body);
  expect([find(body), find(body, [1]), find(body, [7, 600])]).toEqual([id, id, id]);
  return id;
}

describe('the id of a request is found', () => {
  test.each<[string, string, unknown]>([
    [
      'before long params, as Go and Java write it',
      `{"jsonrpc":"2.0","id":7,"method":"x","params":"${LONG}"}`,
      7,
    ],
    ['first', `{"id":7,"jsonrpc":"2.0","method":"x","params":["${LONG}"]}`, 7],
    [
      'after long params, as TypeScript writes it',
      `{"method":"x","params":{"a":"${LONG}"},"jsonrpc":"2.0","id":7}`,
      7,
    ],
    ['alone at the end', `{"jsonrpc":"2.0","method":"x","params":"${LONG}","id":"last"}`, 'last'],
    ['with its method at the end', `{"params":"${LONG}","id":3,"method":"x"}`, 3],
    ['between blanks', ' \r\n\t{ "method" : "x" ,\n"id"\t:\r7 }\n ', 7],
    ['as an empty string', '{"method":"x","id":""}', ''],
    ['as a string with escapes', '{"method":"x","id":"a\\"b\\\\\\u00e9\\n"}', 'a"b\\é\n'],
    ['as a string with a surrogate pair', '{"method":"x","id":"\\ud83e\\uddf3 🧳"}', '🧳 🧳'],
    ['as a string that looks like more', '{"method":"x","id":"},\\"id\\":9,{"}', '},"id":9,{'],
    ['negative', '{"method":"x","id":-7}', -7],
    ['at 2^53 − 1', '{"method":"x","id":9007199254740991}', 9007199254740991],
    ['twice: the last counts', '{"id":1,"method":"x","id":2}', 2],
    ['beside an id further down', '{"params":{"id":1,"x":[{"id":2}]},"id":3,"method":"x"}', 3],
  ])('%s', (_where, body, id) => {
    expect(echoId(JSON.parse(body))).toBe(id);
    expect(findAll(body)).toBe(id);
  });
});

describe('there is no id in', () => {
  test.each<[string, string]>([
    ['nothing', ''],
    ['a notification', '{"jsonrpc":"2.0","method":"notifications/x"}'],
    [
      'an answer, whose id is one of the server’s',
      '{"jsonrpc":"2.0","id":1,"result":{"method":"x"}}',
    ],
    ['a message whose method is no string', '{"id":1,"method":["x"]}'],
    ['the params alone', '{"method":"x","params":{"id":1}}'],
    ['params that look like a request', '{"params":{"method":"x","id":1}}'],
    ['a string that looks like one', '{"method":"x","params":"\\",\\"id\\":1"}'],
    ['an id of null', '{"method":"x","id":null}'],
    ['an id that is an object', '{"method":"x","id":{"id":1}}'],
    ['an id of 2^53', '{"method":"x","id":9007199254740992}'],
    ['an id with a fraction', '{"method":"x","id":1.5}'],
    ['an id with a zero before it', '{"method":"x","id":007}'],
    ['an id with an escape that is none', '{"method":"x","id":"\\q"}'],
    ['an id that is longer than an end of a body', `{"method":"x","id":"${LONG}"}`],
    ['an id between others that are long', `{"a":"${LONG}","id":1,"method":"x","b":"${LONG}"}`],
    ['a batch', '[{"method":"x","id":1}]'],
    ['a string', '"id"'],
    ['a body that breaks off', '{"method":"x","id":1'],
    ['a body that breaks off in a string', '{"method":"x","id":"1'],
    ['a body with more after it', '{"method":"x","id":1}]'],
  ])('%s', (_what, body) => {
    expect(findAll(body)).toBeNull();
  });

  test('bytes that are no UTF-8', () => {
    const [before, after] = ['{"method":"x","id":"', '"}'].map((text) => Buffer.from(text));
    for (const bytes of [[0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xff]])
      expect(
        find(Buffer.concat([before ?? Buffer.of(), Uint8Array.from(bytes), after ?? Buffer.of()])),
      ).toBeNull();
  });

  test('a body of one byte more than is looked at', () => {
    const body = '{"method":"x","id":1}';
    expect(find(body, [3], body.length)).toBe(1);
    expect(find(body, [3], body.length - 1)).toBeNull();
  });
});

test('bytes after the first that cannot be a request are not asked for', () => {
  const body = new Body({ holds: () => false }, limits(MOST));
  const taken = ['  ', '  [', '{"method":"x","id":1}'].map((piece) =>
    body.take(Buffer.from(piece)),
  );
  expect([taken, body.read()]).toEqual([
    [true, false, false],
    expect.objectContaining({ id: null }),
  ]);
});

test('in any JSON it is the id that parsing finds, or none', () => {
  const body = fc.record({
    id: fc.oneof(
      fc.integer(),
      fc.string({ maxLength: 40, unit: 'binary' }),
      fc.double(),
      fc.constant(null),
    ),
    method: fc.oneof(fc.string(), fc.integer()),
    params: fc.jsonValue(),
    a: fc.string({ maxLength: 600 }),
  });
  const json = fc.tuple(
    body,
    fc.shuffledSubarray(['id', 'method', 'params', 'a'] as const),
    fc.nat(3),
  );
  fc.assert(
    fc.property(
      json,
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      ([given, keys, indent], pieces) => {
        const text = JSON.stringify(
          Object.fromEntries(keys.map((key) => [key, given[key]])),
          undefined,
          indent,
        );
        const found = find(text, pieces);
        if (found !== null) expect(found).toBe(echoId(JSON.parse(text)));
      },
    ),
  );
});

test('any text is taken without an exception, and its id is that of parsing where it is JSON with a key once', () => {
  const tokens = [
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '\\',
    'id',
    '"id":',
    '"method":',
    '"x"',
    '1',
    ' ',
    'e',
  ];
  const noise = fc.array(fc.oneof(fc.constantFrom(...tokens), fc.string({ maxLength: 3 })), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(noise, (parts) => {
      const text = `{${parts.join('')}`;
      const found = topLevelId(text);
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        return;
      }
      if (found !== null && text.split('"id"').length === 2) expect(found).toBe(echoId(parsed));
    }),
    { numRuns: 2_000 },
  );
});
