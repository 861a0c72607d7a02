// @module-tag matrix
/** Random operations on a real server whose clock is controlled by the test (`redis-clock.ts`). */
import { redis } from '../../src/stores/redis/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { modelTests, takingTurns, type ModelStores } from './model-runs.ts';
import { moveClock } from './redis-clock.ts';
import { storeOptions } from './redis-views.ts';
import { openPlain } from './views.ts';

describeWithServer('redis', 'the Redis store answers as a plain model does', (server) => {
  async function connect(): Promise<ModelStores> {
    const { client, now, pass, close } = await moveClock(server().url);
    const stores = [redis(client), redis(client)];
    // Connections stay open from run to run.
    const held = await Promise.all(stores.map(async (store) => openPlain(store, storeOptions())));
    return {
      connect: takingTurns(stores),
      now,
      pass,
      async close() {
        for (const view of held) await view.close();
        close();
      },
    };
  }

  modelTests(150, connect);
});
