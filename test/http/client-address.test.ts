/** Whose share a caller without a user counts in: `trustedProxies`, and who may forge `X-Forwarded-For`. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { connect, Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addressIn } from '../../src/base/options/address-ranges.ts';
import { DEFAULTS } from '../../src/base/options/table.ts';
import { ClientAddresses } from '../../src/http/client-address.ts';
import { createMcpEndpoint } from '../../src/index.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { initializeRequest } from '../kit/initialize-request.ts';
import { createLog } from '../kit/log.ts';
import { listening } from '../kit/listening.ts';
import { serve } from '../kit/serve.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';

/** A request of `node:http` on a connection from this address. */
function requestFrom(remoteAddress: string | undefined, field?: string): IncomingMessage {
  const socket = new Socket();
  onTestFinished(() => void socket.destroy());
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress });
  Object.defineProperty(socket, 'localAddress', { value: remoteAddress && '127.0.0.1' });
  const headers = field === undefined ? {} : { 'x-forwarded-for': field };
  return { httpVersionMajor: 1, socket, headers } as unknown as IncomingMessage;
}

function addresses(trustedProxies: readonly string[] = DEFAULTS.trustedProxies) {
  const logger = createLog();
  const found = new ClientAddresses({ trustedProxies, logger });
  return {
    logger,
    of: (peer: string | undefined, field?: string) => found.of(requestFrom(peer, field)),
  };
}

const PRIVATE = ['private'];

describe.each<[title: string, trusted: readonly string[], peer: string | undefined, cases: object]>(
  [
    [
      'of a proxy on this machine the field is read from the right',
      DEFAULTS.trustedProxies,
      '127.0.0.1',
      {
        '203.0.113.7': '203.0.113.7',
        '  203.0.113.7\t': '203.0.113.7',
        '198.51.100.1, 203.0.113.7': '203.0.113.7',
        '198.51.100.1,203.0.113.7,127.0.0.1, ::1': '203.0.113.7',
        // What the client sent in front, and all of it where every hop is trusted.
        'unknown, 203.0.113.7': '203.0.113.7',
        '127.0.0.5, 127.0.0.6': '127.0.0.5',
        '10.1.2.3': '10.1.2.3',
        '2001:DB8:0:1:0::7': '2001:db8:0:1::7',
        '::ffff:203.0.113.7': '203.0.113.7',
        '::FFFF:cb00:7107': '203.0.113.7',
      },
    ],
    [
      'an entry that is no address ends the walk at the last trusted one',
      PRIVATE,
      '10.0.0.1',
      {
        '': '10.0.0.1',
        ',': '10.0.0.1',
        ',,,': '10.0.0.1',
        ',10.0.0.2': '10.0.0.2',
        unknown: '10.0.0.1',
        '203.0.113.7:4711': '10.0.0.1',
        '[2001:db8::7]': '10.0.0.1',
        '[2001:db8::7]:80': '10.0.0.1',
        '"203.0.113.7"': '10.0.0.1',
        'for=203.0.113.7': '10.0.0.1',
        'fe80::1%<b>x</b>': '10.0.0.1',
        '203.0.113.07': '10.0.0.1',
        '203.0.113': '10.0.0.1',
        '3405803783': '10.0.0.1',
        '203.0.113.7 203.0.113.8': '10.0.0.1',
        '203.0.113.7, unknown, 10.0.0.2': '10.0.0.2',
        ['9'.repeat(100)]: '10.0.0.1',
      },
    ],
    [
      'private networks are those of the word',
      PRIVATE,
      '::ffff:172.31.0.1',
      {
        '198.51.100.1, 203.0.113.7, 192.168.1.1, fd00::1, fe80::1, 169.254.1.1, 100.64.0.1, ::1':
          '203.0.113.7',
        '198.51.100.1, 172.32.0.1': '172.32.0.1',
        '198.51.100.1, fe00::1': 'fe00::1',
      },
    ],
    [
      'a peer that is not named keeps its address',
      DEFAULTS.trustedProxies,
      '10.0.0.9',
      { '203.0.113.7': '10.0.0.9', unknown: '10.0.0.9' },
    ],
    ['a public peer too', PRIVATE, '2001:db8::9', { '203.0.113.7': '2001:db8::9' }],
    ['no proxy is named', [], '127.0.0.1', { '203.0.113.7': '127.0.0.1' }],
    [
      'a Unix socket is loopback',
      DEFAULTS.trustedProxies,
      undefined,
      { '203.0.113.7': '203.0.113.7' },
    ],
    [
      'a Unix socket is loopback, which is not named',
      [],
      undefined,
      { '203.0.113.7': '127.0.0.1' },
    ],
    ['a zone is no part of an address', [], 'fe80::1%eth0', { '203.0.113.7': 'fe80::1' }],
  ],
)('%s', (_, trusted, peer, cases) => {
  test.each(Object.entries(cases))('%s', (field, expected: string) => {
    expect(addresses(trusted).of(peer, field)).toBe(expected);
  });
});

