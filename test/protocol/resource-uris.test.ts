import { expect, test } from 'vitest';
import { uriFault } from '../../src/protocol/resource-uris.ts';

const LONG = 'ü'.repeat(600);
const NAMED = { method: 'resources/read', params: (uri: string) => ({ uri }) };

/** Names resources, one for each way. */
const WAYS = [
  NAMED,
  { method: 'resources/subscribe', params: (uri: string) => ({ uri }) },
  { method: 'resources/unsubscribe', params: (uri: string) => ({ uri }) },
  { method: 'completion/complete', params: (uri: string) => ({ ref: { type: 'ref/resource', uri } }) },
  {
    method: 'subscriptions/listen',
    params: (uri: string) => ({ notifications: { resourceSubscriptions: ['x://y', uri] } }),
  },
];

test.each([
  `http://${LONG}`,
  `HTTPS://${LONG}/path`,
  `wss:${LONG}`,
  `ftp:\\\\${LONG}?x`,
  `http:////////${LONG}#x`,
  `http://user:pass@word@${LONG}:80/`,
  `\u0000 \thttp://${LONG}`,
  `ht\ntp:/\t/${LONG}`,
  `file://${LONG}/x`,
  `file:\\/${LONG}`,
  `http://${'%C3%BC'.repeat(100)}`,
  `http://${'a\t'.repeat(600)}`,
])('a host that takes long to convert is refused, whatever names it: %j', (uri) => {
  for (const { method, params } of WAYS) expect(uriFault(method, params(uri))).toMatch(/host of a resource URI/);
});

test.each([
  `http://${'ü'.repeat(512)}`,
  `http://example.com/${LONG}`,
  `http://example.com?${LONG}`,
  `http://${LONG}@example.com/`,
  `note://${LONG}`,
  `data:text/plain,${LONG}`,
  `urn:${LONG}`,
  `file:///${LONG}`,
  `file:${LONG}`,
  `x-http://${LONG}`,
  LONG,
  '',
])('any other URI is not: %j', (uri) => {
  for (const { method, params } of WAYS) expect(uriFault(method, params(uri))).toBeUndefined();
});

test.each([undefined, {}, { uri: 5 }, { uri: { host: LONG } }, { ref: null }, { notifications: [] }])(
  'parameters of another shape are left to the server: %j',
  (params) => {
    for (const { method } of WAYS) expect(uriFault(method, params)).toBeUndefined();
  },
);
