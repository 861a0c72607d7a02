/**
 * Callers without a user behind the very files of `examples/deploy`: each counts by its own address. On this machine
 * clients are 127.1.x.y and the proxy is 127.0.0.1, which the option names alone: its default trusts all of loopback.
 */
import { expect, test } from 'vitest';
import { createEchoServer } from '../../kit/echo-server.ts';
import { openClient } from '../../kit/listening.ts';
import type { RawClient, RawClientOptions } from '../../kit/raw-client.ts';
import { serve } from '../../kit/serve.ts';
import {
  behindHaproxy,
  behindNginx,
  describeBehindHaproxy,
  describeBehindNginx,
  type Proxy,
  ROUND_ROBIN,
} from './nginx.ts';

const CLIENTS = 620;
/** Every share has one session, and a second one ends it. */
const ONE_EACH = {
  trustedProxies: ['127.0.0.1/32'],
  limits: { perUser: { sessions: 1 } },
};

const addressOf = (n: number): string => `127.1.${Math.floor(n / 250)}.${(n % 250) + 1}`;

/** Each opens a session and closes its connections: a proxy has few of them. */
async function opened(url: string, callers: readonly RawClientOptions[]): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (const caller of callers) {
    const client = openClient(url, caller);
    await client.initialize({ initialized: false });
    client.close();
    clients.push(client);
  }
  return clients;
}

/** Those whose session has ended. */
async function ended(url: string, clients: readonly RawClient[]): Promise<number[]> {
  const gone: number[] = [];
  for (const [n, of] of clients.entries()) {
    const client = openClient(url, { of });
    const { status } = await client.post({ jsonrpc: '2.0', id: n, method: 'ping' });
    client.close();
    if (status !== 200) gone.push(n);
  }
  return gone;
}

const callersBehind = (start: (port: number) => Promise<Proxy>): void => {
  test('with the default limits none of 620 clients without a user loses its session', async () => {
    const { port } = await serve(createEchoServer);
    const { url } = await start(port);
    const clients = await opened(
      url,
      Array.from({ length: CLIENTS }, () => ({})),
    );
    expect(await ended(url, clients)).toEqual([]);
  });

  test('620 clients are 620 shares', async () => {
    const { port, log } = await serve(createEchoServer, ONE_EACH);
    const { url } = await start(port);
    const clients = await opened(
      url,
      Array.from({ length: CLIENTS }, (_, n) => ({ from: addressOf(n) })),
    );
    expect(await ended(url, clients)).toEqual([]);
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  test('a client that sends fields of its own stays one share', async () => {
    const { port, log } = await serve(createEchoServer, ONE_EACH);
    const { url } = await start(port);
    const own = ['1.2.3.4', '127.0.0.1', '8.8.8.8, 127.0.0.1', 'unknown', ['5.5.5.5', '6.6.6.6']];
    const clients = await opened(
      url,
      own.map((field) => ({
        from: addressOf(0),
        headers: { 'x-forwarded-for': field, forwarded: 'for=9.9.9.9', 'x-real-ip': '9.9.9.9' },
      })),
    );
    expect(await ended(url, clients)).toEqual([0, 1, 2, 3]);
    const lines = log.matching(/^A session was ended for its user's limit/);
    expect(lines).toMatchObject([{ level: 'warn', fields: { share: addressOf(0), value: 1 } }]);
  });
};

describeBehindNginx('callers behind nginx', () =>
  callersBehind((port) => behindNginx(ROUND_ROBIN, [port])),
);
describeBehindHaproxy('callers behind HAProxy', () =>
  callersBehind((port) => behindHaproxy([port])),
);
