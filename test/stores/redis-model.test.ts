// @module-tag matrix
/** Random operations on a real server whose clock is controlled by the test (`redis-clock.ts`). */
import { describeWithServer } from '../kit/servers/index.ts';
import { modelTests, takingTurns, type ModelStores } from './model-runs.ts';
import { moveClock } from './redis-clock.ts';
import { storeOptions } from './redis-views.ts';
import { openPlain } from './views.ts';

describeWithServer('redis', 'the Redis store answers as a plain model does', (server) => {
  async function connect(): Promise<ModelStores> {
    const { connect: store, now, pass, close } = await moveClock(server().url);
    const stores = [store(), store()];
    // Connections stay open from run to run.
    const held = await Promise.all(stores.map(async (one) => openPlain(one, storeOptions())));
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
