/** The contracts and the model on a store whose data and clock a server has. */
import type { Store } from '../../src/stores/store.ts';
import type { TimeProvider } from '../../src/base/types.ts';
import { isMatrix } from '../kit/matrix.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import type { BackendUnderTest } from './contract/backend/backend-contract.ts';
import { backendTests, contractTests, serverContract } from './contract.ts';
import { modelTests } from './model-runs.ts';
import { storeAt } from './store-at.ts';
import { openView } from './views.ts';

export interface MovedClock {
  connect(): Store;
  /** Passes as the clock of the server does. */
  readonly time: TimeProvider;
  now(): number;
  pass(ms: number): Promise<void>;
  close(): unknown;
}

export interface ServerStore {
  readonly kind: 'redis' | 'postgres';
  /** Backends on the server that share no data with those of other tests. */
  backend(url: string): BackendUnderTest | Promise<BackendUnderTest>;
  /** A store on the server with a clock that the test moves. */
  moveClock(url: string): Promise<MovedClock> | MovedClock;
}

export function serverStoreTests({ kind, backend, moveClock }: ServerStore): void {
  describeWithServer(kind, 'a backend', (server) => {
    backendTests(() => backend(server().url), { refuses: kind === 'postgres' });
  });

  describeWithServer(
    kind,
    'the store keeps the contract, each view on separate connections',
    (server) => {
      contractTests(serverContract, () => ({ connect: () => storeAt(server().url) }));
    },
  );

  describeWithServer(kind, 'the store, by a clock that the test moves,', (server) => {
    modelTests(isMatrix ? 100 : 5, async () => {
      const { connect, close, ...clock } = await moveClock(server().url);
      const stores = [connect(), connect()] as const;
      let opened = 0;
      // Connections stay open from run to run.
      const held = await Promise.all(
        stores.map((one) => openView(one, { deployment: 'held', time: clock.time })),
      );
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
}
