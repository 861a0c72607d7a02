import { expect, test } from 'vitest';
import { uriFault } from '../../src/protocol/resource-uris.ts';

const LONG = 'ü'.repeat(4_097);

/** Names resources, one for each way. */
const WAYS = [
  { method: 'resources/read', params: (uri: string) => ({ uri }) },
  { method: 'resources/subscribe', params: (uri: string) => ({ uri }) },
  { method: 'resources/unsubscribe', params: (uri: string) => ({ uri }) },
  { method: 'completion/complete', params: (uri: string) => ({ ref: { type: 'ref/resource', uri } }) },
  {
    method: 'subscriptions/listen',
    params: (uri: string) => ({ notifications: { resourceSubscriptions: ['x://y', uri] } }),
  },
];

test.each([undefined, {}, { uri: 5 }, { uri: { host: LONG } }, { ref: null }, { notifications: [] }])(
  'parameters of another shape are left to the server: %j',
  (params) => {
    for (const { method } of WAYS) expect(uriFault(method, params)).toBeUndefined();
  },
);

test('a URI may have 8,192 bytes', () => {
  for (const { method, params } of WAYS)
    expect([uriFault(method, params(LONG)), uriFault(method, params('u'.repeat(8_192)))]).toEqual([
      expect.stringContaining('8192 bytes'),
      undefined,
    ]);
});