test('of 10,000 entries the last ones are read', () => {
  const field = Array.from({ length: 10_000 }, () => '10.0.0.2').join(',');
  expect(addresses(PRIVATE).of('10.0.0.1', `203.0.113.7,${field}`)).toBe('10.0.0.2');
});

test('a field that is not read is one line, which names the option and shows no text of the client', () => {
  const { of, logger } = addresses();
  for (let n = 0; n < 3; n++) of('10.0.0.9', '<script>');
  const [line, ...more] = logger.lines;
  expect([line?.level, line?.fields, more]).toEqual(['warn', { address: '10.0.0.9' }, []]);
  expect(line?.message).toContain('--trusted-proxies');
});

test('one spelling for each address', () => {
  for (const [text, address] of [
    ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
    ['2001:0db8:0000::0001', '2001:db8::1'],
    ['::', '::'],
    ['1.2.3.4/32', undefined],
    ['localhost', undefined],
    ['::1%lo', undefined],
  ] as const)
    expect([text, addressIn(text)]).toEqual([text, address]);
});

/** The addresses that an endpoint finds, over its node face. */
async function seenBy() {
  const seen: Array<string | undefined> = [];
  const { endpoint } = await serve(
    ({ requestInfo }) => {
      seen.push(requestInfo?.clientAddress);
      return createEchoServer();
    },
    {},
    { face: 'node' },
  );
  return { endpoint, seen };
}

test('a connection that its client has reset is no Unix socket: its field is not read', async () => {
  const found: Array<string | undefined> = [];
  const all = new ClientAddresses({ trustedProxies: ['127.0.0.1/32'], logger: createLog() });
  const server = createServer((req) => void found.push(all.of(req)));
  const port = Number(new URL(await listening(server)).port);
  for (let n = 0; n < 20; n++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.1.0.1' });
    await once(socket, 'connect');
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n');
    socket.resetAndDestroy();
  }
  await until(() => found.length === 20);
  expect(new Set(found)).toContain(undefined);
  expect(found.filter((address) => address !== undefined && address !== '127.1.0.1')).toEqual([]);
});

test('over a Unix socket the proxy names the caller', async () => {
  const { endpoint, seen } = await seenBy();
  const server = createServer(endpoint.node);
  const socketPath = join(temporaryFolder(), 's');
  await once(server.listen(socketPath), 'listening');
  onTestFinished(() => void server.close());
  const given = initializeRequest();
  const headers = { ...Object.fromEntries(given.headers), 'x-forwarded-for': '203.0.113.7' };
  const sent = request({ socketPath, path: '/mcp', method: 'POST', headers });
  sent.end(await given.text());
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.resume();
  expect(seen).toEqual(['203.0.113.7']);
});

test('fetch reads no header: the caller of the endpoint says the address', async () => {
  const seen: Array<string | undefined> = [];
  const endpoint = createMcpEndpoint(
    ({ requestInfo }) => {
      seen.push(requestInfo?.clientAddress);
      return createEchoServer();
    },
    { logger: createLog() },
  );
  onTestFinished(() => endpoint.close({ timeoutMs: 0 }));
  for (const clientAddress of [undefined, '2001:DB8::7', '::ffff:203.0.113.7', 'unknown']) {
    const request = initializeRequest();
    request.headers.set('x-forwarded-for', '198.51.100.1');
    await endpoint.fetch(request, { clientAddress });
  }
  expect(seen).toEqual([undefined, '2001:db8::7', '203.0.113.7', undefined]);
});
