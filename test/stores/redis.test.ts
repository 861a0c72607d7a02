import { single } from '../../packages/redis/src/single-server.ts';
import { moveClock, openBackends } from './redis-views.ts';
import { serverStoreTests } from './server-stores.ts';

serverStoreTests({
  kind: 'redis',
  backend: (url) => openBackends(single({ url })),
  moveClock,
});
