/** The contract and the model on a store whose data and clock a server has. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemTime } from '../../src/base/system.ts';
import type { Store } from '../../src/stores/store.ts';
import { isMatrix } from '../kit/matrix.ts';
import { describeWhereInstalled, describeWithServer } from '../kit/servers/index.ts';
import { casesFor, contractTests, MOVED_CLOCK, runCase } from './contract.ts';
import { modelTests } from './model-runs.ts';
import { ownServer } from './outages.ts';
import { openPlain, storeOptions } from './views.ts';
import { storeContract } from '../store-contract/store-contract.ts';

export interface MovedClock {
  /** Store objects that ask the clock for each step. */
  connect(): Store;
  now(): number;
  pass(ms: number): Promise<void>;
  close(): unknown;
}

export interface ServerStore {
  readonly kind: 'redis' | 'postgres';
  store(url: string): Store;
  /** Counts the rows, keys and entries that the server holds. */
  counter(url: string): Promise<() => Promise<number>>;
  /** A store on the server with a clock that the test moves. */
  moveClock(url: string): Promise<MovedClock>;
}

const byTheServersClock = casesFor();
const byMovedClock = casesFor(...MOVED_CLOCK).filter(({ needs }) => needs !== undefined);
const onOwnServer = casesFor('entries').filter(({ needs }) => needs !== undefined);

export function serverStoreTests({ kind, store, counter, moveClock }: ServerStore): void {
  describeWithServer(kind, 'the store keeps the contract, each view on separate connections', (server) => {
    contractTests(byTheServersClock, () => ({ connect: () => store(server().url), pass: (ms) => sleep(ms) }), {
      concurrent: true,
    });

    test.concurrent.each(byMovedClock)('$id, by a clock that the test moves: $title', async (one) => {
      const { now, close, ...moved } = await moveClock(server().url);
      try {
        await runCase(one, { ...moved, time: { ...systemTime, now } });
      } finally {
        await close();
      }
    });
  });

  describeWithServer(kind, 'the store, by a clock that the test moves,', (server) => {
    modelTests(isMatrix ? 100 : 15, async () => {
      const { connect, close, ...clock } = await moveClock(server().url);
      const stores = [connect(), connect()] as const;
      let opened = 0;
      // Connections stay open from run to run.
      const held = await Promise.all(stores.map(async (one) => openPlain(one, storeOptions({ name: 'held' }))));
      return {
        ...clock,
        connect: () => stores[opened++ % 2] as Store,
        async close() {
          for (const view of held) await view.close();
          await close();
        },
      };
    });
  });

  describeWhereInstalled(kind, 'the store on a separate server keeps', () => {
    contractTests(onOwnServer, async () => {
      const server = await ownServer(kind);
      return {
        connect: () => store(server.url),
        pass: (ms) => sleep(ms),
        entries: await counter(server.url),
      };
    });

    test('every case of the contract', () => {
      expect([...byTheServersClock, ...byMovedClock, ...onOwnServer]).toHaveLength(storeContract.length);
    });
  });
}
