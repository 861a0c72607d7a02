import {
  parseJSONRPCMessage,
  PROTOCOL_VERSION_META_KEY as SDK_KEY,
} from '@modelcontextprotocol/server';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkMessage, PROTOCOL_VERSION_META_KEY } from '../../../src/base/protocol/jsonrpc.ts';

const v = '2.0';
const TOKEN = 'progressToken';
const TASK = 'io.modelcontextprotocol/related-task';
const LISTEN = 'subscriptions/listen';
/** As long as a text may be that each notification of a server repeats. */
const LONG = 'x'.repeat(1_024);
/** 8,192 bytes. */
const URI = 'ü'.repeat(4_096);
const BAD_ID = 'id must be a string or an integer of at most 2^53 - 1';
const BAD_ERROR = 'error must be an object with an integer code and a message';

test('the key of the version in an envelope is the one of the SDK', () => {
  expect(PROTOCOL_VERSION_META_KEY).toBe(SDK_KEY);
});

/** `behaviour/refused-messages.test.ts` has the common ones. */
describe('a message is', () => {
  test.each([
    ['request', { jsonrpc: v, id: 1, method: 'm' }],
    [
      'request',
      { jsonrpc: v, id: Number.MIN_SAFE_INTEGER, method: 'm', params: { anything: [1] } },
    ],
    ['request', { jsonrpc: v, id: 0, method: 'm', params: { _meta: { [TOKEN]: 'p', more: 1 } } }],
    ['request', { jsonrpc: v, id: 0, method: 'm', params: { _meta: { [TASK]: { taskId: 't' } } } }],
    ['request', { jsonrpc: v, id: `${LONG}x`, method: 'm' }],
    [
      'request',
      {
        jsonrpc: v,
        id: LONG,
        method: LISTEN,
        params: { _meta: { [TOKEN]: LONG, [TASK]: { taskId: LONG } } },
      },
    ],
    ['request', { jsonrpc: v, id: 1, method: 'resources/read', params: { uri: URI } }],
    [
      'request',
      { jsonrpc: v, id: 1, method: 'resources/read', params: { uri: { host: `${URI}u` } } },
    ],
    ['request', { jsonrpc: v, id: 1, method: 'completion/complete', params: { ref: null } }],
    ['request', { jsonrpc: v, id: 1, method: LISTEN, params: { notifications: [] } }],
    ['notification', { jsonrpc: v, method: 'm' }],
    ['notification', { jsonrpc: v, method: 'm', params: { _meta: {} } }],
    ['response', { jsonrpc: v, id: 1, result: {} }],
    ['response', { jsonrpc: v, id: 's1.0', result: { _meta: {}, more: 1 } }],
    ['response', { jsonrpc: v, id: 1, error: { code: -1, message: '' } }],
    ['response', { jsonrpc: v, id: 1, error: { code: -1, message: 'm', data: null } }],
    ['response', { jsonrpc: v, error: { code: -1, message: 'without an id' } }],
  ])('a %s: %j', (kind, message) => {
    expect(checkMessage(message)).toEqual({ kind, message });
  });

  test.each([
    [null, 'a message must be an object'],
    [[], 'a message must be an object'],
    [{ jsonrpc: v }, 'a message needs a method, a result or an error'],
    [{ jsonrpc: v, id: 1, method: 5 }, 'method must be a string'],
    [{ jsonrpc: v, id: 1, method: null, result: {} }, 'method must be a string'],
    [{ jsonrpc: v, id: null, method: 'm' }, BAD_ID],
    [
      { jsonrpc: v, id: 1, method: 'm', params: { _meta: { [TASK]: {} } } },
      `params._meta["${TASK}"] must be an object with a taskId`,
    ],
    [
      { jsonrpc: v, id: 1, method: 'm', params: { _meta: { [TOKEN]: `${LONG}x` } } },
      'params._meta.progressToken may have 1024 characters',
    ],
    [
      { jsonrpc: v, id: 1, method: 'm', params: { _meta: { [TASK]: { taskId: `${LONG}x` } } } },
      `params._meta["${TASK}"].taskId may have 1024 characters`,
    ],
    [
      { jsonrpc: v, id: `${LONG}x`, method: LISTEN },
      'the id of subscriptions/listen may have 1024 characters',
    ],
    [
      { jsonrpc: v, id: 1, method: 'resources/unsubscribe', params: { uri: `${URI}u` } },
      'the URI of a resource may have 8192 bytes',
    ],
    [{ jsonrpc: v, id: 1, result: {}, params: {} }, 'unknown member "params"'],
    [
      JSON.parse('{"jsonrpc":"2.0","id":1,"method":"m","__proto__":{}}'),
      'unknown member "__proto__"',
    ],
    [{ jsonrpc: v, result: {} }, BAD_ID],
    [{ jsonrpc: v, id: null, result: {} }, BAD_ID],
    [{ jsonrpc: v, id: 1, result: null }, 'result must be an object'],
    [{ jsonrpc: v, id: 1, result: { _meta: 1 } }, 'result._meta must be an object'],
    [
      { jsonrpc: v, id: null, error: { code: 1, message: 'm' } },
      'id must be a string or an integer',
    ],
    [{ jsonrpc: v, id: 1, error: null }, BAD_ERROR],
    [{ jsonrpc: v, id: 1, error: { code: 1.5, message: 'm' } }, BAD_ERROR],
    [{ jsonrpc: v, id: 1, error: { code: 1 } }, BAD_ERROR],
  ])('none: %j (%s)', (message, why) => {
    expect(checkMessage(message)).toEqual({ kind: 'invalid', why });
  });
});

/** A mostly valid message: every member may be missing or have any value. */
const message = fc.record(
  {
    jsonrpc: fc.constantFrom('2.0', '2.0', '2.0', '2.0', '1.0', 2),
    id: odd(fc.oneof(fc.integer(), fc.string(), fc.constantFrom(2 ** 53, 1.5))),
    method: odd(fc.string()),
    params: odd(fc.record({ _meta: odd(meta()), name: fc.string() }, { requiredKeys: [] })),
    result: odd(fc.record({ _meta: odd(meta()), name: fc.string() }, { requiredKeys: [] })),
    error: odd(
      fc.record(
        { code: odd(fc.integer()), message: odd(fc.string()), data: fc.jsonValue() },
        { requiredKeys: [] },
      ),
    ),
    extra: fc.jsonValue(),
  },
  { requiredKeys: ['jsonrpc'] },
);

function meta(): fc.Arbitrary<unknown> {
  return fc.record(
    {
      [TOKEN]: odd(fc.integer()),
      [TASK]: odd(fc.record({ taskId: odd(fc.string()) })),
      more: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
}

function odd(usual: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: fc.jsonValue() });
}

test('what the SDK would leave without an answer is refused, and nothing else is', () => {
  fc.assert(
    fc.property(fc.oneof(message, fc.jsonValue()), (value) => {
      expect(checkMessage(value).kind !== 'invalid').toBe(takenBySdk(value));
    }),
    { numRuns: 5_000 },
  );
});

function takenBySdk(value: unknown): boolean {
  try {
    parseJSONRPCMessage(value);
    return true;
  } catch {
    return false;
  }
}
