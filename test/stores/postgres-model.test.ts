// @module-tag matrix
/** Random operations on a real server whose clock is the test's. */
import { describeWithServer } from '../kit/servers/index.ts';
import { modelTests, takingTurns, type ModelStores } from './model-runs.ts';
import { moveClock } from './postgres-clock.ts';
import { newDatabase, storeOptions } from './postgres-views.ts';
import { openPlain } from './views.ts';

describeWithServer('postgres', 'the PostgreSQL store answers as a plain model does', (server) => {
  async function connect(): Promise<ModelStores> {
    const { connect: open, now, pass, close } = await moveClock(await newDatabase(server().url));
    const stores = [open(), open()];
    // Connections stay open from run to run.
    const held = await Promise.all(stores.map(async (store) => openPlain(store, storeOptions())));
    return {
      connect: takingTurns(stores),
      now,
      pass,
      async close() {
        for (const view of held) await view.close();
        await close();
      },
    };
  }

  modelTests(30, connect);
});
