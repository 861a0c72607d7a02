/**
 * A process that stood still for longer than a store waits (it was stopped, or got no CPU): its timers are due, and the
 * answers of the server lie in its sockets. It reads them before it calls the server silent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { View } from './contract/view.ts';
import { describeWhereInstalled, type TestServer } from '../kit/servers/index.ts';
import { turns, until } from '../kit/until.ts';
import { AWAY, frozen, ownServer } from './outages.ts';
import { FENCE, ME, openView, recordOf } from './views.ts';

/** The lease of an endpoint. PostgreSQL then answers within `LIMIT_MS`. */
const DEFAULT_LEASE_MS = 3_000;
const LIMIT_MS = 2_000;
const SOCKETS = '/proc/net/tcp';
const ESTABLISHED = '01';

/** Connections to the server with bytes that this side has not read. Only the test connects to its server. */
function unread(side: 'server' | 'process', { port }: TestServer): number {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const sockets = readFileSync(SOCKETS, 'latin1').split('\n');
  return sockets.filter((socket) => {
    const [, local = '', remote = '', state, queues = ''] = socket.trim().split(/\s+/);
    return (
      (side === 'server' ? local : remote).endsWith(end) &&
      state === ESTABLISHED &&
      !queues.endsWith(':00000000')
    );
  }).length;
}

const isAsked = (server: TestServer, sockets: number): Promise<unknown> =>
  until(() => unread('server', server) >= sockets, {
    what: 'the requests lie in the sockets of the frozen server',
  });

/** No timer runs and nothing is read for `ms`, and until so many sockets have an answer. */
function standStill(ms: number, server: TestServer, sockets: number): void {
  const stopped = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(stopped, 0, 0, ms);
  for (let tries = 0; unread('process', server) < sockets; tries++) {
    if (tries === 1_000) throw new Error('the server does not answer');
    Atomics.wait(stopped, 0, 0, 20);
  }
}

/** A server that was asked while it was frozen answers while this process does nothing. */
async function answeredInStandstill(
  ms: number,
  server: TestServer,
  sockets: number,
): Promise<void> {
  await isAsked(server, sockets);
  // A process that stops after this runs its timers before it reads. After a timer it would read first.
  await turns();
  server.resume();
  standStill(ms, server, sockets);
}

/** The first view sets the time limit of the store, and a lease of the second one does not expire in the test. */
async function views(store: Store): Promise<View> {
  await openView(store, { leaseMs: DEFAULT_LEASE_MS });
  const view = await openView(store);
  await view.records.create(recordOf('s'));
  return view;
}

describe.skipIf(!existsSync(SOCKETS))(
  `a process that stood still (sees its sockets in ${SOCKETS})`,
  () => {
    describe.each([
      ['postgres', postgres],
      ['redis', redis],
    ] as const)('a store on %s', (kind, store) => {
      describeWhereInstalled(kind, 'and its answers', () => {
        test('accepts the answers to a read, a write and a renewal', async () => {
          const server = await ownServer(kind);
          const view = await views(store(server.url));
          await view.records.create(recordOf('t'));
          await view.instances.announce(
            { id: ME, state: 'serving', version: '1' },
            () => undefined,
          );
          await view.records.read('s');
          await frozen(server);
          const calls = [
            async () => view.records.read('s'),
            async () => view.records.save('t', FENCE, { stamp: 1 }),
            async () => view.instances.renew(ME, 'serving'),
          ].map(async (call): Promise<unknown> => call());
          await answeredInStandstill(
            LIMIT_MS + 200,
            server,
            kind === 'postgres' ? calls.length : 2,
          );
          expect(await Promise.allSettled(calls)).toEqual([
            { status: 'fulfilled', value: recordOf('s') },
            { status: 'fulfilled', value: 'written' },
            { status: 'fulfilled', value: true },
          ]);
        });
      });
    });

    describeWhereInstalled('postgres', 'PostgreSQL', () => {
      test('refuses a write that waited behind an answered one, and changes nothing', async () => {
        const server = await ownServer('postgres');
        const view = await views(postgres(server.url));
        await frozen(server);
        const sent = view.records.save('s', FENCE, { fields: { a: '1' } });
        await isAsked(server, 1);
        const waiting = view.records.save('s', FENCE, { fields: { b: '2' } });
        await answeredInStandstill(LIMIT_MS + 200, server, 1);
        expect(await Promise.allSettled([sent, waiting])).toMatchObject([
          { status: 'fulfilled', value: 'written' },
          {
            status: 'rejected',
            reason: { ...AWAY, message: expect.stringContaining('nothing was changed') as string },
          },
        ]);
        expect(await view.records.read('s')).toMatchObject({ fields: { a: '1' } });
      });
    });
  },
);
